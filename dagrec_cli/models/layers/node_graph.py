"""The service graph as tensors, for models that compute a state for every node.

Everything here follows from ``facts.graph`` and is computed once, when the model is built; the
buffers are therefore not part of a saved model. Row ``n`` is node index ``n + 1`` (padding is no
node).

The union of acyclic compositions need not be acyclic: one may walk a -> b, another b -> a. Where a
model needs an order, the nodes of a cycle (a strongly connected component) share one level.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from dagrec_cli.data.ragged import find_sorted, gather_places
from dagrec_cli.data.service_graph import ServiceGraph

SMALL_CLOSURE = 5_000  # cells of a table that take no longer than a list, however short
CELLS_PER_EDGE = 8  # cells that take the time of one edge of a list


def edge_rows(graph: ServiceGraph) -> Int[Tensor, "2 edges"]:
    """Return the rows of each edge's source and target node."""
    return torch.from_numpy(np.stack([graph.source, graph.target])).long() - 1


def node_levels(graph: ServiceGraph) -> NDArray[np.int64]:
    """Return the longest path (in edges) from any source to each node, a cycle counted as one node.

    An edge leads to a higher level, or lies inside a cycle and stays on its level.
    """
    level = np.zeros(len(graph.service_class) - 1, np.int64)
    import networkx as nx  # takes .1 s, which models without this layer need not wait for

    whole: nx.DiGraph[int] = nx.DiGraph()
    whole.add_nodes_from(range(len(level)))
    whole.add_edges_from(edge_rows(graph).T.tolist())
    cycles = nx.condensation(whole)
    for depth, generation in enumerate(nx.topological_generations(cycles)):
        for component in generation:
            level[list(cycles.nodes[component]["members"])] = depth
    return level


class Distances(nn.Module):
    """Edges on the shortest path from node to node, looked up for many pairs at once.

    Kept are pairs of nodes that are near, sorted: ``source * nodes + target``.

    Parameters
    ----------
    most
        The longest that is told apart, 1 and up.
    """

    pairs: Tensor
    edges: Tensor

    def __init__(self, graph: ServiceGraph, most: int) -> None:
        super().__init__()
        self.n_nodes, self.most = len(graph.service_class), most
        start = np.searchsorted(graph.source, np.arange(self.n_nodes + 1))
        now = np.arange(self.n_nodes) * (self.n_nodes + 1)  # from each node to itself
        met, edges = now, np.zeros(len(now), np.int64)
        for distance in range(1, most + 1):
            source, target = np.divmod(now, self.n_nodes)
            pair, edge = gather_places(start[target], np.diff(start)[target])
            now = np.setdiff1d(source[pair] * self.n_nodes + graph.target[edge], met)
            met = np.concatenate([met, now])
            edges = np.concatenate([edges, np.full(len(now), distance)])
        order = np.argsort(met)
        self.register_buffer("pairs", torch.from_numpy(met[order]), persistent=False)
        self.register_buffer("edges", torch.from_numpy(edges[order]), persistent=False)

    def forward(self, source: Tensor, target: Tensor) -> Int[Tensor, "*shape"]:
        """Return the distances between node indices, ``most + 1`` where there is no short path.

        Shapes of source and target are broadcast.
        """
        place, is_near = find_sorted(self.pairs, source * self.n_nodes + target)
        return self.edges[place].where(is_near, self.most + 1)


class EdgeMatrix(nn.Module):
    """A fixed sparse matrix: node v receives ``weight * states[u]`` along every edge u -> v.

    Parameters
    ----------
    source, target
        Rows of each edge's ends.
    weight
        Weight of each edge.
    """

    source: Tensor
    target: Tensor
    weight: Tensor

    def __init__(
        self,
        source: Int[Tensor, " edges"],
        target: Int[Tensor, " edges"],
        weight: Float[Tensor, " edges"],
    ) -> None:
        super().__init__()
        self.register_buffer("source", source, persistent=False)
        self.register_buffer("target", target, persistent=False)
        self.register_buffer("weight", weight[:, None], persistent=False)

    def forward(
        self, states: Float[Tensor, "nodes hidden"], onto: Float[Tensor, "nodes hidden"]
    ) -> Float[Tensor, "nodes hidden"]:
        """Send every node's state along its edges and add what arrives to ``onto``."""
        sent = states.index_select(0, self.source) * self.weight
        return onto.index_add(0, self.target, sent.to(onto.dtype))


def share_of_group(weight: Float[Tensor, " edges"], group: Int[Tensor, " edges"]) -> Tensor:
    """Return each edge's weight as a share of its group's sum."""
    total = weight.new_zeros(int(group.max()) + 1).index_add(0, group, weight)
    return weight / total[group]


class EdgeList(nn.Module):
    """Who hears whom: a list of edges and, where that is quicker, a table.

    Parameters
    ----------
    source, target
        Sender and receiver of each edge, counted from 0; each of them has an edge, no edge
        stands twice.

    Attributes
    ----------
    source, target
        As given.
    closed
        0 where an edge leads from the sender (column) to the receiver (row), minus infinity
        elsewhere. None if the table would have more than :data:`SMALL_CLOSURE` cells and
        :data:`CELLS_PER_EDGE` times as many as there are edges.
    """

    source: Tensor
    target: Tensor
    closed: Tensor | None

    def __init__(self, source: Int[Tensor, " edges"], target: Int[Tensor, " edges"]) -> None:
        super().__init__()
        self.register_buffer("source", source, persistent=False)
        self.register_buffer("target", target, persistent=False)
        self.register_buffer("closed", _closed_table(source, target), persistent=False)


def _closed_table(source: Tensor, target: Tensor) -> Tensor | None:
    shape = int(target.max()) + 1, int(source.max()) + 1
    cells = shape[0] * shape[1]
    if cells > SMALL_CLOSURE and cells > CELLS_PER_EDGE * len(source):
        return None
    table = torch.full(shape, -torch.inf)
    table[target, source] = 0
    return table


class Level(nn.Module):
    """One level: the nodes that receive, and the edges into them.

    Attributes
    ----------
    depth
        Which level it is.
    nodes
        Rows of the nodes that receive, each once.
    senders
        Rows of the nodes that send, each once.
    edges
        From positions in ``senders`` to positions in ``nodes``.
    """

    depth: int
    nodes: Tensor
    senders: Tensor

    def __init__(self, depth: int, edges: NDArray[np.int64]) -> None:
        super().__init__()
        self.depth = depth
        senders, source = np.unique(edges[0], return_inverse=True)
        nodes, target = np.unique(edges[1], return_inverse=True)
        self.register_buffer("nodes", torch.from_numpy(nodes), persistent=False)
        self.register_buffer("senders", torch.from_numpy(senders), persistent=False)
        self.edges = EdgeList(torch.from_numpy(source), torch.from_numpy(target))


def graph_levels(graph: ServiceGraph, level_of: NDArray[np.int64]) -> list[Level]:
    """Return the levels whose nodes receive something, from the sources down.

    Parameters
    ----------
    level_of
        Level of each node; see :func:`node_levels`.
    """
    edges = edge_rows(graph).numpy()
    level = level_of[edges[1]]
    return [Level(int(depth), edges[:, level == depth]) for depth in np.unique(level)]
