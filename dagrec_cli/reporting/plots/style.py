"""How all pictures look: type, colours, and names that come from data.

Each colour has a name, which the report's style sheet gives a second value for dark screens.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER, INK, MUTED, LINE = "#ffffff", "#1f2328", "#6a737d", "#d5dae0"
BLUE, ORANGE = "#2f6db5", "#bf5310"
VARIABLES = {
    PAPER: "paper",
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    BLUE: "blue",
    ORANGE: "orange",
}
LONGEST_NAME = 35
LETTER = 0.078  # inches
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": PAPER,
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: to search, to copy, to read aloud
    "svg.hashsalt": "dagrec",  # equal pictures, equal ids
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in this style; as a decorator, or with ``with``."""
    from matplotlib import rc_context

    with rc_context(STYLE):
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


def shown(name: str) -> str:
    """Return a name fit for a picture: short, in one line, without control characters."""
    text = "".join(c if c.isprintable() else "·" for c in name)
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


def room(names: Iterable[str]) -> float:
    """Return how many inches the longest of some names takes up."""
    return LETTER * max(len(shown(name)) for name in names)
