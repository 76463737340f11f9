"""The data set against the plain way: networkx paths per composition, tuples and counters."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset, build_dataset
from dagrec_cli.data.paths import equal
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.errors import DataError

Walks = Callable[..., Composition]
DatasetOf = Callable[..., Dataset]
Path = tuple[str, ...]


class Step(NamedTuple):
    """What was walked so far, what came next, and in which composition."""

    composition: int
    context: Path
    next: str


def paths_of(composition: Composition) -> list[Path]:
    graph = nx.DiGraph(list(composition.links))
    sinks = [node for node in graph if not graph.out_degree(node)]
    return [
        tuple(composition.names[node] for node in path)
        for source in sorted(graph)
        if not graph.in_degree(source)
        for path in nx.all_simple_paths(graph, source, sinks)
    ]


def plain_steps(compositions: Sequence[Composition]) -> list[Step]:
    return [
        Step(position, path[:k], path[k])
        for position, composition in enumerate(compositions)
        for path in paths_of(composition)
        for k in range(1, len(path))
    ]


def plain_pairs(compositions: Sequence[Composition]) -> list[Step]:
    return [step for step in plain_steps(compositions) if step.next.startswith("service")]


def spelt_pairs(dataset: Dataset) -> list[Step]:
    services, pairs = dataset.vocabulary.services, dataset.pairs
    return [
        Step(composition, spell(dataset, context), services[target])
        for context, target, composition in zip(*(a.tolist() for a in pairs), strict=True)
    ]


def spell(dataset: Dataset, context: int) -> Path:
    return tuple(dataset.vocabulary.spell(dataset.contexts.spell(context)))


def spelt_edges(dataset: Dataset, graph: ServiceGraph) -> dict[tuple[str, str], int]:
    ends = [dataset.vocabulary.spell(each) for each in (graph.source, graph.target)]
    return dict(zip(zip(*ends, strict=True), graph.count.tolist(), strict=True))


def edges_of(steps: Sequence[Step]) -> Counter[tuple[str, str]]:
    return Counter((step.context[-1], step.next) for step in steps)


@st.composite
def compositions(draw: st.DrawFn) -> Composition:
    """Return a small DAG of few names, so that names, prefixes and compositions recur."""
    names = draw(st.lists(st.sampled_from(["t1", "t2", "s1", "s2", "s3"]), min_size=2, max_size=6))
    forward = [(a, b) for b in range(len(names)) for a in range(b)]
    links = draw(st.lists(st.sampled_from(forward), unique=True, min_size=1, max_size=8))
    kinds = {"t": "table_", "s": "service_"}
    return Composition(
        tuple(kinds[name[0]] + name[1] for name in names),
        tuple(name[0] == "s" for name in names),
        tuple(links),
    )


@settings(deadline=None)
@given(records=st.lists(compositions(), min_size=1, max_size=5))
def test_branching_compositions_give_what_the_plain_way_gives(
    dataset_of: DatasetOf, records: list[Composition]
) -> None:
    steps, pairs = plain_steps(records), plain_pairs(records)
    services = sorted({step.next for step in pairs})
    if len(services) < 2:
        with pytest.raises(DataError, match="comes next"):
            dataset_of(records)
        return
    dataset = dataset_of(records)

    assert Counter(spelt_pairs(dataset)) == Counter(pairs)
    assert spelt_edges(dataset, dataset.graph()) == edges_of(steps)
    contexts = [spell(dataset, entry) for entry in range(len(dataset.followed))]
    assert sorted(contexts) == sorted({step.context for step in steps})
    assert dataset.vocabulary.services == tuple(services)
    assert dataset.vocabulary.nodes == tuple(sorted({n for r in records for n in r.names}))


@settings(deadline=None)
@given(records=st.lists(compositions(), min_size=1, max_size=6))
def test_compositions_that_share_a_path_are_one_chain(
    dataset_of: DatasetOf, walks: Walks, records: list[Composition]
) -> None:
    records = [*records, walks("t9 s1 s2")]  # so that there are two services
    dataset = dataset_of(records)
    shares: nx.Graph[Any] = nx.Graph()
    for position, record in enumerate(records):
        shares.add_edges_from((position, path) for path in paths_of(record))
    connected = {
        frozenset(n for n in c if isinstance(n, int)) for c in nx.connected_components(shares)
    }
    chains = {frozenset(np.flatnonzero(dataset.chain == c).tolist()) for c in dataset.chain}
    assert chains == connected
    assert set(dataset.chain.tolist()) == {min(chain) for chain in chains}

    paths = [(position, path) for position, r in enumerate(records) for path in paths_of(r)]
    path, composition = dataset.path
    assert [spell(dataset, end) for end in path.tolist()] == [each for _, each in paths]
    assert composition.tolist() == [position for position, _ in paths]


def paths_by_hand(text: str) -> tuple[list[int], list[int]]:
    """Return path numbers and their compositions; a word per composition, a letter per path."""
    words = text.split()
    paths = [ord(letter) - ord("a") for word in words for letter in word]
    return paths, [number for number, word in enumerate(words) for _ in word]


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ("ab ba ab", [0, 0, 0]),
        ("a aa aaa a", [0, 1, 2, 0]),  # how often counts
        ("abc abd cba abcd abc", [0, 1, 0, 3, 0]),
        ("aab abb baa", [0, 1, 0]),
        ("abcdefg gfedcba abcdefa abcdef", [0, 0, 2, 3]),
    ],
)
def test_equal_compositions_by_hand(words: str, groups: list[int]) -> None:
    path, composition = (np.array(each, np.int32) for each in paths_by_hand(words))
    assert equal(path, composition, len(groups)).tolist() == groups


@settings(deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=40))
def test_equal_compositions_are_those_of_one_multiset_of_paths(words: list[str]) -> None:
    path, composition = (np.array(each, np.int32) for each in paths_by_hand(" ".join(words)))
    sorted_words = ["".join(sorted(word)) for word in words]
    expected = [sorted_words.index(word) for word in sorted_words]
    assert equal(path, composition, len(words)).tolist() == expected


@settings(deadline=None)
@given(records=st.lists(compositions(), min_size=1, max_size=6))
def test_equal_compositions_have_one_group(
    dataset_of: DatasetOf, walks: Walks, records: list[Composition]
) -> None:
    records = [*records, walks("t9 s1 s2"), *records[::2]]
    dataset = dataset_of(records)
    paths = [sorted(paths_of(record)) for record in records]
    assert dataset.group.tolist() == [paths.index(each) for each in paths]


def test_equal_compositions_are_equal_dags_of_names(walks: Walks, dataset_of: DatasetOf) -> None:
    diamond = walks("t1 s1 s3", "t1 s2 s3")
    turned = walks("t1 s2 s3", "t1 s1 s3")  # other nodes first
    apart = walks("t1 s1 s3", "t1' s2 s3")  # an input used twice, or two of one name: no matter
    twice = walks("t1 s1 s3", "t1 s1' s3")
    torn = walks("t1 s1 s3", "t1' s1' s3'")
    records = [diamond, turned, apart, twice, torn, twice, walks("t1 s1 s3")]
    assert dataset_of(records, context="dag").group.tolist() == [0, 0, 0, 3, 4, 3, 6]
    assert dataset_of(records, context="path").group.tolist() == [0, 0, 0, 3, 3, 3, 6]


def test_a_link_is_one_step_however_many_paths_it_is_on(
    walks: Walks, dataset_of: DatasetOf
) -> None:
    # two ways to s3 and three on from it: s3 -> s4 lies on two paths, s1 -> s3 on three
    dataset = dataset_of([walks("t1 s1 s3 s4", "t1 s2 s3 s5", "s3 s6")], context="dag")
    assert len(dataset.pairs.target) == len(dataset.links.target) == 7
    assert set(dataset.graph().count.tolist()) == {1}
    assert len(np.unique(dataset.pairs.context)) == len(dataset.followed) == 4
    branching = dataset.pairs.context == dataset.pairs.context[-1]
    assert [dataset.vocabulary.services[k] for k in dataset.pairs.target[branching]] == [
        "service_4",
        "service_5",
        "service_6",
    ]


@pytest.mark.real
def test_on_the_portal_s_chains_paths_and_dags_are_the_same_arrays(
    geoportal: Dataset, config: Callable[..., DictConfig]
) -> None:
    other = "path" if geoportal.context == "dag" else "dag"
    found = build_dataset(build(config("data", "geoportal", context=other), "data"))
    assert all(map(np.array_equal, astuple(found.contexts), astuple(geoportal.contexts)))
    assert all(map(np.array_equal, found.links, geoportal.links))
    assert np.array_equal(found.group, geoportal.group)
    assert found.vocabulary == geoportal.vocabulary


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "entries", "contexts", "steps"),
    [  # counted apart, with a dict of tuples
        ("geoportal", 146, 51, 1_016),
        ("galaxy_workflows", 1_429, 1_202, 2_925),
        ("galaxy_connections", 1_584, 514, 4_483),
    ],
)
def test_entries_contexts_and_steps_of_real_data(
    config: Callable[..., DictConfig], name: str, entries: int, contexts: int, steps: int
) -> None:
    dataset = build_dataset(build(config("data", name, context="dag"), "data"))
    counted = (len(dataset.contexts), len(np.unique(dataset.pairs.context)))
    assert (*counted, len(dataset.pairs.target)) == (entries, contexts, steps)


@pytest.mark.real
def test_equal_compositions_of_real_data(
    geoportal: Dataset, config: Callable[..., DictConfig]
) -> None:
    # counted apart with a dict of sorted paths by name
    assert len(np.unique(geoportal.group)) == len(np.unique(geoportal.chain)) == 106
    assert np.array_equal(geoportal.group, geoportal.chain)
    galaxy = build_dataset(build(config("data", "galaxy_connections", context="path"), "data"))
    assert [len(np.unique(each)) for each in (galaxy.group, galaxy.chain)] == [1_038, 278]


def test_chains_keep_the_file_s_order(walks: Walks, dataset_of: DatasetOf) -> None:
    chains = ["t2 s1 s2 s3", "t1 s3", "t2 s1 s2 s3", "s4 t1 s1", "t1 s3 s1"]
    records = [walks(chain) for chain in chains]
    assert spelt_pairs(dataset_of(records)) == plain_pairs(records)


def test_a_hand_counted_composition(walks: Walks, dataset_of: DatasetOf) -> None:
    # t1 -> s1 -> s2 -> s4 and s1 -> s3 -> s4; t2 leads to s3 and s4 leads to the table t3
    dataset = dataset_of([walks("t1 s1 s2 s4 t3", "s1 s3 s4", "t2 s3")])
    assert len(dataset.path[0]) == 3
    counted = Counter((len(step.context), step.next[-1]) for step in spelt_pairs(dataset))
    assert counted == {(1, "1"): 2, (2, "2"): 1, (2, "3"): 1, (1, "3"): 1, (2, "4"): 1, (3, "4"): 2}
    assert dataset.vocabulary.nodes[:4] == dataset.vocabulary.services
    assert spelt_edges(dataset, dataset.graph())["service_4", "table_3"] == 3
    assert dataset.n_compositions == 1
    assert np.isnan(dataset.start_time).all()


def test_a_service_called_twice_is_no_cycle(walks: Walks, dataset_of: DatasetOf) -> None:
    found = spelt_pairs(dataset_of([walks("s2 s1 s1' s2'")]))
    first, second = "service_1", "service_2"
    assert found == [
        Step(0, (second,), first),
        Step(0, (second, first), first),
        Step(0, (second, first, first), second),
    ]


def test_the_graph_of_some_rows_knows_their_compositions_only(
    walks: Walks, dataset_of: DatasetOf
) -> None:
    records = [walks("t1 s1 t2 s2"), walks("t1 s2 t3"), walks("t1 s1 s2")]
    dataset = dataset_of(records)
    # rows: 0 (t1)->s1 and 1 (t1 s1 t2)->s2 of the first; 2 (t1)->s2; 3 (t1)->s1, 4 (t1 s1)->s2
    found = spelt_edges(dataset, dataset.graph(np.array([0, 4])))
    assert found == {
        ("table_1", "service_1"): 1,  # row 0
        ("service_1", "table_2"): 1,  # the step into a table of row 0's composition
        ("service_1", "service_2"): 1,  # row 4
    }


def test_times_are_kept(compositions: list[Composition], tiny: Dataset) -> None:
    assert tiny.start_time.tolist() == [record.start_time for record in compositions]


def test_a_composition_of_too_many_paths_is_refused(walks: Walks, dataset_of: DatasetOf) -> None:
    records = [walks("t1 s1 s2"), walks("t1 s1 s3", "t1 s2 s3", "t2 s1", "t2 s2")]
    with pytest.raises(
        DataError, match=r"^compositions\[1\]: too many paths \(4\); data.max_paths is 3"
    ):
        dataset_of(records, max_paths=3)
    assert len(dataset_of(records, max_paths=4).path[0]) == 5


@pytest.mark.parametrize("context", ["dag", "path"])
@pytest.mark.parametrize("links", [((0, 1), (1, 2), (2, 1)), ((1, 2), (2, 1)), ((0, 0), (0, 1))])
def test_a_cycle_that_no_reader_has_seen_is_refused_or_left_out(
    walks: Walks, dataset_of: DatasetOf, links: tuple[tuple[int, int], ...], context: str
) -> None:
    cycle, *sound = walks("t1 s1 s2")._replace(links=links), walks("t1 s1 s2"), walks("t1 s2")
    with pytest.raises(DataError, match=r"^compositions\[0\]\.links.*: .* must be acyclic"):
        dataset_of([cycle, *sound], context=context)
    found = dataset_of([*sound, cycle], context=context, on_invalid="skip")
    assert (found.n_compositions, len(found.skipped), len(found.links.source)) == (2, 1, 3)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        ([], r"no composition to learn from \(the data holds none\)"),
        (["t1 t2", "s1 t2"], "no service comes next in 2 compositions"),
        (["t1 s1", "s2 s1", "s1 s1'"], "only 'service_1' ever comes next in 3 compositions"),
    ],
)
def test_there_must_be_something_to_learn(
    walks: Walks, dataset_of: DatasetOf, chains: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        dataset_of([walks(chain) for chain in chains])


@pytest.mark.real
def test_the_paper_s_data_has_the_paper_s_figures(geoportal: Dataset) -> None:
    # PAPER §2 and the figures that come with the data
    vocabulary, pairs = geoportal.vocabulary, geoportal.pairs
    assert geoportal.n_compositions == len(geoportal.path[0]) == 943
    assert len(np.unique(geoportal.path[0])) == 106
    assert (len(pairs.context), len(pairs.distinct().context)) == (1016, 109)
    assert len(np.unique(pairs.context)) == 51
    assert np.bincount(geoportal.contexts.depth[pairs.context]).tolist() == [0, 943, 57, 16]
    assert Counter(vocabulary.is_service) == {False: 34, True: 16}
    assert len(vocabulary.services) == 15
    assert len(geoportal.graph().source) == 97
