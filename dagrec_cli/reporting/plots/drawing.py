"""What all pictures share: title and caption, type, colours, labels, names from data.

Each colour has a name, which the report's style sheet gives a second value for dark screens.
Pictures are drawn without pyplot: no window, no global state, less time to import.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from unicodedata import east_asian_width

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
FONT = "DejaVu Sans"  # it comes with matplotlib
OTHER_FONTS = (  # of which those that are installed have Chinese, Japanese and Korean
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Unifont"),
    *("Microsoft YaHei", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Arial Unicode MS"),
)
NOT_SHOWN = "Boxes are characters that no installed font has; as SVG they are shown."
BACKGROUND = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}  # of a label
POINT = 8  # pixels that a point takes up


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in this style; as a decorator, or with ``with``."""
    from matplotlib import rc_context

    with rc_context({**STYLE, "font.family": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names from data
        yield


def _fonts() -> list[str]:
    """Return the fonts to draw with: each has what those before it lack."""
    from matplotlib.font_manager import fontManager

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # not all can be bold
    installed = {entry.name for entry in fontManager.ttflist}
    return [FONT, *(name for name in OTHER_FONTS if name in installed)]


def _is_shown(figure: "Figure") -> bool:
    """Return whether the fonts have all characters that are written on a figure."""
    from matplotlib.font_manager import findfont, get_font
    from matplotlib.text import Text

    texts = (text.get_text() for text in figure.findobj(Text))
    lacking = {ord(c) for text in texts for c in text if not c.isascii()}
    for name in _fonts() if lacking else ():
        lacking -= get_font(findfont(name)).get_charmap().keys()
    return not lacking


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
        caption = self.caption if _is_shown(figure) else f"{self.caption} {NOT_SHOWN}".lstrip()
        bottom -= put("caption", caption, bottom, SMALL, va="top", color=PALE)
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
    """Return how many inches the longest of some names takes up; some letters are wide."""
    return LETTER * max(sum(1 + 0.6 * is_wide(c) for c in shown(name)) for name in names)


def is_wide(letter: str) -> bool:
    """Return whether a letter takes up about twice the room of others, as Chinese ones do."""
    return east_asian_width(letter) in "WF"


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
