"""Every benchmark's two ways agree on small inputs, and its check sees it when they do not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from benchmarks import deep_contexts, evaluation, gru4rec_epoch, preparation, steps
from benchmarks.base import Benchmark, MismatchError, require_close
from benchmarks.command import BENCHMARKS, choose
from benchmarks.evaluation import evaluate_plainly
from benchmarks.preparation import prepare_plainly
from benchmarks.training import EpochBenchmark
from dagrec_cli.config.where import config_dir
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset, Links, build_dataset
from dagrec_cli.data.pairs import Pairs
from dagrec_cli.errors import ConfigError
from dagrec_cli.evaluation.ranks import Outcomes, outcomes
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.layers.edge_attention import EdgeAttention
from dagrec_cli.training import mini_batch
from dagrec_cli.training.batch import Batch
from dagrec_cli.training.mini_batch import shuffled_blocks
from dagrec_cli.training.step import BatchLoss

NAMES = sorted(BENCHMARKS)
SIZE = 60


def bench_config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("bench", ["data=synthetic", *overrides])


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Benchmark]:
    """A function of a benchmark's name and overrides; what sizes do not shrink is small."""
    monkeypatch.setattr(evaluation, "CONTEXTS", 20)
    monkeypatch.setattr(steps, "CONTEXTS", 20)
    monkeypatch.setattr(steps, "HIDDEN", 8)
    monkeypatch.setattr(steps, "N_SAMPLE", 16)
    for kind in EpochBenchmark.__subclasses__():
        monkeypatch.setattr(kind, "epochs", 2)
    monkeypatch.setattr(deep_contexts, "COMPOSITIONS", 30)
    return lambda name, *overrides: BENCHMARKS[name](bench_config(*overrides))


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_agree(make: Callable[..., Benchmark], name: str) -> None:
    case = make(name).case(SIZE)
    case.check()
    case.plain()
    case.fast()


@pytest.mark.parametrize("name", ["gru_dag", "preparation_dag"])
def test_both_ways_agree_where_links_merge_and_a_ratio_is_promised(
    make: Callable[..., Benchmark], tmp_path: Path, name: str
) -> None:
    nodes = [{"id": k, **({"mid": k} if k > 1 else {})} for k in range(6)]
    ends = [(0, 2), (1, 2), (0, 3), (2, 4), (3, 4), (4, 5), (2, 5)]
    links = [{"source": source, "target": target} for source, target in ends]
    (tmp_path / "merging.jsonl").write_text(json.dumps({"nodes": nodes, "links": links}))
    merging = make(name, "data=compositions", f"data.path={tmp_path / 'merging.jsonl'}")
    merging.case(SIZE).check()
    assert merging.promise(merging.sizes[-1]) == merging.target
    assert make(name).promise(merging.sizes[-1]) is None


def test_every_benchmark_has_a_name() -> None:
    """A class without a line in the list would never be run."""
    kinds = [Benchmark]
    for kind in kinds:
        kinds += kind.__subclasses__()
    promising = {kind for kind in kinds if hasattr(kind, "target")}
    assert {kind for kind in promising if ".test_" not in kind.__module__} == {*BENCHMARKS.values()}


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_says_what_it_promises(name: str) -> None:
    kind = BENCHMARKS[name]
    assert kind.target > 1
    assert list(kind.sizes) == sorted(set(kind.sizes))
    assert kind.unit
    assert kind.__doc__


def worse(*arguments: Any) -> Outcomes:
    found = outcomes(*arguments)
    return found._replace(better=found.better + (found.target == 0))


def one_link_less(*arguments: Any) -> Dataset:
    found = build_dataset(*arguments)
    return replace(found, links=Links(*(column[:-1] for column in found.links)))


def without_parents(*arguments: Any) -> Dataset:
    found = build_dataset(*arguments)
    none = np.zeros(0, np.int32)
    bare = replace(found.contexts, n_parents=0 * found.contexts.n_parents, parents=none)
    return replace(found, contexts=bare)


def jittered(model: TorchModel, *rules: Any) -> Callable[[Batch], Tensor]:
    weight = 1 if getattr(model, "encoding", None) == "padded" else 1.001
    return lambda batch: weight * BatchLoss(model, *rules)(batch)


def deaf(attention: EdgeAttention, *arguments: Any) -> Tensor:
    return 0 * arguments[0]


def one_context_less(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return shuffled_blocks(n, size, rng)[size > 1 :]


class Doubled(steps.BPR):
    def __call__(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return 2 * super().__call__(positive, negatives)


@pytest.mark.parametrize(
    ("name", "module", "part", "broken"),
    [
        ("evaluation", evaluation, "outcomes", worse),
        ("preparation", preparation, "build_dataset", one_link_less),
        ("preparation_dag", preparation, "build_dataset", without_parents),
        ("bpr_step", steps, "BPR", Doubled),
        ("gru4rec_epoch", gru4rec_epoch, "FORBIDDEN", 0.0),
        ("ce_step", steps, "FORBIDDEN", 0.0),
        ("gru_dag", deep_contexts, "BatchLoss", jittered),
        ("gru_trie", deep_contexts, "BatchLoss", jittered),
        ("dagnn2021_epoch", EdgeAttention, "gather", deaf),
        ("mini_batch", mini_batch, "shuffled_blocks", one_context_less),
    ],
)
def test_check_sees_a_difference(
    make: Callable[..., Benchmark],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    module: Any,
    part: str,
    broken: object,
) -> None:
    benchmark = make(name)
    monkeypatch.setattr(module, part, broken)
    with pytest.raises(MismatchError):
        benchmark.case(SIZE).check()


def test_gru4rec_epoch_also_agrees_with_one_row_per_pair(make: Callable[..., Benchmark]) -> None:
    make("gru4rec_epoch", "trainer.distinct_contexts=false").case(SIZE).check()


@pytest.mark.parametrize("override", ["model=popularity", "model.mask=none"])
def test_gru4rec_epoch_refuses_what_the_plain_way_is_not(
    make: Callable[..., Benchmark], override: str
) -> None:
    with pytest.raises(ConfigError, match="model=gru4rec"):
        make("gru4rec_epoch", override).case(SIZE)


def test_plain_preparation_of_a_branch(walks: Callable[..., Composition]) -> None:
    # nodes: service_1 = 1, service_2 = 2, table_1 = 3
    found = prepare_plainly([walks("t1 s1 s2", "t1 s2")] * 2)
    assert found.nodes == {"service_1": 1, "service_2": 2, "table_1": 3}
    assert found.services == {"service_1": 0, "service_2": 1}
    assert found.contexts == [(3,), (3, 1), (3,)] * 2
    assert found.targets == [0, 1, 1] * 2
    assert found.edges == {(3, 1): 2, (1, 2): 2, (3, 2): 2}


def test_plain_evaluation_by_hand() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.4]])
    pairs = Pairs(*(np.array(c, np.int32) for c in ([0, 0, 1, 1], [0, 2, 2, 1], [0, 1, 2, 3])))
    found = evaluate_plainly(scores, pairs)  # ranks 1, 3, 1, 2; predicted 0, 0, 2, 2
    assert found["accuracy"] == 0.5
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 + 1 / 2) / 4)
    assert found["hr@3"] == 1
    assert found["recall"] == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert found["precision"] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)


def test_choose() -> None:
    assert sorted(choose("all")) == NAMES
    assert list(choose("bpr_step")) == ["bpr_step"]
    assert list(choose(["preparation", "bpr_step"])) == ["preparation", "bpr_step"]
    with pytest.raises(ConfigError, match=r"bench=bpr_steps .* did you mean bpr_step\?"):
        choose("bpr_steps")
    with pytest.raises(ConfigError, match="empty"):
        choose([])


def test_require_close() -> None:
    require_close("x", [1.0, 2.0], [1.0, 2.1], 0.2)
    for plain, fast in (([1.0], [1.1]), ([1.0], [1.0, 1.0]), ([1.0], [float("nan")])):
        with pytest.raises(MismatchError, match="x: "):
            require_close("x", plain, fast, 0.05)
