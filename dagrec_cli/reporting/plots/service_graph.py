"""The service graph, drawn in layers from left to right, frequent steps as broad lines.

A step that would close a cycle with heavier ones is drawn, but has no say in the layers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import networkx as nx
import numpy as np
from jaxtyping import Float

from dagrec_cli.reporting.plots.drawing import (
    BACKGROUND,
    BLUE,
    ORANGE,
    PALE,
    Labels,
    Spot,
    canvas,
    room,
    shown,
    style,
)
from dagrec_cli.reporting.plots.layered import even_heights, untangled
from dagrec_cli.runs.run import Edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_EDGES = 100
FAN, GAP = 1.8, 1.0  # inches right of the first layer, and right of another layer's names
LABEL_SHARES = (0.3, 0.4, 0.5, 0.2, 0.6, 0.7, 0.15, 0.8)  # of the way along an edge
Place = tuple[float, float]
Curve: TypeAlias = Float[np.ndarray, "4 2"]


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
    return untangled([sorted(layer) for layer in nx.topological_generations(dag)], dag)


@style()
def service_graph(edges: Sequence[Edge], services: frozenset[str]) -> "Figure":
    """Draw edges, with their weights where there is room; tables are squares, services circles.

    Parameters
    ----------
    edges
        Heaviest first.
    services
        Names of the nodes that are services.
    """
    # A layer's names stand right of its nodes, but those of the first stand left of them; the gap
    # to the next layer has room for the longest, the first gap for the edges that fan out there.
    columns = layers(edges)
    height = {node: y for layer in columns for node, y in even_heights(layer).items()}
    before, *between = 0.3 + room(columns[0]), FAN, *(GAP + room(layer) for layer in columns[1:])
    *lefts, right = np.cumsum([0, *between]).tolist()
    at = zip(lefts, columns, strict=True)
    place = {node: (x, height[node]) for x, layer in at for node in layer}
    figure = canvas(before + right, 0.4 + 0.26 * max(map(len, columns)))
    axes = figure.add_subplot()
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set(xlim=(-before, right), ylim=(1, 0))
    axes.set_axis_off()
    labels = Labels(axes)  # names first: they must stand, while weights may be left out
    for node, point in place.items():
        is_first, is_service = point[0] == 0, node in services
        axes.plot(*point, "os"[not is_service], color=BLUE if is_service else PALE, zorder=3)
        spot = Spot(point, (-7, 0), "right") if is_first else Spot(point, (7, 0), "left")
        labels.write(shown(node), [spot], fontsize=8, bbox=BACKGROUND)
    for edge in edges:
        curve = _curve(place[edge.source], place[edge.target])
        _draw(axes, curve, edge.weight / edges[0].weight)
        spots = [Spot(_on(curve, share)) for share in LABEL_SHARES]
        labels.write(f"{edge.weight:,}", spots, fontsize=6.5, bbox=BACKGROUND)
    return figure


def _curve(start: Place, end: Place) -> Curve:
    """Return the control points of a curve, level at both ends."""
    (x0, y0), (x1, y1) = start, end
    bend = (x1 - x0) / 2 if x1 > x0 else GAP / 2
    return np.array([(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)])


def _on(curve: Curve, share: float) -> Place:
    """Return the point of a curve after a share of its way (Bernstein polynomials)."""
    rest = 1 - share
    weights = np.array([rest**3, 3 * rest**2 * share, 3 * rest * share**2, share**3])
    x, y = weights @ curve
    return float(x), float(y)


def _draw(axes: "Axes", curve: Curve, weight: float) -> None:
    """Draw an edge, whose weight is a share of the heaviest."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    path = Path(curve, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    colour = PALE if curve[0, 0] < curve[-1, 0] else ORANGE
    width = 0.5 + 4.5 * np.sqrt(weight)
    axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linewidth=width, alpha=0.45))
