"""Whose composition it is: a vector beside the state, or counts by owner first; else nothing."""

from collections.abc import Callable
from importlib import util

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.queries import About, Query
from dagrec_cli.errors import ConfigError, DataError
from dagrec_cli.evaluation.recommender import recommend
from dagrec_cli.evaluation.why import Explainer
from dagrec_cli.export.onnx_model import OnnxError, onnx_bytes
from dagrec_cli.export.recommendations import answer_lines
from dagrec_cli.models.base import CountingModel, Facts, Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.split_data import SplitData

Config = Callable[..., DictConfig]
Counted = Callable[..., CountingModel]


@pytest.fixture(scope="module")
def owned(
    walks: Callable[..., Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> Dataset:
    """After t1, ann calls s1 and bob s2; after t2, s1 comes next; who calls s3 is not known."""
    steps = [("t1 s1", "ann")] * 3 + [("t1 s2", "bob")] * 2 + [("t2 s1", "ann"), ("t1 s3", None)]
    every = dataset_of([walks(walk)._replace(owner=owner) for walk, owner in steps])
    return every.with_owners_of(np.arange(6))


def asked(dataset: Dataset, name: str, *owners: int) -> Contexts:
    """Return the context of one node, asked after by owners."""
    is_it = dataset.contexts.node == dataset.vocabulary.index[name]
    entry = np.flatnonzero(is_it & (dataset.contexts.depth == 1)).astype(np.int32)
    return Contexts(dataset.contexts, entry.repeat(len(owners)), owner=np.array(owners, np.int32))


@pytest.fixture(params=["embedding"])
def net(owned: Dataset, config: Config, request: pytest.FixtureRequest) -> TorchModel:
    torch.manual_seed(0)
    facts = Facts(owned.vocabulary, owned.graph(), owned.followed)
    settings = {"owner": request.param, "owner_dropout": 0.5, "mask": "none"}
    model: TorchModel = build(config("model", "gru4rec", **settings), "model", facts)
    return model


def test_counts_by_owner_come_first_and_fall_back(owned: Dataset, counted: Counted) -> None:
    assert owned.vocabulary.owners == ("ann", "bob")
    assert owned.owner_as_read.tolist() == [1, 1, 1, 2, 2, 1, 0]
    model = counted("backoff", owned, owner="prior", smoothing=2.0)
    p = np.full(3, 1 / 3)
    for counts in ([4, 2, 1], [3, 2, 1]):  # of all, after t1
        p = (np.array(counts) + 2 * p) / (sum(counts) + 2)
    ann, bob, other = model(asked(owned, "table_1", 1, 2, 0)).exp().numpy()
    assert other == pytest.approx(p)
    assert ann == pytest.approx((np.array([3, 0, 0]) + 2 * p) / 5)
    assert bob == pytest.approx((np.array([0, 2, 0]) + 2 * p) / 4)
    bob, other = model(asked(owned, "table_2", 2, 0))  # bob never came from there
    assert torch.equal(bob, other)
    without = counted("backoff", owned, smoothing=2.0)(asked(owned, "table_1", 1, 2))
    assert without[0].exp().numpy() == pytest.approx(p)
    assert torch.equal(*without)
    first = counted("markov", owned, owner="prior")(asked(owned, "table_1", 1, 2, 0)).argmax(1)
    assert first.tolist() == [0, 1, 0]


def test_what_the_owner_has_most_is_popular(owned: Dataset, counted: Counted) -> None:
    popular, asks = np.array([4, 2, 1]) / 7, asked(owned, "table_1", 1, 2, 0)
    model = counted("popularity", owned, ranking="counts", owner="prior")
    ann, bob, other = model(asks).numpy()
    assert ann == pytest.approx(popular + np.array([4, 0, 0]))
    assert bob == pytest.approx(popular + np.array([0, 2, 0]))
    assert other == pytest.approx(popular)
    first = counted("popularity", owned, ranking="one_hot", owner="prior")(asks)
    assert first.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    of_bob = model.evidence(asks.take(slice(1, 2))).of_owner
    assert of_bob is not None
    assert of_bob.tolist() == [[0, 2, 0]]


def test_why_says_what_followed_for_the_owner(owned: Dataset, counted: Counted) -> None:
    model, path = counted("backoff", owned, owner="prior"), [(owned.vocabulary.index["table_1"],)]
    query = Query(About(after="table_1"), [path, path], owner=1)
    explain = Explainer(model, None, "no data")
    told = answer_lines(recommend(model, [query], 1, np.ones(3, bool), explain), "table")
    _, note, _, *counts = "".join(told).splitlines()
    assert note == "  Why is said of the first of 2 paths alone."
    followed = "service_1 3, service_2 2, service_3 1"
    assert counts == [
        f"  Counts, 1 generation (table_1): seen 6 times, then {followed}",
        "  Counts of ann, 1 generation (table_1): seen 3 times, then service_1 3",
        "  Earlier compositions are not shown: no data.",
    ]
    (nobody,) = recommend(model, [query._replace(owner=0)], 1, np.ones(3, bool), explain)
    assert nobody.why is not None
    assert [each.owner for each in nobody.why.counts] == [""]


def test_a_vector_of_the_owner_joins_the_state(owned: Dataset, net: TorchModel) -> None:
    contexts = asked(owned, "table_1", 1, 2, 0)
    assert net.owners is not None
    states = net.eval().states(contexts)
    assert torch.allclose(states - net.encode(contexts), net.owners.weight[[1, 2, 0]], atol=1e-6)
    network, owner = net.evidence(contexts.take(slice(1))).parts.values()
    assert torch.allclose(network + owner, net(contexts)[0], atol=1e-5)
    assert torch.allclose(owner, net.owners.weight[1] @ net.head.weight.T, atol=1e-5)
    of_rows = Contexts.of_rows(*contexts.rows)  # which say nothing of owners
    assert torch.allclose(net(of_rows), net(contexts)[[2, 2, 2]], atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropped_owners_train_the_unknown_one(
    owned: Dataset, net: TorchModel, dropout: float
) -> None:
    assert net.owners is not None
    net.owners.owner_dropout = dropout
    net.train()(asked(owned, "table_1", *[1] * 50)).sum().backward()
    assert net.owners.weight.grad is not None
    assert net.owners.weight.grad.any(1).tolist() == [dropout > 0, True, False]


def test_a_context_is_trained_once_per_owner(owned: Dataset) -> None:
    pairs = TrainingPairs.of(owned, np.arange(7), None, distinct=True)
    contexts = pairs.whole.contexts
    names = [owned.vocabulary.nodes[n - 1] for n in contexts.last.tolist()]
    assert sorted(zip(names, contexts.owner.tolist(), strict=True)) == [
        ("table_1", 0), ("table_1", 1), ("table_1", 2), ("table_2", 1),
    ]  # fmt: skip
    assert sorted(pairs.weight.tolist()) == [1, 1, 2, 3]


def test_only_those_who_train_are_known(owned: Dataset, config: Config) -> None:
    split = build(config("split", "composition", join="none", seed=1), "split")
    data = SplitData.of(owned, split, reads_owners=True)
    fitted = {owned.owners[k] for k in owned.owner[data.dataset.pairs.composition[data.train]]}
    assert data.facts.vocabulary.owners == tuple(sorted(fitted))
    assert data.whole().facts.vocabulary.owners == ("ann", "bob")
    (inner,) = data.validated(split, 0.5).facts.vocabulary.owners
    assert inner in fitted
    with pytest.raises(DataError, match="no composition that trains has one"):
        owned.with_owners_of(np.array([6]))


@pytest.mark.parametrize("mask", ["hard", "none"])
def test_a_prior_by_owner_needs_a_prior(owned: Dataset, config: Config, mask: str) -> None:
    facts = Facts(owned.vocabulary, owned.graph())
    with pytest.raises(ConfigError, match="no prior to count by owner"):
        build(config("model", "sasrec", owner="prior", mask=mask), "model", facts, kind=Model)


@pytest.mark.parametrize("net", ["embedding", "preferences"], indirect=True)
def test_onnx_takes_no_owner(net: TorchModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    with pytest.raises(OnnxError, match=r"train with model\.owner=none"):
        onnx_bytes(net, merges=False)
