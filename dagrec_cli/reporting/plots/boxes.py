"""Boxes in layers, with links between them: a composition, or the graph of services."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE
from dagrec_cli.reporting.plots.drawing import (
    BLUE,
    INK,
    LINE,
    ORANGE,
    PALE,
    PAPER,
    SMALL,
    canvas,
    shown,
)
from dagrec_cli.reporting.plots.layered import Extent, layered, placed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In inches: a line, between boxes, beside a text in its box.
ROW, BOXES_APART, TEXT_ROOM = 0.2, 0.14, 0.1
EDGE, HEAD = 0.2, 0.3
FEW_BOXES = 10  # boxes in a layer
SHAPE = 1.6  # width of a page by its height
HEAD_SIZE = 0.03  # of an arrow
FACES = {"table": LINE, "service": PAPER, "end": PAPER, "list": PAPER}
EDGES = {"table": PALE, "service": BLUE, "end": ORANGE, "list": LINE}
BoxKind: TypeAlias = Literal["table", "service", "end", "list"]
LEGEND: dict[BoxKind, str] = {
    "table": "data",
    "service": "service",
    "end": "open end",
    "list": "recommended: probability; grey: ruled out by the mask",
}
Curve: TypeAlias = Float[np.ndarray, "4 2"]


class Line(NamedTuple):
    """A line of a box: a text, and a share in [0, 1] that a bar shows, if it has one."""

    text: str
    share: float | None = None
    colour: str = INK


class Box(NamedTuple):
    """A node or a list of recommendations: of what kind it is, what is written there."""

    kind: BoxKind
    lines: list[Line]
    is_end: bool = False


def label(name: str) -> str:
    """Return a node's name without its prefix, unless a bare number is left."""
    bare = name.removeprefix(PREFIX_TABLE).removeprefix(PREFIX_SERVICE)
    return shown(name if bare.isdigit() else bare)


class BoxDrawing:
    """Draws boxes in layers, from left to right, or downwards if that is nearer to a page's shape.

    Parameters
    ----------
    boxes
        By name.
    links
        Between them, acyclic.
    apart
        Inches between layers of few boxes.
    """

    def __init__(
        self, boxes: Mapping[str, Box], links: Sequence[tuple[str, str]], apart: float
    ) -> None:
        self.figure = canvas(1, 1)
        self.figure.set_layout_engine("none")
        sizes = {name: _size(self.figure, box) for name, box in boxes.items()}
        layering = layered(boxes, links)
        self.ways = layering.ways
        most = max(sum(name in boxes for name in layer) for layer in layering.layers)
        between = apart * max(1.0, most / FEW_BOXES)  # links of many boxes need room to fan out

        def spread_out(along: int) -> tuple[float, float]:
            """Place all, links along the first coordinate or the second; return what it takes."""
            self.turn = 1 - 2 * along  # of a pair along and across, to x and y
            self.sizes = {name: (size[along], size[1 - along]) for name, size in sizes.items()}
            self.placing = placed(layering, self.sizes, apart=BOXES_APART, between=between)
            width, height = self.placing.extent[:: self.turn]
            return width, height

        extents = [spread_out(along) for along in (0, 1)]
        worst = [max(width, SHAPE * height) for width, height in extents]
        width, height = spread_out(worst.index(min(worst)))
        there = {box.kind for box in boxes.values()}
        there |= {"end"} if any(box.is_end for box in boxes.values()) else set()
        kinds = [kind for kind in LEGEND if kind in there]
        width = max(width, sum(_text_width(self.figure, LEGEND[kind]) + 0.55 for kind in kinds))
        self.figure.set_size_inches(width + 2 * EDGE, height + HEAD + 2 * EDGE)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(-EDGE, width + EDGE), ylim=(height + EDGE, -HEAD - EDGE))
        self.axes.set_axis_off()
        self._draw_legend(kinds)
        for name, box in boxes.items():
            _draw_box(self.axes, box, *self.place_of(name))

    def place_of(self, name: str) -> tuple[Extent, Extent]:
        """Return left and top of a box, and its size."""
        x, y = self.placing.middle[name][:: self.turn]
        width, height = self.sizes[name][:: self.turn]
        return (x - width / 2, y - height / 2), (width, height)

    def draw_link(self, way: Sequence[str], *, is_back: bool = False, **look: Any) -> Curve:
        """Draw a link, bent between layers alone, with an arrow's head where it ends.

        Parameters
        ----------
        is_back
            Whether it ends where its way begins.

        Returns
        -------
        The control points of its last bend.
        """
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Outline

        middle, span = self.placing.middle, self.placing.span
        begin, level = middle[way[0]]
        points, codes = [(begin + self.sizes[way[0]][0] / 2, level)], [Outline.MOVETO]
        for name, following in pairwise(way):
            leave, enter = span[name][1], span[following][0]
            level, other = middle[name][1], middle[following][1]
            half = (leave + enter) / 2
            points += [(leave, level), (half, level), (half, other), (enter, other)]
            codes += [Outline.LINETO, *[Outline.CURVE4] * 3]
        turned = np.array(points)[:, :: self.turn]
        look = {"linewidth": 0.8, "edgecolor": PALE} | look
        patch = PathPatch(Outline(turned, codes), fill=False, zorder=0.5, **look)
        self.axes.add_patch(patch)
        (end, level), sign = (points[0], "<^") if is_back else (points[-1], ">v")
        head = (end + (HEAD_SIZE if is_back else -HEAD_SIZE), level)[:: self.turn]
        self.axes.plot(*head, sign[self.turn < 0], color=look["edgecolor"], markersize=3)
        return turned[-4:]

    def _draw_legend(self, kinds: Iterable[BoxKind]) -> None:
        left, y = 0.0, -HEAD
        for kind in kinds:
            _draw_frame(self.axes, (left, y - 0.06), (0.18, 0.12), kind, kind)
            look: dict[str, Any] = {"fontsize": SMALL, "va": "center", "color": PALE}
            self.axes.text(left + 0.25, y, LEGEND[kind], **look)
            left += _text_width(self.figure, LEGEND[kind]) + 0.55


def _size(figure: "Figure", box: Box) -> Extent:
    widths = [_text_width(figure, line.text) + 0.4 * (line.share is not None) for line in box.lines]
    return max(widths) + 2 * TEXT_ROOM, ROW * len(box.lines) + TEXT_ROOM


def _text_width(figure: "Figure", text: str) -> float:
    """Return how many inches a text takes up."""
    from matplotlib.font_manager import FontProperties

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of Agg
    width, _, _ = renderer.get_text_width_height_descent(text, FontProperties(size=SMALL), False)
    return float(width / figure.dpi)


def _draw_box(axes: "Axes", box: Box, corner: Extent, size: Extent) -> None:
    from matplotlib.patches import Rectangle

    left, top = corner
    _draw_frame(axes, corner, size, box.kind, "end" if box.is_end else box.kind)
    for number, line in enumerate(box.lines):
        y = top + TEXT_ROOM / 2 + ROW * (number + 0.5)
        about: dict[str, Any] = {"fontsize": SMALL, "va": "center", "color": line.colour}
        axes.text(left + TEXT_ROOM, y, line.text, **about)
        if line.share is not None:
            place, bar = (left, y - 0.4 * ROW), (line.share * size[0], 0.8 * ROW)
            axes.add_patch(Rectangle(place, *bar, color=BLUE, alpha=0.2, linewidth=0))
            axes.text(left + size[0] - TEXT_ROOM, y, f"{line.share:.2f}", ha="right", **about)


def _draw_frame(axes: "Axes", corner: Extent, size: Extent, face: BoxKind, edge: BoxKind) -> None:
    from matplotlib.patches import Rectangle

    look: dict[str, Any] = {"facecolor": FACES[face], "edgecolor": EDGES[edge]}
    axes.add_patch(Rectangle(corner, *size, linewidth=1.0, **look))
