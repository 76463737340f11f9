"""The service graph, drawn in layers from left to right, frequent steps as broad lines.

A step that would close a cycle with heavier ones is drawn, but has no say in the layers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from dagrec_cli.reporting.plots.style import BLUE, INK, MUTED, ORANGE, canvas, shown, style
from dagrec_cli.reporting.runs import Edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_EDGES = 120
SWEEPS = 12
Place = tuple[float, float]


def layers(edges: Sequence[Edge]) -> list[list[str]]:
    """Return the nodes by layer, each right of all that come before it; few edges cross.

    Parameters
    ----------
    edges
        Heaviest first: of the edges of a cycle the lightest is turned a blind eye.
    """
    dag: nx.DiGraph[str] = nx.DiGraph()
    for source, target, _ in edges:
        dag.add_nodes_from((source, target))
        if not nx.has_path(dag, target, source):
            dag.add_edge(source, target)
    return _untangled([sorted(layer) for layer in nx.topological_generations(dag)], dag)


def _untangled(found: list[list[str]], dag: "nx.DiGraph[str]") -> list[list[str]]:
    """Order each layer by the mean place of its neighbours (barycentre method), to and fro."""
    place = {node: y for layer in found for node, y in _spread(layer).items()}
    for sweep in range(SWEEPS):
        neighbours = dag.predecessors if sweep % 2 == 0 else dag.successors
        for number in range(len(found)):
            at = number if sweep % 2 == 0 else -1 - number
            pull = {node: [place[other] for other in neighbours(node)] for node in found[at]}
            mean = {node: np.mean(ys) if ys else place[node] for node, ys in pull.items()}
            found[at] = sorted(found[at], key=mean.__getitem__)
            place |= _spread(found[at])
    return found


def _spread(layer: Sequence[str]) -> dict[str, float]:
    """Return a height for each node of a layer, centred on 0."""
    return {node: k - (len(layer) - 1) / 2 for k, node in enumerate(layer)}


@style()
def service_graph(edges: Sequence[Edge], services: frozenset[str]) -> "Figure":
    """Draw edges with their weights; tables are squares, services circles.

    Parameters
    ----------
    edges
        Heaviest first.
    services
        Names of the nodes that are services.
    """
    found = layers(edges)
    tallest = max(map(len, found))
    figure, axes = canvas(1 + 1.9 * len(found), 0.6 + 0.23 * tallest)
    height = {node: y for layer in found for node, y in _spread(layer).items()}
    place = {node: (float(x), height[node]) for x, layer in enumerate(found) for node in layer}
    for edge in edges:
        _draw_edge(axes, place[edge.source], place[edge.target], edge.weight, edges[0].weight)
    for nodes, marker, colour in (
        (place.keys() - services, "s", MUTED),
        (place.keys() & services, "o", BLUE),
    ):
        points = [place[node] for node in sorted(nodes)]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=6, zorder=3)
    for node, (x, y) in place.items():
        axes.annotate(
            shown(node), (x, y), (0, 6), textcoords="offset points", ha="center", fontsize=7
        )
    axes.set(xlim=(-0.35, len(found) - 0.65), ylim=(tallest / 2, -tallest / 2 - 0.5))
    axes.set_axis_off()
    return figure


def _draw_edge(axes: "Axes", start: Place, end: Place, weight: int, heaviest: int) -> None:
    """Draw a curve, level at both ends, and its weight near the start."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x0, y0), (x1, y1) = start, end
    goes_on = x1 > x0
    bend = (x1 - x0) / 2 if goes_on else 0.3
    points = np.array([(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)])
    curve = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    width = 0.5 + 4.5 * np.sqrt(weight / heaviest)
    colour = MUTED if goes_on else ORANGE
    axes.add_patch(PathPatch(curve, fill=False, edgecolor=colour, linewidth=width, alpha=0.45))
    shares = np.array([0.343, 0.441, 0.189, 0.027])  # Bernstein polynomials at 0.3
    x, y = shares @ points
    axes.text(x, y, f"{weight:,}", ha="center", va="center", fontsize=6, color=INK)
