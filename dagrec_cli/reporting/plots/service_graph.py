"""The service graph: its heaviest edges, in layers, frequent steps as broad lines.

An edge that would close a cycle with heavier ones is drawn against the direction of the others.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from dagrec_cli.reporting.plots.boxes import Box, BoxDrawing, Curve, Line, label
from dagrec_cli.reporting.plots.drawing import BACKGROUND, ORANGE, PALE, Labels, Spot, style
from dagrec_cli.runs.run import Edge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DRAWN, MOST_EDGES = 40, 80
GAP = 0.9  # inches
NUMBER_SIZE = 6.5  # points
SHARES = (0.5, 0.6, 0.4, 0.7, 0.3)  # of the way along an edge, between layers: for its number


def heaviest(edges: Sequence[Edge]) -> list[Edge]:
    """Return as many edges, heaviest first, as a picture has room for, also for their nodes."""
    nodes: set[str] = set()
    kept = []
    for edge in edges:
        new = {edge.source, edge.target} - nodes
        if len(nodes) + len(new) <= MOST_DRAWN:
            nodes |= new
            kept.append(edge)
            if len(kept) == MOST_EDGES:
                break
    return kept


def directed(edges: Sequence[Edge]) -> list[tuple[str, str]]:
    """Return each edge's link from left to right: turned round where it closes a cycle.

    Parameters
    ----------
    edges
        Heaviest first, so that of a cycle the lightest is turned; none from a node to itself.
    """
    dag: nx.DiGraph[str] = nx.DiGraph()
    links = []
    for source, target, _ in edges:
        dag.add_nodes_from((source, target))
        is_back = nx.has_path(dag, target, source)
        links.append((target, source) if is_back else (source, target))
        dag.add_edge(*links[-1])
    return links


@style()
def service_graph(edges: Sequence[Edge], services: frozenset[str]) -> "Figure":
    """Draw edges, with their weights where there is room.

    Parameters
    ----------
    edges
        Heaviest first.
    services
        Names of the nodes that are services.
    """
    itself = {edge.source: edge.weight for edge in edges if edge.source == edge.target}
    between = [edge for edge in edges if edge.source != edge.target]
    boxes = {}
    for name in dict.fromkeys(node for edge in edges for node in edge[:2]):
        again = f" ↻ {itself[name]:,}" if name in itself else ""
        boxes[name] = Box("service" if name in services else "table", [Line(label(name) + again)])
    drawing = BoxDrawing(boxes, directed(between), GAP)
    labels = Labels(drawing.axes)
    for edge, way in zip(between, drawing.ways, strict=True):
        is_back = way[0] == edge.target
        curve = drawing.draw_link(
            way,
            is_back=is_back,
            edgecolor=ORANGE if is_back else PALE,
            linewidth=0.5 + 4.5 * np.sqrt(edge.weight / edges[0].weight),
            alpha=0.45,
        )
        spots = [Spot(_on(curve, share)) for share in SHARES]
        labels.write(f"{edge.weight:,}", spots, fontsize=NUMBER_SIZE, bbox=BACKGROUND)
    return drawing.figure


def _on(curve: Curve, share: float) -> tuple[float, float]:
    """Return the point of a curve after a share of its way (Bernstein polynomials)."""
    rest = 1 - share
    weights = np.array([rest**3, 3 * rest**2 * share, 3 * rest * share**2, share**3])
    x, y = weights @ curve
    return float(x), float(y)
