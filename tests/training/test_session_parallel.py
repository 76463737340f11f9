"""Session-parallel training: by hand, and against the authors' own numbers.

Those lie in ``$DAGREC_PARITY_DIR``, or beside the folder of the real data in ``parity``: settings,
initial weights and order of sessions in, the loss of every step and the final scores out.
"""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig
from torch import Generator, Tensor
from torch.nn import Parameter
from torch.nn.functional import embedding

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import Loss
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.models.gru4rec_official import GRU4RecOfficial
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.checkpoint import pack_checkpoint, unpack_checkpoint
from dagrec_cli.training.optimizers import ADAGRAD_WITH_MOMENTUM, Optimizer
from dagrec_cli.training.session_parallel import SessionLoss, SessionParallel
from dagrec_cli.training.sessions import Sessions, Slots
from dagrec_cli.training.state import TrainingState, TrainingTask
from dagrec_cli.training.trainer import NOTHING, Callback

CASES = ["xe_shared", "xe_shared_logq", "bprmax_shared", "xe_embedding", "bprmax_onehot"]

Walks = Callable[..., Composition]
DatasetOf = Callable[..., Dataset]
Config = Callable[..., DictConfig]


class Watched(SessionParallel):
    """Keeps the loss of every step."""

    def objective(self, task: TrainingTask) -> Callable[[Any], Tensor]:
        plain = super().objective(task)
        self.losses: list[float] = []

        def watched(slots: Slots) -> Tensor:
            value = plain(slots)
            self.losses.append(value.item())
            return value

        return watched


def sessions_of(dataset: Dataset, rows: list[int] | None = None) -> Sessions:
    return Sessions.of(pairs_of(dataset, rows), dataset.vocabulary)


def pairs_of(dataset: Dataset, rows: list[int] | None = None) -> TrainingPairs:
    chosen = np.arange(len(dataset.pairs.context)) if rows is None else np.array(rows)
    return TrainingPairs.of(dataset, chosen, None, distinct=False)


def spelled(dataset: Dataset, sessions: Sessions) -> list[str]:
    """Return sessions as words; what is not trained stands in brackets."""
    names = [
        name.replace("service_", "s").replace("table_", "t") for name in dataset.vocabulary.nodes
    ]
    found = []
    ends = sessions.size.cumsum()
    for start, end in zip(ends - sessions.size, ends, strict=True):
        words = [names[sessions.node[start] - 1]]
        for place in range(start, end):
            target = sessions.target[place]
            if target >= 0:
                words.append(names[dataset.vocabulary.service_nodes[target] - 1])
            else:
                words.append(f"({names[sessions.node[place + 1] - 1]})")
        found.append(" ".join(words))
    return found


def test_a_chain_is_a_session(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks("t1 s1 s2 s3"), walks("t1 s1"), walks("t1 s1 s2")])
    assert spelled(dataset, sessions_of(dataset)) == ["t1 s1 s2 s3", "t1 s1", "t1 s1 s2"]


def test_what_is_no_training_row_is_read_only(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks("t1 s1 t2 s2 s3"), walks("t3 s3 s1")])
    found = spelled(dataset, sessions_of(dataset, [0, 2, 4]))  # without t1 s1 t2 → s2, t3 → s3
    assert found == ["t1 s1", "t1 (s1) (t2) (s2) s3", "t3 (s3) s1"]
    assert spelled(dataset, sessions_of(dataset)) == ["t1 s1", "t1 (s1) (t2) s2 s3", "t3 s3 s1"]


def test_each_row_of_what_branches_is_trained_once(
    random_compositions: list[Composition], walks: Walks, dataset_of: DatasetOf
) -> None:
    dag = dataset_of([walks("t1 s1 s2", "t2 s1 s3")], context="dag")
    assert spelled(dag, sessions_of(dag)) == [
        "t1 s1",
        "t2 s1",
        "t1 (t2) (s1) s2",
        "t1 (t2) (s1) s3",
    ]
    dataset = dataset_of(random_compositions, context="dag")
    trained = sessions_of(dataset).target
    assert sorted(trained[trained >= 0].tolist()) == sorted(dataset.pairs.target.tolist())


def test_slots_end_and_begin_again(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks(each) for each in ("t1 s1 s2", "t2 s3", "t3 s1 s2 s3", "t4 s2")])
    name = dict(enumerate(["", *dataset.vocabulary.nodes]))
    steps = [
        ([name[n] for n in step.node.tolist()], step.before.tolist())
        for step in sessions_of(dataset).steps(2, 1)
    ]
    assert steps == [
        (["table_1", "table_2"], [-1, -1]),
        (["service_1", "table_3"], [0, -1]),
        (["table_4", "service_1"], [-1, 1]),
        (["service_2"], [1]),
    ]
    assert len(list(sessions_of(dataset).steps(2, 2))) == 3  # with one alive there is no negative


def test_a_step_by_hand(config: Config, walks: Walks, dataset_of: DatasetOf) -> None:
    """The second of two steps: a state is carried, the gradient is not; negatives as they come."""
    dataset = dataset_of([walks("t1 s1 s2"), walks("t2 s2 s1")])
    trainer, model, loss = built(config, dataset, "ce", n_sample=0, logq=0.5, batch_size=4)
    objective = SessionLoss(trainer, model, loss, sessions_of(dataset).times)
    steps = list(sessions_of(dataset).steps(2, 2))
    objective(steps[0])
    before = model.read(steps[0].node, model.zeros(2)).detach()
    state = model.read(steps[1].node, before)
    index = dataset.vocabulary.index
    following = [index["service_2"] - 1, index["service_1"] - 1]
    counts = [2.0, 2.0]  # read once, and once at the end
    expected = 0.0
    for row, s in enumerate(state):
        scores = [
            (s @ model.output.weight[node] + model.bias.weight[node, 0]).item() - 0.5 * log(count)
            for node, count in zip(following, counts, strict=True)
        ]
        expected -= log(exp(scores[row]) / sum(map(exp, scores)))
    assert objective(steps[1]).item() == pytest.approx(expected / 4, abs=1e-6)


def test_adagrad_with_momentum_by_hand() -> None:
    """Two steps; of the vectors one row is touched once, one twice, one never."""
    vectors, weight = Parameter(torch.ones(3, 1)), Parameter(torch.ones(1))
    optimizer = Optimizer(ADAGRAD_WITH_MOMENTUM, [vectors, weight], 0.1, momentum=0.5)
    for rows, gradients in ([[0, 0, 1], [1.0, 2.0, 4.0]], [[0], [-3.0]]):
        vectors.grad = None
        looked_up = embedding(torch.tensor(rows), vectors, sparse=True)[:, 0]
        (looked_up @ torch.tensor(gradients)).backward()  # type: ignore[no-untyped-call]
        weight.grad = torch.tensor([3.0 if len(rows) > 1 else 0.0])
        optimizer.step()
    first = -0.1 * 3 / sqrt(9 + 1e-6)  # equal rows are summed before they are squared
    second = 0.5 * first + 0.1 * 3 / sqrt(18 + 1e-6)
    assert vectors[:, 0].tolist() == pytest.approx([1 + first + second, 0.9, 1.0], abs=1e-6)
    assert weight.item() == pytest.approx(1 + first + 0.5 * first, abs=1e-6)  # is touched anyway


def test_shared_negatives_are_drawn_by_count(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks("t1 s1 s2")] * 3 + [walks("t2 s2")])
    draws = sessions_of(dataset).draws((2, 4000), 0.5, np.random.default_rng(0))
    drawn = torch.cat([next(draws) for _ in range(3)])
    share = np.bincount(drawn, minlength=5)[1:] / len(drawn)
    roots = {"service_1": sqrt(3), "service_2": 2.0, "table_1": sqrt(3), "table_2": 1.0}
    expected = [roots[name] / sum(roots.values()) for name in dataset.vocabulary.nodes]
    assert share == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("loss", "node_input"), [("ce", "own"), ("bpr_max", "one_hot")])
def test_it_learns_and_continues(
    config: Config, walks: Walks, dataset_of: DatasetOf, loss: str, node_input: str
) -> None:
    """A training that stopped after an epoch ends as one that did not."""
    dataset = dataset_of([walks("t1 s1 s2"), walks("t2 s3 s4"), walks("t1 s1 s2 s3")])
    settings = {"n_sample": 3, "batch_size": 2, "learning_rate": 0.3, "momentum": 0.3}
    saved: dict[int, bytes] = {}

    class Saves(Callback):
        def load(self, state: TrainingState) -> None:
            if saved:
                state.load(unpack_checkpoint(saved[1]))

        def save(self, state: TrainingState) -> None:
            saved[state.epoch] = pack_checkpoint(state.checkpoint())

    found = []
    for _ in range(2):
        trainer, model, rule = built(config, dataset, loss, node_input, epochs=15, **settings)
        trainer.checkpoint_every = 1
        fit(trainer, model, rule, dataset, Saves())
        scores = model.eval()(Contexts(dataset.contexts, dataset.pairs.context))
        assert (scores.argmax(1).numpy() == dataset.pairs.target)[[0, 2, 3]].all()
        found.append(scores)
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("model", "loss", "sampler", "logq", "said"),
    [
        (GRU4Rec, "ce", "none", 1.0, "of no other model"),
        (GRU4RecOfficial, "bpr", "none", 0.0, "loss=ce or bpr_max"),
        (GRU4RecOfficial, "bpr_max", "popularity", 0.0, "use sampler=none"),
        (GRU4RecOfficial, "bpr_max", "none", 1.0, "trainer.logq is 1.0"),
    ],
)
def test_what_it_does_not_train(
    config: Config, model: type, loss: str, sampler: str, logq: float, said: str
) -> None:
    trainer = build(config("trainer", "session_parallel", logq=logq), "trainer")
    rules = build(config("loss", loss), "loss"), build(config("sampler", sampler), "sampler")
    with pytest.raises(ConfigError, match=said):
        trainer.check(model, *rules)


def test_one_session_alone_has_no_negatives(
    config: Config, walks: Walks, dataset_of: DatasetOf
) -> None:
    dataset = dataset_of([walks("t1 s1 s2")])
    trainer, model, loss = built(config, dataset, "ce", n_sample=0)
    with pytest.raises(TrainingError, match="n_sample=100"):
        fit(trainer, model, loss, dataset)


def built(
    config: Config, dataset: Dataset, loss: str, node_input: str = "tied", **settings: object
) -> tuple[Watched, GRU4RecOfficial, Loss]:
    torch.manual_seed(0)
    node = config("trainer", "session_parallel", **settings)
    trainer: Watched = Watched(**{k: v for k, v in node.items() if k != "_target_"})
    small = {"layers": [8], "node_input": node_input, "embedding_dim": 8}
    facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
    model: GRU4RecOfficial = build(config("model", "gru4rec_official", **small), "model", facts)
    return trainer, model, build(config("loss", loss), "loss")


def fit(
    trainer: Watched,
    model: GRU4RecOfficial,
    loss: Loss,
    dataset: Dataset,
    callback: Callback = NOTHING,
) -> list[float]:
    task = TrainingTask(model, loss, NoSampler(), pairs_of(dataset), Generator().manual_seed(0))
    trainer.fit(task, callback)
    return [row["loss"] for row in task.history.rows]


def test_what_nothing_trains_begins_at_0(config: Config, tiny: Dataset) -> None:
    kinds = {"t1": False, "s1": True, "s2": True}
    names = Vocabulary.fitted(kinds, ["s1", "s2"])
    facts = Facts(names, tiny.graph(), unread=[names.index["s2"]])  # s2 is a target alone
    model = build(config("model", "gru4rec_official", node_input="own"), "model", facts)
    drawn = [
        {name for name in names.nodes if vectors.weight[names.index[name] - 1].any()}
        for vectors in (model.output, model.embedding)
    ]
    assert drawn == [{"t1", "s1", "s2"}, {"t1", "s1"}]
    limit = sqrt(6 / (len(names.nodes) + 100))
    assert 0.95 * limit < model.output.weight.abs().max() <= limit


@pytest.mark.real
@pytest.mark.parametrize("case", CASES)
def test_every_step_is_the_authors(config: Config, dataset_of: DatasetOf, case: str) -> None:
    folder = parity_folder()
    about, numbers = (
        json.loads((folder / "cases.json").read_text())[case],
        np.load(folder / f"{case}.npz"),
    )
    dataset = dataset_of(compositions_of(folder, numbers["order"]))
    trainer, model, loss = official(config, dataset, about["settings"])
    index = dataset.vocabulary.index
    rows = torch.tensor([index[item] - 1 for item in about["items"]])
    put(model, numbers, rows)
    losses = fit(trainer, model, loss, dataset)
    assert len(trainer.losses) == about["steps"] == len(numbers["step_loss"])
    assert np.abs(np.array(trainer.losses) - numbers["step_loss"]).max() < 1e-4
    assert losses == pytest.approx(about["epoch_losses"], abs=1e-4)
    contexts = [[int(rows[k]) + 1 for k in each if k >= 0] for each in numbers["test/contexts"]]
    with torch.no_grad():
        states = model.eval().encode(Contexts(*paths(contexts)))
        scores = model.score(states, rows + 1)
        named = model(Contexts(*paths(contexts)))
    assert np.abs(scores.numpy() - numbers["test/scores"]).max() < 1e-4
    services = torch.from_numpy(dataset.vocabulary.service_nodes).long() - 1
    place = [rows.tolist().index(node) for node in services.tolist()]
    assert np.abs(named.numpy() - numbers["test/scores"][:, place]).max() < 1e-4


def parity_folder() -> Path:
    given = os.environ.get("DAGREC_PARITY_DIR")
    folder = Path(given) if given else Path(os.environ["DAGREC_DATA_DIR"]).parent / "parity"
    if not (folder / "cases.json").is_file():
        pytest.skip("the authors' numbers: set DAGREC_PARITY_DIR to their folder")
    return folder


def compositions_of(folder: Path, order: np.ndarray) -> list[Composition]:
    """Return each session as a chain, in the order in which they begin."""
    table = pd.read_csv(folder / "train.tsv", sep="\t")
    items = {int(number): group.tolist() for number, group in table.groupby("SessionId").ItemId}
    found = []
    for names in (items[number] for number in sorted(items)):
        is_service = tuple(name.startswith("service") for name in names)
        links = tuple(pairwise(range(len(names))))
        found.append(Composition(tuple(names), is_service, links))
    return [found[number] for number in order]


def official(
    config: Config, dataset: Dataset, given: dict[str, Any]
) -> tuple[Watched, GRU4RecOfficial, Loss]:
    """Return trainer, model and loss of the authors' settings."""
    is_bpr = given["loss"] == "bpr-max"
    settings = {key: given[key] for key in ("batch_size", "n_sample", "learning_rate", "momentum")}
    settings |= {"epochs": given["n_epochs"], "logq": given.get("logq", 0.0)}
    settings |= {"elu": given.get("elu_param", 0.5)}
    node_input = "own" if given.get("embedding") else "one_hot"
    node_input = "tied" if given["constrained_embedding"] else node_input
    node = config("trainer", "session_parallel", **settings)
    trainer = Watched(**{k: v for k, v in node.items() if k != "_target_"})
    width = {"layers": given["layers"], "embedding_dim": given.get("embedding") or 1}
    facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
    node = config("model", "gru4rec_official", node_input=node_input, **width)
    loss = config("loss", "bpr_max", regularisation=given["bpreg"]) if is_bpr else None
    rule = CrossEntropy(label_smoothing=0.0) if loss is None else build(loss, "loss")
    return trainer, build(node, "model", facts), rule


def put(model: GRU4RecOfficial, numbers: Any, rows: Tensor) -> None:
    """Give a model the authors' initial weights; ``rows`` are those of their items."""
    names = {
        "Wy.weight": "output.weight",
        "By.weight": "bias.weight",
        "E.weight": "embedding.weight",
    }
    names |= {"GE.Wx0.weight": "first.of_node.weight", "GE.Wrz0": "first.gates"}
    names |= {"GE.Wh0": "first.candidate", "GE.Bh0": "first.bias"}
    own = dict(model.named_parameters())
    given = {
        key[8:]: torch.from_numpy(numbers[key]) for key in numbers if key.startswith("initial/")
    }
    assert len(given) == len(own)
    with torch.no_grad():
        for key, value in given.items():
            weight = own[names.get(key, key.replace("G.0", "cells.0"))]
            weight[
                rows if key in ("Wy.weight", "By.weight", "E.weight", "GE.Wx0.weight") else ...
            ] = value
