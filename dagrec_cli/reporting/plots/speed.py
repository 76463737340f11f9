"""What a row costs and what it gives: a metric against seconds per epoch."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from dagrec_cli.reporting.plots.style import BLUE, MUTED, canvas, shown, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

DISTANCES = [0, 10, -10, 20, -20, 30, -30, 42, -42]  # of a label from its point, in points


@style()
def speed(rows: Sequence[Mapping[str, Any]], metric: str) -> "Figure":
    """Draw a point per row with its 95 % interval; time goes by powers of ten."""
    figure, axes = canvas(5, 3.4)
    seconds = [row["seconds_per_epoch"] for row in rows]
    means = [row[metric]["mean"] for row in rows]
    below = [row[metric]["mean"] - row[metric]["low"] for row in rows]
    above = [row[metric]["high"] - row[metric]["mean"] for row in rows]
    axes.errorbar(seconds, means, [below, above], fmt="none", ecolor=MUTED, alpha=0.5, elinewidth=1)
    axes.plot(seconds, means, "o", color=BLUE, markersize=6)
    axes.set(xscale="log", xlabel="seconds per epoch (training step)", ylabel=metric)
    axes.set_xlim(min(seconds) / 2, max(seconds) * 3)
    axes.grid()
    figure.draw_without_rendering()  # sizes are known from here on
    taken: list[BboxBase] = []
    for row in rows:
        _label(axes, shown(row["row"]), row["seconds_per_epoch"], row[metric]["mean"], taken)
    return figure


def _label(axes: "Axes", text: str, x: float, y: float, taken: list["BboxBase"]) -> None:
    """Write a label beside its point, at the first place where it covers no other label."""
    for dy, (dx, side) in product(DISTANCES, ((7, "left"), (-7, "right"))):
        label = axes.annotate(
            text, (x, y), (dx, dy), textcoords="offset points", ha=side, va="center", fontsize=8
        )
        box = label.get_window_extent()
        inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        if inside and not any(box.overlaps(other) for other in taken):
            break
        label.remove()
    else:
        label = axes.annotate(text, (x, y), (7, 0), textcoords="offset points", fontsize=8)
    taken.append(label.get_window_extent())
