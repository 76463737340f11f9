from itertools import pairwise

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.paths import LinkPairs, count_paths, path_tree

Graph = tuple[int, LinkPairs]
Path = tuple[int, ...]


@st.composite
def dags(draw: st.DrawFn) -> Graph:
    """Return a DAG whose nodes are numbered in no topological order, some of them isolated."""
    n_nodes = draw(st.integers(2, 8))
    number = draw(st.permutations(range(n_nodes)))
    forward = [(a, b) for b in range(n_nodes) for a in range(b)]
    links = draw(st.lists(st.sampled_from(forward), unique=True, max_size=16))
    return n_nodes, tuple((number[a], number[b]) for a, b in links)


def listed(n_nodes: int, links: LinkPairs) -> list[Path]:
    """Spell the paths of a tree."""
    tree = path_tree(n_nodes, links)
    prefixes: list[Path] = [()]
    for branch, node in tree.inner:
        prefixes.append((*prefixes[branch], node))
    return [(*prefixes[branch], node) for branch, node in tree.ends]


def listed_by_networkx(links: LinkPairs) -> list[Path]:
    graph = nx.DiGraph(list(links))
    sinks = [node for node in graph if not graph.out_degree(node)]
    return [
        tuple(path)
        for source in graph
        if not graph.in_degree(source)
        for path in nx.all_simple_paths(graph, source, sinks)
    ]


@given(dags())
def test_paths_are_those_of_networkx_and_are_counted_right(graph: Graph) -> None:
    expected = listed_by_networkx(graph[1])
    assert sorted(listed(*graph)) == sorted(expected)
    assert count_paths(*graph) == len(expected)


@given(dags())
def test_a_path_runs_from_source_to_sink_along_links(graph: Graph) -> None:
    _, links = graph
    sources, targets = {a for a, _ in links}, {b for _, b in links}
    for path in listed(*graph):
        assert set(pairwise(path)) <= set(links)
        assert path[0] not in targets
        assert path[-1] not in sources


@given(dags())
def test_a_prefix_that_paths_share_is_in_the_tree_once(graph: Graph) -> None:
    prefixes = {path[:k] for path in listed(*graph) for k in range(1, len(path))}
    assert len(path_tree(*graph).inner) == len(prefixes)


def test_paths_come_in_file_order() -> None:
    links = ((3, 1), (0, 2), (0, 1), (1, 4), (2, 4))
    assert listed(6, links) == [(0, 2, 4), (0, 1, 4), (3, 1, 4)]


def test_isolated_nodes_are_no_paths() -> None:
    assert listed(3, ()) == []
    assert count_paths(3, ()) == 0


def test_an_explosion_is_counted_without_listing() -> None:
    # 60 diamonds in a row: 0 -> 1, 2 -> 3 -> 4, 5 -> 6 …
    diamond = [(0, 1), (0, 2), (1, 3), (2, 3)]
    links = tuple((3 * k + a, 3 * k + b) for k in range(60) for a, b in diamond)
    assert count_paths(181, links) == 2**60


def test_a_long_chain_needs_no_recursion() -> None:
    chain = tuple((k, k + 1) for k in range(20_000))
    assert count_paths(20_001, chain) == 1
    tree = path_tree(20_001, chain)
    assert tree.inner == [(k, k) for k in range(20_000)]
    assert tree.ends == [(20_000, 20_000)]
