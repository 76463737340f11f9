"""What a model is told of the data comes from the pairs that it is fitted on, and from no other."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.splits import Split
from dagrec_cli.training.work import Work

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


def ruled_out(dataset: Dataset, edges: Edges, rows: Rows) -> int:
    """Count targets that are no edge, where the last node has any."""
    sources = {source for source, _ in edges}
    asked = edges_into_services(dataset, rows)
    return sum(n for (a, b), n in asked.items() if a in sources and (a, b) not in edges)


@pytest.mark.parametrize("share", VALIDATION)
def test_the_graph_is_that_of_the_pairs_that_are_fitted(
    split_of: Callable[[str], Split], tiny: Dataset, share: float
) -> None:
    work = Work.of(tiny, split_of("train"), share)
    assert bool(len(work.validation)) == bool(share)
    fitted = edges_into_services(tiny, work.train)
    assert known(work.facts.graph) == fitted
    assert work.n_forbidden == ruled_out(tiny, fitted, work.test)
    if share:
        other = work.on_validation()
        assert other.facts is work.facts
        assert other.n_forbidden == ruled_out(tiny, fitted, work.validation)


@pytest.mark.parametrize("share", VALIDATION)
def test_the_paper_s_graph_is_that_of_all_pairs(
    split_of: Callable[[str], Split], tiny: Dataset, share: float
) -> None:
    work = Work.of(tiny, split_of("all"), share)
    assert known(work.facts.graph) == edges_into_services(tiny, np.arange(len(tiny.pairs.target)))
    assert work.n_forbidden == 0
    assert not share or work.on_validation().n_forbidden == 0


def test_other_targets_to_be_predicted_tell_the_model_nothing(
    split_of: Callable[[str], Split], tiny: Dataset
) -> None:
    work = Work.of(tiny, split_of("train"), 0.3)
    target = tiny.pairs.target.copy()
    hidden = np.concatenate([work.validation, work.test])
    target[hidden] = (target[hidden] + 1) % len(tiny.vocabulary.services)
    other = Work.of(replace(tiny, pairs=tiny.pairs._replace(target=target)), split_of("train"), 0.3)
    assert np.array_equal(other.validation, work.validation)
    assert np.array_equal(other.test, work.test)
    for one, two in zip(work.facts.graph.successors, other.facts.graph.successors, strict=True):
        assert np.array_equal(one, two)


def test_each_side_knows_what_became_of_its_share(tiny: Dataset, config: Config) -> None:
    split: Split = build(config("split", "composition", test_share=0.5), "split")
    work = Work.of(tiny, split, 0.3)
    n_all, n_test, n_validation = map(len, (tiny.pairs.target, work.test, work.validation))
    test, validation = work.held_out["test"], work.held_out["validation"]
    assert (test.asked, test.share) == (0.5, n_test / n_all)
    assert (validation.asked, validation.share) == (0.3, n_validation / (n_all - n_test))
    assert test.groups == 10  # two of eleven compositions are equal
    assert list(Work.of(tiny, split, 0.0).held_out) == ["test"]


@pytest.mark.real
def test_while_validating_on_the_portal_log_the_mask_does_not_know_the_answers(
    geoportal: Dataset, config: Config
) -> None:
    split: Split = build(config("split", "composition"), "split")
    work = Work.of(geoportal, split, 0.2).on_validation()
    fitted = edges_into_services(geoportal, work.train)
    assert work.n_forbidden == ruled_out(geoportal, fitted, work.test) > len(work.test) / 2
