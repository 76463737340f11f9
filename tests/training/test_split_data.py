"""What a model is told of the data comes from the pairs that it is fitted on, and from no other."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.split_base import Split
from dagrec_cli.data.splits import Leakage
from dagrec_cli.data.unseen import count_forbidden
from dagrec_cli.training.split_data import SplitData

SPLITS = ["composition", "paper", "temporal"]
VALIDATION = [0.0, 0.3]

Edges = Counter[tuple[int, int]]
Config = Callable[..., DictConfig]


@pytest.fixture(params=SPLITS)
def split_of(request: pytest.FixtureRequest, config: Config) -> Callable[[str], Split]:
    def built(graph: str) -> Split:
        split: Split = build(config("split", request.param, graph=graph), "split")
        return split

    return built


def edges_into_services(dataset: Dataset, rows: Rows) -> Edges:
    pairs = dataset.pairs.take(rows)
    last = dataset.contexts.node[pairs.context].tolist()
    target = dataset.vocabulary.service_nodes[pairs.target].tolist()
    return Counter(zip(last, target, strict=True))


def known(graph: ServiceGraph) -> Edges:
    """Return the edges into services, with how often each was walked."""
    edges = zip(graph.source.tolist(), graph.target.tolist(), graph.count.tolist(), strict=True)
    return Counter({(a, b): n for a, b, n in edges if graph.service_class[b] >= 0})


def forbidden(data: SplitData) -> int:
    return count_forbidden(data.facts.graph, data.dataset, data.test)


def validated(dataset: Dataset, split: Split, share: float) -> SplitData:
    data = SplitData.of(dataset, split)
    return data.validated(split, share) if share else data


def ruled_out(dataset: Dataset, edges: Edges, rows: Rows) -> int:
    """Count known targets that are no edge, where the last node has any."""
    sources = {source for source, _ in edges}
    rows = rows[dataset.pairs.target[rows] < len(dataset.vocabulary.of_model.services)]
    asked = edges_into_services(dataset, rows)
    return sum(n for (a, b), n in asked.items() if a in sources and (a, b) not in edges)


@pytest.mark.parametrize("share", VALIDATION)
def test_the_graph_is_that_of_the_pairs_that_are_fitted(
    split_of: Callable[[str], Split], tiny: Dataset, share: float
) -> None:
    data = validated(tiny, split_of("train"), share)
    assert bool(len(data.validation)) == bool(share)
    fitted = edges_into_services(data.dataset, data.train)
    assert known(data.facts.graph) == fitted
    assert forbidden(data) == ruled_out(data.dataset, fitted, data.test)
    names, fitted_contexts = data.dataset.vocabulary, data.dataset.pairs.context[data.train]
    read = {n for c in fitted_contexts for n in data.dataset.contexts.spell(c)}
    every = set(range(1, len(names.of_model.nodes) + 1))
    assert set(data.facts.unread) == (every - read if names.unknown is not None else set())
    if share:
        other = data.on_validation()
        assert other.facts is data.facts
        assert forbidden(other) == ruled_out(data.dataset, fitted, data.validation)


@pytest.mark.parametrize("share", VALIDATION)
def test_the_paper_s_graph_is_that_of_all_pairs(
    split_of: Callable[[str], Split], tiny: Dataset, share: float
) -> None:
    """As far as the model knows both ends."""
    data = validated(tiny, split_of("all"), share)
    every = np.arange(len(tiny.pairs.target))
    edges, names = edges_into_services(data.dataset, every), data.facts.vocabulary
    is_class = names.service_class >= 0
    n_nodes = data.facts.n_nodes
    assert known(data.facts.graph) == {
        (a, b): n for (a, b), n in edges.items() if max(a, b) <= n_nodes and is_class[b]
    }
    assert forbidden(data) == 0
    assert not share or forbidden(data.on_validation()) == 0


def test_other_targets_to_be_predicted_tell_the_model_nothing(
    split_of: Callable[[str], Split], tiny: Dataset
) -> None:
    data = validated(tiny, split_of("train"), 0.3)
    hidden = np.concatenate([data.validation, data.test])
    classes = (tiny.pairs.target[hidden] + 1) % len(tiny.vocabulary.services)
    node, target = tiny.contexts.node, tiny.links.target.copy()
    steps = np.flatnonzero(tiny.vocabulary.service_class[node[target]] >= 0)
    target[steps[hidden]] = [
        np.flatnonzero(node == tiny.vocabulary.service_nodes[each])[0] for each in classes
    ]
    changed = replace(tiny, links=tiny.links._replace(target=target))
    assert np.array_equal(changed.pairs.target[hidden], classes)
    vars(changed)["group"] = tiny.group  # so that the sides stay
    other = validated(changed, split_of("train"), 0.3)
    assert np.array_equal(other.validation, data.validation)
    assert np.array_equal(other.test, data.test)
    assert other.facts.vocabulary == data.facts.vocabulary
    for one, two in zip(data.facts.graph.successors, other.facts.graph.successors, strict=True):
        assert np.array_equal(one, two)


def test_each_side_knows_what_became_of_its_share(tiny: Dataset, config: Config) -> None:
    split: Split = build(config("split", "composition", test_share=0.5), "split")
    data = validated(tiny, split, 0.3)
    n_all, n_test, n_validation = map(len, (tiny.pairs.target, data.test, data.validation))
    test, validation = data.held_out["test"], data.held_out["validation"]
    assert (test.asked, test.share) == (0.5, n_test / n_all)
    assert (validation.asked, validation.share) == (0.3, n_validation / (n_all - n_test))
    assert test.groups == 10  # two of eleven compositions are equal
    assert list(SplitData.of(tiny, split).held_out) == ["test"]


@pytest.mark.real
def test_while_validating_on_the_portal_log_the_mask_does_not_know_the_answers(
    geoportal: Dataset, config: Config
) -> None:
    split: Split = build(config("split", "composition"), "split")
    data = validated(geoportal, split, 0.2).on_validation()
    fitted = edges_into_services(data.dataset, data.train)
    assert forbidden(data) == ruled_out(data.dataset, fitted, data.test) > len(data.test) / 2


def test_leakage_is_that_of_the_side_that_is_tested(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset], config: Config
) -> None:
    dataset = dataset_of([walks("t1 s1"), walks("t1 s1"), walks("t1 s2"), walks("t2 s1")])
    data = SplitData.of(dataset, build(config("split", "paper"), "split"))
    for row, pairs, contexts in ((1, 1, 1), (2, 0, 1), (3, 0, 0)):
        sides = replace(data, train=np.array([0]), validation=np.array([row]))
        assert sides.on_validation().leakage == Leakage(pairs, contexts)
