"""A composition, and what is recommended where it goes on, drawn in layers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE, Composition
from dagrec_cli.errors import DataError, visible
from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.reporting.plots.drawing import (
    BLUE,
    INK,
    LINE,
    ORANGE,
    PALE,
    PAPER,
    Picture,
    canvas,
    chosen,
    shown,
    style,
)
from dagrec_cli.reporting.plots.layered import Extent, Layering, layered, placed
from dagrec_cli.runs.recommend import Recommender

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NODES = 500
FONT = 8.0
ROW, BOXES_APART, TEXT_ROOM = (
    0.2,
    0.14,
    0.1,
)  # inches: a line, between boxes, beside a text in its box
LAYERS_APART = 0.55  # layers
EDGE, HEAD = 0.2, 0.3
SHAPE = 1.6  # width of a page by its height
HEAD_SIZE = 0.03  # of an arrow
WIDEST_NOTE = 34  # letters
FACES = {"table": LINE, "service": PAPER, "list": PAPER}
EDGES = {"table": PALE, "service": BLUE, "list": LINE}
LEGEND = {
    "table": "data",
    "service": "service",
    "end": "open end",
    "list": "recommended: probability; grey: ruled out by the mask",
}


class Line(NamedTuple):
    """A line of a box: a text, and a share in [0, 1] that a bar shows, if it has one."""

    text: str
    share: float | None = None
    colour: str = INK


class Box(NamedTuple):
    """A node or a list of recommendations: what is written there, of what kind it is."""

    kind: Literal["table", "service", "list"]
    lines: list[Line]
    is_end: bool = False


@style()
def draw_answers(
    recommender: Recommender, given: Path | Sequence[str], answers: Sequence[Answer]
) -> Picture:
    """Return a picture of what is recommended.

    Parameters
    ----------
    given
        The file of one composition, or the names of the nodes of a context.
    answers
        Those to it.

    Raises
    ------
    DataError
        If the file holds several compositions, or one that is too large.
    """
    if isinstance(given, Path):
        items = recommender.compositions(given, needs_link=False)
        drawn = [each for each in items if isinstance(each, Composition)]
        if len(drawn) != 1:
            raise DataError(
                f"{given}: {len(drawn):,} compositions, and a picture shows one; give a file with "
                "one, or write JSON, with output=FILE.json."
            )
        (composition,), name = drawn, given.name
        called = list(composition.ids or composition.names)
        at = [called.index(answer.node or answer.after) for answer in answers]
    else:
        names = tuple(recommender.naming.known(each) or each for each in given)
        is_service = tuple(not each.startswith(PREFIX_TABLE) for each in names)
        composition = Composition(names, is_service, tuple(pairwise(range(len(names)))))
        name, at = "a context", [len(names) - 1] * len(answers)
    run = recommender.run
    chose = visible(f"{chosen(run.result.choices)}, {run.path}")
    figure = completion(composition, dict(zip(at, answers, strict=True)))
    return Picture("completion", f"What comes next: {shown(name)}", "", figure, chose)


@style()
def completion(composition: Composition, answers: Mapping[int, Answer]) -> "Figure":
    """Draw a composition with the answers at its nodes, given by position.

    It runs from left to right, or downwards if that is nearer to the shape of a page.

    Raises
    ------
    DataError
        If there are too many nodes for one picture.
    """
    if (n_nodes := len(composition.names)) > MOST_NODES:
        raise DataError(
            f"the composition has {n_nodes:,} nodes, and a picture shows {MOST_NODES:,}; write "
            "JSON, with output=FILE.json."
        )
    figure = canvas(1, 1)
    figure.set_layout_engine("none")
    boxes = dict(_boxes(composition, answers))
    sizes = {name: _size(figure, box) for name, box in boxes.items()}
    links = [(f"{a}", f"{b}") for a, b in composition.links]
    layering = layered(boxes, [*links, *((f"{node}", f"+{node}") for node in answers)])
    ways_to_draw = [_Drawing(layering, sizes, along) for along in (0, 1)]
    drawing = min(ways_to_draw, key=lambda each: max(each.width, SHAPE * each.height))

    legend = sum(_text_width(figure, text) + 0.55 for text in LEGEND.values())
    width = max(drawing.width, legend)
    figure.set_size_inches(width + 2 * EDGE, drawing.height + HEAD + 2 * EDGE)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-EDGE, width + EDGE), ylim=(drawing.height + EDGE, -HEAD - EDGE))
    axes.set_axis_off()
    _draw_legend(axes, figure)
    for way in layering.ways:
        drawing.draw_link(axes, way)
    for name, box in boxes.items():
        _draw_box(axes, box, drawing.middle(name), sizes[name])
    return figure


class _Drawing:
    """Where everything stands, and how links run, in one of two directions.

    Parameters
    ----------
    along
        Which coordinate grows along the links: 0 from left to right, 1 downwards.
    """

    def __init__(self, layering: Layering, sizes: Mapping[str, Extent], along: int) -> None:
        self.turn = 1 - 2 * along  # of a pair along and across, to x and y
        self.sizes = {name: (size[along], size[1 - along]) for name, size in sizes.items()}
        self.placing = placed(layering, self.sizes, apart=BOXES_APART, between=LAYERS_APART)
        self.width, self.height = self.placing.extent[:: self.turn]

    def middle(self, name: str) -> Extent:
        """Return x and y of the middle of a box."""
        x, y = self.placing.middle[name][:: self.turn]
        return x, y

    def draw_link(self, axes: "Axes", way: Sequence[str]) -> None:
        """Draw a link, bent between layers alone, with an arrow's head where it ends."""
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
        colour, dash = (ORANGE, (0, (3, 2))) if way[-1].startswith("+") else (PALE, "solid")
        path = Outline(np.array(points)[:, :: self.turn], codes)
        look: dict[str, Any] = {"edgecolor": colour, "linestyle": dash, "linewidth": 0.8}
        axes.add_patch(PathPatch(path, fill=False, **look))
        end, level = points[-1]
        head = (end - HEAD_SIZE, level)[:: self.turn]
        axes.plot(*head, ">" if self.turn == 1 else "v", color=colour, markersize=3)


def _boxes(composition: Composition, answers: Mapping[int, Answer]) -> Iterator[tuple[str, Box]]:
    """Yield a box for each node, by its position, and ``+position`` for each answer."""
    new = {name for answer in answers.values() for name in answer.replaced}
    kinds = zip(composition.names, composition.is_service, strict=True)
    for node, (name, is_service) in enumerate(kinds):
        line = Line(_label(name) + " (new)" * (name in new))
        yield f"{node}", Box("service" if is_service else "table", [line], node in answers)
    for node, answer in answers.items():
        yield f"+{node}", Box("list", list(_answer_lines(answer)))


def _answer_lines(answer: Answer) -> Iterator[Line]:
    note = "nothing is known to follow" if answer.known_to_follow == 0 else ""
    for text in wrap(visible(answer.error or note), WIDEST_NOTE):
        yield Line(text, colour=PALE)
    for each in answer.services:
        yield Line(_label(each.service), each.probability, INK if each.allowed else PALE)


def _label(name: str) -> str:
    return shown(name.removeprefix(PREFIX_TABLE).removeprefix(PREFIX_SERVICE))


def _size(figure: "Figure", box: Box) -> Extent:
    widths = [_text_width(figure, line.text) + 0.4 * (line.share is not None) for line in box.lines]
    return max(widths) + 2 * TEXT_ROOM, ROW * len(box.lines) + TEXT_ROOM


def _text_width(figure: "Figure", text: str) -> float:
    """Return how many inches a text takes up."""
    from matplotlib.font_manager import FontProperties

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of Agg
    width, _, _ = renderer.get_text_width_height_descent(text, FontProperties(size=FONT), False)
    return float(width / figure.dpi)


def _draw_box(axes: "Axes", box: Box, middle: Extent, size: Extent) -> None:
    from matplotlib.patches import Rectangle

    left, top = middle[0] - size[0] / 2, middle[1] - size[1] / 2
    _draw_frame(axes, (left, top), size, box.kind, is_end=box.is_end)
    for number, line in enumerate(box.lines):
        y = top + TEXT_ROOM / 2 + ROW * (number + 0.5)
        about: dict[str, Any] = {"fontsize": FONT, "va": "center", "color": line.colour}
        axes.text(left + TEXT_ROOM, y, line.text, **about)
        if line.share is not None:
            place, bar = (left, y - 0.4 * ROW), (line.share * size[0], 0.8 * ROW)
            axes.add_patch(Rectangle(place, *bar, color=BLUE, alpha=0.2, linewidth=0))
            axes.text(left + size[0] - TEXT_ROOM, y, f"{line.share:.2f}", ha="right", **about)


def _draw_frame(
    axes: "Axes", corner: Extent, size: Extent, kind: str, *, is_end: bool = False
) -> None:
    from matplotlib.patches import Rectangle

    look: dict[str, Any] = {
        "facecolor": FACES[kind],
        "edgecolor": ORANGE if is_end else EDGES[kind],
    }
    axes.add_patch(Rectangle(corner, *size, linewidth=1.0, **look))


def _draw_legend(axes: "Axes", figure: "Figure") -> None:
    left, y = 0.0, -HEAD
    for kind, text in LEGEND.items():
        is_end = kind == "end"
        _draw_frame(
            axes, (left, y - 0.06), (0.18, 0.12), "service" if is_end else kind, is_end=is_end
        )
        axes.text(left + 0.25, y, text, fontsize=FONT, va="center", color=PALE)
        left += _text_width(figure, text) + 0.55
