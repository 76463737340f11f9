import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.composition import Fault, check_links, find_cycle


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    n_nodes = draw(st.integers(1, 7))
    node = st.integers(0, n_nodes - 1)
    return n_nodes, draw(st.lists(st.tuples(node, node), max_size=14))


@given(graphs())
def test_a_cycle_is_found_exactly_where_networkx_sees_one(
    graph: tuple[int, list[tuple[int, int]]],
) -> None:
    n_nodes, links = graph
    cycle = find_cycle(n_nodes, links)
    assert bool(cycle) != nx.is_directed_acyclic_graph(nx.DiGraph(links))
    assert len(set(cycle)) == len(cycle)
    assert set(zip(cycle, cycle[1:] + cycle[:1], strict=True)) <= set(links)


def test_a_long_chain_needs_no_recursion() -> None:
    chain = [(k, k + 1) for k in range(50_000)]
    assert find_cycle(50_001, chain) == []
    assert len(find_cycle(50_001, [*chain, (50_000, 0)])) == 50_001


@pytest.mark.parametrize(
    ("links", "faults"),
    [
        ([(0, 1), (0, 2), (1, 2)], []),
        ([], [Fault("c.links", "no link; a composition needs at least one")]),
        (
            [(0, 1), (1, 1), (2, 2)],
            [
                Fault("c.links[1]", "node 'b' is linked to itself"),
                Fault("c.links[2]", "node 'c' is linked to itself"),
            ],
        ),
    ],
)
def test_links_are_checked(links: list[tuple[int, int]], faults: list[Fault]) -> None:
    assert check_links(3, links, ["a", "b", "c"], "c") == faults


def test_a_cycle_is_spelt_in_the_file_s_ids() -> None:
    # d -> a leads into the cycle a -> b -> c -> a but is not part of it
    (fault,) = check_links(4, [(3, 0), (0, 1), (1, 2), (2, 0)], ["a", "b", "c", "d"], "c")
    walks = {f"cycle {w}" for w in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c")}
    assert fault.problem.split(";")[0] in walks
    assert fault.place == "c.links"
