"""Contexts against networkx and nested tuples: the name and, sorted, what leads to it."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import ContextDag, Numbering, paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import DataError

DatasetOf = Callable[..., Dataset]
Spelt = tuple[Any, ...]

sequences = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=12)


def unfolded(dag: ContextDag) -> list[Spelt]:
    """Return each entry as its node and, sorted, what leads to it, unfolded likewise."""
    spelt: list[Spelt] = []
    for node, parents in dag.items():
        spelt.append((node, *sorted(spelt[parent] for parent in parents)))
    return spelt


def graph_of(composition: Composition, dataset: Dataset) -> "nx.DiGraph[int]":
    """Return a composition as networkx has it: ``spelt`` of a node is its unfolded context."""
    graph: nx.DiGraph[int] = nx.DiGraph(list(composition.links))
    for node in nx.topological_sort(graph):
        above = sorted(graph.nodes[parent]["spelt"] for parent in graph.predecessors(node))
        graph.nodes[node]["spelt"] = (dataset.vocabulary.index[composition.names[node]], *above)
    return graph


def links_of(dataset: Dataset) -> Counter[tuple[int, Spelt, Spelt]]:
    """Return each link as its composition and both ends unfolded, with how often it occurs."""
    spelt = unfolded(dataset.contexts)
    rows = zip(*(each.tolist() for each in dataset.links), strict=True)
    return Counter((number, spelt[source], spelt[target]) for source, target, number in rows)


def test_entries_are_the_ancestors_that_networkx_finds(
    random_compositions: Sequence[Composition], dataset_of: DatasetOf
) -> None:
    dataset = dataset_of(random_compositions, context="dag")
    dag, expected = dataset.contexts, Counter[tuple[int, Spelt, Spelt]]()
    spelt = unfolded(dag)
    assert len(set(spelt)) == len(dag)  # what is equal has one number
    entry_of = {each: entry for entry, each in enumerate(spelt)}
    for number, composition in enumerate(random_compositions):
        graph = graph_of(composition, dataset)
        for node in graph:
            entry = np.array([entry_of[graph.nodes[node]["spelt"]]], np.int32)
            above = {graph.nodes[each]["spelt"] for each in nx.ancestors(graph, node) | {node}}
            ancestors = dag.ancestors(entry)
            assert {spelt[each] for each in ancestors} == above
            assert len(ancestors) == len(above)
            part = graph.subgraph(nx.ancestors(graph, node) | {node})
            assert dag.depth[entry] == nx.dag_longest_path_length(part) + 1
        ends = [(graph.nodes[a]["spelt"], graph.nodes[b]["spelt"]) for a, b in composition.links]
        expected.update((number, *each) for each in ends)
    assert links_of(dataset) == expected


def test_the_order_of_the_file_changes_no_context(
    random_compositions: Sequence[Composition], dataset_of: DatasetOf
) -> None:
    rng = np.random.default_rng(1)
    before = links_of(dataset_of(random_compositions, context="dag"))
    turned = []
    for each in random_compositions[::-1]:
        place = rng.permutation(len(each.names)).tolist()
        links = [(place[a], place[b]) for a, b in each.links]
        back = np.argsort(place).tolist()
        turned.append(
            Composition(
                tuple(each.names[k] for k in back),
                tuple(each.is_service[k] for k in back),
                tuple(links[k] for k in rng.permutation(len(links))),
            )
        )
    last = len(turned) - 1
    after = links_of(dataset_of(turned, context="dag"))
    assert Counter({(last - n, *ends): count for (n, *ends), count in after.items()}) == before


def test_parents_come_first_and_all_that_is_followed_before_all_else(
    random_compositions: Sequence[Composition], dataset_of: DatasetOf
) -> None:
    dataset = dataset_of(random_compositions, context="dag")
    for entry, (_, parents) in enumerate(dataset.contexts.items()):
        assert parents == sorted(parents)
        assert all(parent < entry for parent in parents)
    followed = set(dataset.links.source.tolist())
    assert followed == set(range(len(dataset.followed))) < set(range(len(dataset.contexts)))


def test_two_equal_inputs_are_two() -> None:
    number = Numbering()
    table = number(1)
    once, twice = number(2, [table]), number(2, [table, table])
    assert once != twice
    assert [parents for _, parents in number.dag().items()] == [[], [table], [table, table]]


def test_rows_are_in_topological_order_then_by_node() -> None:
    number = Numbering()
    first, second = number(9), number(3)
    middle = number(5, [first])
    last = number(1, [second, middle, middle, first])
    dag = number.dag()
    entries = np.array([last, second, middle], np.int32)
    nodes, length = dag.padded(entries)
    assert nodes.tolist() == [[3, 9, 5, 1], [3, 0, 0, 0], [9, 5, 0, 0]]
    assert length.tolist() == [4, 1, 2]
    assert dag.spell(last) == [3, 9, 5, 1]
    assert dag.longest == 4
    assert dag.first(3).longest == 2


def test_rows_of_random_contexts(
    random_compositions: Sequence[Composition], dataset_of: DatasetOf
) -> None:
    dag = dataset_of(random_compositions, context="dag").contexts
    every = np.arange(len(dag), dtype=np.int32)
    rows, length = dag.padded(every)
    ends, end_length = dag.padded(every, most=3)
    assert end_length.tolist() == length.clip(max=3).tolist()
    for entry in every:
        above = dag.ancestors(np.array([entry], np.int32))
        order = np.lexsort((dag.node[above], dag.depth[above]))
        assert rows[entry, : length[entry]].tolist() == dag.node[above[order]].tolist()
        assert not rows[entry, length[entry] :].any()
        last = slice(max(0, length[entry] - 3), length[entry])
        assert ends[entry, : end_length[entry]].tolist() == rows[entry, last].tolist()
    assert dag.longest == length.max()


@given(sequences)
def test_paths_are_a_prefix_trie(contexts: list[list[int]]) -> None:
    dag, entries = paths(contexts)
    assert [dag.spell(entry) for entry in entries] == contexts
    assert dag.node[entries].tolist() == [nodes[-1] for nodes in contexts]
    assert dag.depth[entries].tolist() == [len(nodes) for nodes in contexts]
    prefixes = {tuple(nodes[: k + 1]) for nodes in contexts for k in range(len(nodes))}
    assert sorted(tuple(dag.spell(entry)) for entry in range(len(dag))) == sorted(prefixes)


@given(sequences)
def test_padded_rows_are_the_paths_and_zeros(contexts: list[list[int]]) -> None:
    dag, entries = paths(contexts)
    longest = max(map(len, contexts))
    expected = [nodes + [0] * (longest - len(nodes)) for nodes in contexts]
    before = entries.copy()
    assert dag.padded(entries)[0].tolist() == expected
    assert np.array_equal(entries, before)
    assert dag.longest == longest


@given(sequences)
def test_depth_first_is_the_order_of_a_dictionary(contexts: list[list[int]]) -> None:
    dag, entries = paths(contexts)
    assert [contexts[k] for k in dag.depth_first(entries)] == sorted(contexts)


def test_depth_first_puts_a_context_beside_what_it_shares_most_with() -> None:
    number = Numbering()
    first, second = number(1), number(2)
    deep = number(4, [number(3, [first])])
    merged = number(5, [second, deep])
    entries = np.array([merged, second, deep, first], np.int32)
    assert entries[number.dag().depth_first(entries)].tolist() == [first, deep, merged, second]


def test_what_leads_to_an_entry_by_few_links() -> None:
    number = Numbering()
    first, second = number(1), number(2)
    middle = number(3, [first])
    merged = number(4, [first, middle, second])  # one link from first, and two by way of middle
    last = number(5, [merged])
    dag, entries = number.dag(), np.array([last, middle], np.int32)
    found = [[each.tolist() for each in dag.within(entries, k)] for k in (1, 2, 4)]
    assert found == [
        [[0, 1], [last, middle], [0, 0]],
        [[0, 0, 1, 1], [merged, last, first, middle], [1, 0, 1, 0]],
        [
            [0, 0, 0, 0, 0, 1, 1],
            [first, second, middle, merged, last, first, middle],
            [2, 2, 2, 1, 0, 1, 0],
        ],
    ]
    up_to = [dag.ancestors(entries[:1], k).tolist() for k in (0, 1, 2, None)]
    assert up_to == [[last], [merged, last], *[[first, second, middle, merged, last]] * 2]


def test_no_contexts_are_no_rows() -> None:
    dag, _ = paths([[1, 2]])
    assert dag.padded(np.array([], np.int32))[0].shape == (0, 0)
    assert Numbering().dag().longest == 0


def test_a_long_chain_is_numbered_at_once() -> None:
    start = time.process_time()
    dag, _ = paths([[1] * 100_000])
    assert (dag.depth == np.arange(1, 100_001)).all()
    assert dag.longest == 100_000
    assert (np.diff(dag.depth_first(np.arange(100_000, dtype=np.int32))) == 1).all()
    assert time.process_time() - start < 2  # quadratic work took minutes


def test_rows_that_would_not_fit_are_refused_before_they_take_memory() -> None:
    dag, _ = paths([[1] * 2048])
    entries = np.full(2**28 // 2048 + 1, 2047, np.int32)
    with pytest.raises(DataError, match=r"131,073 contexts of 2,048 nodes or more take 268,4"):
        dag.padded(entries)
