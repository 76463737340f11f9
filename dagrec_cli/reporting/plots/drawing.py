"""What all pictures share: title and caption, type, colours, cells, labels, names from data.

Each colour has a name, which the report's style sheet gives a second value for dark screens.
Pictures are drawn without pyplot: no window, no global state, less time to import.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from dagrec_cli.errors import visible
from dagrec_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

PAPER, INK, PALE, LINE = "#ffffff", "#1f2328", "#6a737d", "#d5dae0"
BLUE, ORANGE = "#2f6db5", "#bf5310"
VARIABLES = {
    PAPER: "paper",
    INK: "ink",
    PALE: "muted",
    LINE: "line",
    BLUE: "blue",
    ORANGE: "orange",
}
LONGEST_NAME = 35
LETTER = 0.078  # inches
LINE_HEIGHT, MARGIN = 0.17, 0.08  # inches, of what stands above and below a picture
SIZE, SMALL = 9, 8  # of type, in points
AROUND = ("title", "about", "caption")  # ids of what stands above and below
METADATA: dict[str, Any] = {  # no time stamp: equal runs give equal files
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
PictureForm = Literal["png", "svg"]
PIXELS_PER_INCH = 96
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": PALE,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": PAPER,
    "font.size": SIZE,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: to search, to copy, to read aloud
    "svg.hashsalt": "dagrec",  # equal pictures, equal ids
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.color": PALE,
    "ytick.labelcolor": INK,
}
HALF = 0.47  # of a cell's side
CORNERS = ((-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF))
FULLEST = 0.6  # opacity of a cell; text stays readable on it
BACKGROUND = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}  # of a label
POINT = 8  # pixels that a point takes up


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in this style; as a decorator, or with ``with``."""
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names from data
        yield


def canvas(width: float, height: float) -> "Figure":
    """Return an empty figure of that many inches.

    Its canvas keeps what measures text; without one, matplotlib makes a picture for each text.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def put_legend(figure: "Figure") -> None:
    """Write a legend below a figure's axes."""
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=SMALL)


@dataclass(frozen=True)
class Picture:
    """A figure with what is said about it; its files say it too, so that each stands alone.

    Attributes
    ----------
    name
        Name of its files, without ending; unique in a report.
    title
        One line above.
    caption
        What to see in it, below.
    about
        Second line above: what was drawn, such as a row and its data.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"
    about: str = ""

    def save(self, folder: RunFolder, *forms: PictureForm) -> None:
        """Write ``<name>.png`` or ``<name>.svg`` or both."""
        for form in forms:
            folder.write_bytes(f"{self.name}.{form}", self.drawn(form))

    def drawn(self, form: PictureForm) -> bytes:
        """Return a file's content."""
        file = BytesIO()
        with style():
            look = {"bbox_inches": self._whole, "metadata": METADATA[form]}
            self.figure.savefig(file, format=form, dpi=150, **look)
        return file.getvalue()

    @property
    def width(self) -> int:
        """Its natural width in pixels of a page."""
        return round(self.figure.get_figwidth() * PIXELS_PER_INCH)

    @property
    def view_box(self) -> str:
        """The figure's part of its SVG, which a page shows with words of its own around it."""
        width, height = (72 * self.figure.get_size_inches()).tolist()
        return f"0 {72 * self._whole.y1 - height:g} {width:g} {height:g}"

    @cached_property
    def _whole(self) -> "Bbox":
        """Write what stands above and below the figure; return what all takes up, in inches."""
        from matplotlib.transforms import Bbox

        figure = self.figure
        if layout := figure.get_layout_engine():
            layout.execute(figure)
        figure.set_layout_engine(None)  # laid out once; with one, each writing draws twice
        for legend in figure.legends:  # else it moves to the end of all
            legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)
        width, height = figure.get_size_inches().tolist()
        top, bottom = height + MARGIN, -MARGIN

        def put(part: str, text: str, y: float, size: int, **look: Any) -> float:
            lines = wrap(visible(text), int((width - 2 * MARGIN) / LETTER * SIZE / size))
            place = {"x": MARGIN / width, "y": y / height, "s": "\n".join(lines)}
            figure.text(**place, gid=part, fontsize=size, **look)
            return LINE_HEIGHT * len(lines)

        top += put("about", self.about, top, SMALL, va="bottom", color=PALE)
        top += put("title", self.title, top, SIZE, va="bottom", weight="bold")
        bottom -= put("caption", self.caption, bottom, SMALL, va="top", color=PALE)
        return Bbox([[0, bottom - MARGIN], [width, top + MARGIN]])


def chosen(
    choices: Mapping[str, str | None], groups: Sequence[str] = ("model", "loss", "data", "split")
) -> str:
    """Return options as a command line names them: ``data=geoportal split=paper``."""
    return " ".join(f"{group}={choices[group]}" for group in groups if choices.get(group))


def shown(name: str) -> str:
    """Return a name fit for a picture: short, in one line, without control characters."""
    text = "".join(c if c.isprintable() else "·" for c in name)
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


def room(names: Iterable[str]) -> float:
    """Return how many inches the longest of some names takes up."""
    return LETTER * max(len(shown(name)) for name in names)


def draw_cells(
    axes: "Axes",
    shares: Float[np.ndarray, "rows columns"],
    texts: list[list[str]],
    *,
    fontsize: float = 8,
) -> None:
    """Draw a cell per share: the larger the share, the fuller the colour; row 0 is on top.

    The colour is see-through, so that the same cell is pale on a light page and dim on a dark one.

    Parameters
    ----------
    shares
        Numbers in ``[0, 1]``; NaN for no cell.
    texts
        What stands in each cell, ``[rows][columns]``; without a text there is no cell.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    n_rows, n_columns = shares.shape
    filled = [(r, c) for r, c in np.argwhere(~np.isnan(shares)) if texts[r][c]]
    corners = [[(c + x, r + y) for x, y in CORNERS] for r, c in filled]
    colours = [to_rgba(BLUE, FULLEST * float(shares[cell])) for cell in filled]
    axes.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0), autolim=False)
    for r, c in filled:
        text = axes.text(c, r, texts[r][c], ha="center", va="center", fontsize=fontsize)
        text.set_in_layout(False)  # it lies inside; to measure hundreds of them takes longest
    axes.set(xlim=(-0.5, n_columns - 0.5), ylim=(n_rows - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.hlines(np.arange(n_rows) + 0.5, -0.5, n_columns - 0.5, color=LINE, linewidth=0.5)


class Spot(NamedTuple):
    """Where a label may go: at a point, ``offset`` points away from it, to one side of that."""

    point: tuple[float, float]
    offset: tuple[float, float] = (0, 0)
    side: Literal["left", "center", "right"] = "center"


class Labels:
    """Writes labels that do not cover each other: each at the first of its spots that is free.

    Parameters
    ----------
    axes
        What to write on; its limits and layout are settled.
    """

    def __init__(self, axes: "Axes") -> None:
        self.axes = axes
        self.taken: list[tuple[float, ...]] = []  # left, bottom, right, top of each, in pixels

    def keep_free(self, points: Iterable[tuple[float, float]]) -> None:
        """Let no label cover these points."""
        half = POINT / 2
        for x, y in self.axes.transData.transform(list(points)).tolist():
            self.taken.append((x - half, y - half, x + half, y + half))

    def write(self, text: str, spots: Iterable[Spot], **look: Any) -> bool:
        """Write a label at the first free spot; return False if there is none."""
        label = self.axes.annotate(
            text, (0, 0), (0, 0), textcoords="offset points", va="center", **look
        )
        for point, offset, side in spots:
            label.xy, label.xyann = point, offset
            label.set_horizontalalignment(side)
            x0, y0, x1, y1 = map(float, label.get_window_extent().extents)
            if not (self.axes.bbox.x0 <= x0 and x1 <= self.axes.bbox.x1):
                continue
            # plain numbers: thousands of comparisons of matplotlib's boxes take seconds
            if all(c < x0 or x1 < a or d < y0 or y1 < b for a, b, c, d in self.taken):
                self.taken.append((x0, y0, x1, y1))
                return True
        label.remove()
        return False
