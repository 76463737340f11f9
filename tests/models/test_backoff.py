from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import CountingModel, Facts
from dagrec_cli.models.context_batch import Contexts

FactsOf = Callable[[Dataset], Facts]
ContextsOf = Callable[[Dataset], Contexts]
Counted = Callable[..., CountingModel]
Probabilities = Callable[..., list[float]]
Config = Callable[..., DictConfig]


def test_backoff_mixes_all_suffixes(
    counted: Counted, three_services: Dataset, probabilities: Probabilities
) -> None:
    model = counted("backoff", three_services, smoothing=2.0)
    p = [1 / 3] * 3
    for counts in ([3, 4, 4], [0, 2, 1], [0, 2, 0]):  # after nothing, s1, t1 s1
        p = [(c + 2 * q) / (sum(counts) + 2) for c, q in zip(counts, p, strict=True)]
    assert probabilities(model, three_services, "table_1", "service_1") == pytest.approx(p)
    longer = probabilities(model, three_services, "table_3", "table_1", "service_1")
    assert longer == pytest.approx(p)  # never walked: nothing to add
    assert sum(p) == pytest.approx(1)


def test_backoff_is_finite_after_many_agreeing_suffixes(
    counted: Counted,
    walks: Callable[..., Composition],
    dataset_of: Callable[[list[Composition]], Dataset],
) -> None:
    tables = " ".join(f"t{k}" for k in range(60))
    often = [walks(f"{tables} s1")] * 500
    model = counted("backoff", deep := dataset_of([*often, walks("t0 s2")]), smoothing=1e-6)
    path = [deep.vocabulary.index[f"table_{k}"] for k in range(60)]
    scores = model(Contexts(*paths([path])))
    assert scores.isfinite().all()
    assert scores[0, 0] > scores[0, 1]


@pytest.mark.parametrize("smoothing", [0.0, -1.0])
def test_smoothing_out_of_range(
    smoothing: float, counted: Counted, three_services: Dataset
) -> None:
    with pytest.raises(ConfigError, match="smoothing is"):
        counted("backoff", three_services, smoothing=smoothing)


def test_saved_counts_fit_a_model_that_never_counted(
    counted: Counted,
    config: Config,
    three_services: Dataset,
    facts_of: FactsOf,
    contexts_of: ContextsOf,
) -> None:
    model = counted("backoff", three_services)
    fresh = build(config("model", "backoff"), "model", facts_of(three_services))
    fresh.load_state_dict(model.state_dict())
    contexts = contexts_of(three_services)
    assert torch.equal(fresh(contexts), model(contexts))
