import networkx as nx
import numpy as np
import pytest
import torch

from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.models.layers import node_graph
from dagrec_cli.models.layers.node_graph import (
    Distances,
    EdgeList,
    EdgeMatrix,
    graph_levels,
    node_levels,
    share_of_group,
)


def graph_of(*edges: tuple[int, int], n_nodes: int) -> ServiceGraph:
    source, target = np.array(edges, np.int32).T
    return ServiceGraph.from_steps(source, target, np.full(n_nodes + 1, -1, np.int32))


def test_a_node_s_level_is_the_longest_path_to_it() -> None:
    graph = graph_of((1, 2), (2, 3), (1, 3), (3, 4), (1, 4), n_nodes=5)
    assert node_levels(graph).tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("most", [1, 3])
def test_distances_are_those_of_networkx(most: int) -> None:
    drawn = nx.gnp_random_graph(12, 0.15, seed=4, directed=True)
    graph = graph_of(*((a + 1, b + 1) for a, b in drawn.edges), n_nodes=12)
    lengths = dict(nx.all_pairs_shortest_path_length(drawn))
    found = Distances(graph, most)(torch.arange(13)[:, None], torch.arange(13))
    expected = [[min(lengths[a].get(b, 99), most + 1) for b in drawn] for a in drawn]
    assert found[1:, 1:].tolist() == expected
    assert {*range(most + 2)} == {*np.ravel(expected).tolist()}


def test_the_nodes_of_a_cycle_share_a_level() -> None:
    graph = graph_of((1, 2), (2, 3), (3, 2), (3, 4), (5, 5), (5, 4), n_nodes=5)
    assert node_levels(graph).tolist() == [0, 1, 1, 2, 0]
    levels = graph_levels(graph, node_levels(graph))
    assert [level.depth for level in levels] == [0, 1, 2]
    assert [level.nodes.tolist() for level in levels] == [[4], [1, 2], [3]]
    assert [level.senders.tolist() for level in levels] == [[4], [0, 1, 2], [2, 4]]


def test_levels_hold_every_edge_once() -> None:
    edges = {(1, 3), (2, 3), (3, 4), (1, 4), (4, 5), (5, 4)}
    graph = graph_of(*edges, n_nodes=5)
    found = [
        (int(level.senders[s]) + 1, int(level.nodes[t]) + 1)
        for level in graph_levels(graph, node_levels(graph))
        for s, t in zip(level.edges.source, level.edges.target, strict=True)
    ]
    assert len(found) == len(edges)
    assert set(found) == edges


def test_edges_are_a_table_where_it_is_small_or_full() -> None:
    few = EdgeList(torch.tensor([0, 2, 1]), torch.tensor([0, 0, 1]))
    assert few.closed is not None
    assert few.closed.tolist() == [[0, -torch.inf, 0], [-torch.inf, 0, -torch.inf]]
    n = int(node_graph.SMALL_CLOSURE**0.5) + 1
    each = torch.arange(n)
    assert EdgeList(each, each).closed is None
    every = torch.cartesian_prod(each, each)
    full = EdgeList(*every.T)
    assert full.closed is not None
    assert full.closed.count_nonzero() == 0
    share = len(every) // node_graph.CELLS_PER_EDGE
    assert EdgeList(*torch.cat([every[:share], every[-1:]]).T).closed is not None
    assert EdgeList(*torch.cat([every[: share - 1], every[-1:]]).T).closed is None


def test_spread_is_a_matrix_product() -> None:
    source, target = torch.tensor([0, 0, 2]), torch.tensor([1, 2, 1])
    weight = torch.tensor([0.5, 2.0, -1.0])
    states = torch.tensor([[1.0, 10.0], [7.0, 7.0], [3.0, 4.0]])
    onto = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    found = EdgeMatrix(source, target, weight)(states, onto)
    assert found.tolist() == [[0, 0], [1 + 0.5 - 3, 1 + 5 - 4], [2, 20]]
    assert onto[1].tolist() == [1, 1]


def test_shares_of_a_group_add_up_to_one() -> None:
    found = share_of_group(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([2, 2, 0]))
    assert found.tolist() == [0.25, 0.75, 1]
