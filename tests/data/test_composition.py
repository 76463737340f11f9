from collections import Counter
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.composition import (
    REMEDY,
    Composition,
    Fault,
    Invalid,
    OnCycle,
    as_dag,
    check_acyclic,
    closing_links,
    inside,
)

Links = list[tuple[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Links]:
    n_nodes = draw(st.integers(1, 7))
    node = st.integers(0, n_nodes - 1)
    return n_nodes, draw(st.lists(st.tuples(node, node), max_size=14))


def composition(n_nodes: int, links: Links) -> Composition:
    ids = [str(k) for k in range(n_nodes)]
    names = tuple(f"service_{k}" for k in ids)
    return Composition(names, (True,) * n_nodes, tuple(links), place="c (line 3)", ids=ids)


def by_recursion(n_nodes: int, links: Links) -> Links:
    """Return what is kept, as one would write it down."""
    order = list(dict.fromkeys(link for link in links if link[0] != link[1]))
    targets = {target for _, target in order}
    kept, seen = set(order), set()

    def visit(node: int, above: tuple[int, ...]) -> None:
        seen.add(node)
        for source, target in order:
            if source == node and target in (*above, node):
                kept.discard((source, target))
            elif source == node and target not in seen:
                visit(target, (*above, node))

    for node in [*sorted(set(range(n_nodes)) - targets), *range(n_nodes)]:
        if node not in seen:
            visit(node, ())
    return [link for link in order if link in kept]


@given(graphs())
def test_cycles_are_cut_depth_first(graph: tuple[int, Links]) -> None:
    n_nodes, links = graph
    found = as_dag(composition(n_nodes, links), "cut")
    expected = by_recursion(n_nodes, links)
    if isinstance(found, Invalid):
        assert not expected
        assert not found.is_fault
        return
    assert list(found.links) == expected
    assert nx.is_directed_acyclic_graph(nx.DiGraph(found.links))
    assert sum(dict(found.dropped).values()) == len(set(links)) - len(expected)


@pytest.mark.parametrize("on_cycle", ["error", "skip"])
@given(graph=graphs())
def test_a_cycle_is_found_exactly_where_networkx_sees_one(
    on_cycle: OnCycle, graph: tuple[int, Links]
) -> None:
    n_nodes, links = graph
    found = as_dag(composition(n_nodes, links), on_cycle)
    if not links or nx.is_directed_acyclic_graph(nx.DiGraph(links)):
        told = ".links: no link" if not links else ""
        assert not told or (isinstance(found, Invalid) and not found.is_fault)
        assert told or (isinstance(found, Composition) and set(found.links) == set(links))
        return
    assert isinstance(found, Invalid)
    assert found.is_fault == (on_cycle == "error")
    for place, problem in found.faults:
        if "linked to itself" in problem:
            source, target = links[int(place[8:].partition("]")[0])]
            assert source == target
        else:
            walk = [int(node) for node in problem.partition(";")[0][6:].split(" -> ")]
            assert set(pairwise(walk)) <= set(links)
            assert walk[0] == walk[-1]
            assert max(Counter(walk[1:]).values()) == 1


def test_a_long_chain_needs_no_recursion_and_linear_time() -> None:
    n_nodes = 100_000
    chain = [(k, k + 1) for k in range(n_nodes - 1)]
    back = [(k, 0) for k in range(n_nodes)]  # each closes a cycle with all before it
    found = as_dag(composition(n_nodes, [*back, *chain]), "cut")
    assert isinstance(found, Composition)
    assert list(found.links) == chain
    assert found.dropped == (("links that close a cycle", n_nodes),)
    assert sum(1 for _ in closing_links(n_nodes, chain)) == 0


def test_links_to_a_node_itself_are_told_one_by_one() -> None:
    assert check_acyclic(3, [(0, 1), (1, 1), (2, 2)], ["a", "b", "c"], "c") == [
        Fault("c.links[1]", f"node 'b' is linked to itself; {REMEDY}"),
        Fault("c.links[2]", f"node 'c' is linked to itself; {REMEDY}"),
    ]


def test_a_cycle_is_spelt_in_the_file_s_ids() -> None:
    # d -> a leads into the cycle a -> b -> c -> a but is not part of it
    (fault,) = check_acyclic(4, [(3, 0), (0, 1), (1, 2), (2, 0)], ["a", "b", "c", "d"], "c")
    assert fault == ("c.links", f"cycle a -> b -> c -> a; {REMEDY}")


def test_a_part_stands_before_the_line() -> None:
    assert inside("a.jsonl: compositions[1] (line 2)", ".links[3]") == (
        "a.jsonl: compositions[1].links[3] (line 2)"
    )
    assert inside("compositions[1]", ".nodes") == "compositions[1].nodes"
