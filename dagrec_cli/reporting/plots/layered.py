"""Directed acyclic graphs in layers: which node stands in which, in what order, and where.

Source: Sugiyama, Tagawa & Toda, "Methods for Visual Understanding of Hierarchical System
Structures", IEEE Trans. Systems, Man, and Cybernetics 1981 (layers, barycentres, bends of long
links).
Differs from the source: places within a layer are those nearest to the neighbours' that keep the
order and the distances, from both sides in turn (isotonic regression).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import networkx as nx
import numpy as np
from jaxtyping import Float

SWEEPS = 12  # to order the layers
TURNS = 8  # from either side, to place the nodes

Extent = tuple[float, float]


class Layering(NamedTuple):
    """What stands in each layer, in order, and each link's way through the layers."""

    layers: list[list[str]]
    ways: list[list[str]]


class Placing(NamedTuple):
    """Where things stand.

    Attributes
    ----------
    middle
        Of each node: along the links, and across them.
    span
        Where each node's layer begins and ends, along the links.
    extent
        Of all, along and across.
    """

    middle: dict[str, tuple[float, float]]
    span: dict[str, tuple[float, float]]
    extent: Extent


def layered(names: Iterable[str], links: Sequence[tuple[str, str]]) -> Layering:
    """Return the layers of nodes, each node after all that lead to it.

    A link that skips layers bends in each, at a place that it shares with the others of its node:
    that of the node ``a`` in layer 3 is called ``a@3``.
    """
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_nodes_from(names)
    dag.add_edges_from(links)
    layer = {}
    for number, generation in enumerate(nx.topological_generations(dag)):
        layer.update(dict.fromkeys(generation, number))
    for node in dag:  # what begins stands beside what it feeds
        if not dag.pred[node] and dag.succ[node]:
            layer[node] = min(layer[child] for child in dag.succ[node]) - 1
    bent: nx.DiGraph[str] = nx.DiGraph()
    bent.add_nodes_from(dag)
    ways = []
    for source, target in links:
        bends = {f"{source}@{at}": at for at in range(layer[source] + 1, layer[target])}
        layer |= bends
        ways.append([source, *bends, target])
        bent.add_edges_from(pairwise(ways[-1]))
    ordered: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for node, number in layer.items():
        ordered[number].append(node)
    return Layering(untangled(ordered, bent), ways)


def placed(
    layering: Layering, sizes: Mapping[str, Extent], *, apart: float, between: float
) -> Placing:
    """Return where everything stands.

    Parameters
    ----------
    sizes
        Of nodes, along the links and across them; a bend takes no room.
    apart, between
        Room between what stands in one layer, and between layers.
    """
    layers, ways = layering
    begin = 0.0
    span: dict[str, tuple[float, float]] = {}
    across: dict[str, float] = {}
    room: list[Float[np.ndarray, " nodes"]] = []
    for layer in layers:
        size = np.array([sizes.get(name, (0.0, 0.0)) for name in layer])
        room.append(size[:, 1] + apart)
        end = begin + size[:, 0].max()
        span.update(dict.fromkeys(layer, (begin, end)))
        across.update(zip(layer, room[-1].cumsum() - room[-1] / 2, strict=True))
        begin = end + between
    near: tuple[dict[str, set[str]], ...] = tuple({name: set() for name in span} for _ in range(2))
    for way in ways:
        for source, target in pairwise(way):
            near[0][target].add(source)
            near[1][source].add(target)
    for turn in range(2 * TURNS):
        for at in range(len(layers))[:: 1 - 2 * (turn % 2)]:
            pull = {name: [across[n] for n in near[turn % 2][name]] for name in layers[at]}
            wish = [np.mean(ys) if ys else across[name] for name, ys in pull.items()]
            across.update(zip(layers[at], _apart(np.array(wish), room[at]), strict=True))
    edges = [(name, sizes.get(name, (0.0, 0.0))[1] / 2) for name in across]
    first = min(across[name] - half for name, half in edges)
    last = max(across[name] + half for name, half in edges)
    middle = {
        name: (span[name][0] + sizes.get(name, (0.0, 0.0))[0] / 2, float(y - first))
        for name, y in across.items()
    }
    return Placing(middle, span, (begin - between, float(last - first)))


def untangled(ordered: list[list[str]], dag: "nx.DiGraph[str]") -> list[list[str]]:
    """Order each layer by the mean place of its neighbours (barycentre method), to and fro."""
    place = {node: y for layer in ordered for node, y in even_heights(layer).items()}
    for sweep in range(SWEEPS):
        # To and fro: what comes before a layer orders it from left to right, then what follows it.
        neighbours = dag.predecessors if sweep % 2 == 0 else dag.successors
        for number in range(len(ordered)):
            at = number if sweep % 2 == 0 else -1 - number
            pull = {node: [place[other] for other in neighbours(node)] for node in ordered[at]}
            mean = {node: np.mean(ys) if ys else place[node] for node, ys in pull.items()}
            ordered[at] = sorted(ordered[at], key=mean.__getitem__)
            place |= even_heights(ordered[at])
    return ordered


def even_heights(layer: Sequence[str]) -> dict[str, float]:
    """Return a height in ``(0, 1)`` for each node of a layer, evenly over the whole."""
    return {node: (k + 0.5) / len(layer) for k, node in enumerate(layer)}


def _apart(
    wish: Float[np.ndarray, " boxes"], room: Float[np.ndarray, " boxes"]
) -> Float[np.ndarray, " boxes"]:
    """Return the places nearest to those wished for, in order and with room between them.

    Less the room before each they need only not fall: isotonic regression, by pooling neighbours.
    """
    before = np.cumsum(room) - (room + room[0]) / 2
    pools: list[tuple[float, int]] = []
    for value in wish - before:
        mean, n = float(value), 1
        while pools and pools[-1][0] > mean:
            other, m = pools.pop()
            mean, n = (mean * n + other * m) / (n + m), n + m
        pools.append((mean, n))
    means, sizes = zip(*pools, strict=True)
    places: Float[np.ndarray, " boxes"] = np.repeat(means, sizes) + before
    return places
