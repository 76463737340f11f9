"""What a row costs and what it gives: a metric against seconds per epoch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagrec_cli.reporting.plots.labels import Labels, Spot
from dagrec_cli.reporting.plots.style import BLUE, MUTED, canvas, shown, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DISTANCES = [0, 10, -10, 20, -20, 30, -30, 40, -40, 50, -50]  # of a label from its point, in points


@style()
def speed(rows: Sequence[Mapping[str, Any]], metric: str) -> "Figure":
    """Draw a point per row with its 95 % interval; time goes by powers of ten."""
    from matplotlib.ticker import LogLocator

    figure = canvas(5, 3.4)
    axes = figure.add_subplot()
    seconds = [row["seconds_per_epoch"] for row in rows]
    means = [row[metric]["mean"] for row in rows]
    below = [row[metric]["mean"] - row[metric]["low"] for row in rows]
    above = [row[metric]["high"] - row[metric]["mean"] for row in rows]
    axes.errorbar(seconds, means, [below, above], fmt="none", ecolor=MUTED, alpha=0.5, elinewidth=1)
    axes.plot(seconds, means, "o", color=BLUE, markersize=6)
    axes.set(xscale="log", xlabel="seconds per epoch (training step)", ylabel=metric)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlim(min(seconds) / 2, max(seconds) * 3)
    axes.grid()
    figure.draw_without_rendering()  # settles the layout
    labels = Labels(axes)
    labels.keep_free(zip(seconds, means, strict=True))
    for row in rows:
        point = (row["seconds_per_epoch"], row[metric]["mean"])
        labels.write(shown(row["row"]), _around(point), fontsize=8)
    return figure


def _around(point: tuple[float, float]) -> Iterator[Spot]:
    """Yield spots right and left of a point, further and further above and below it."""
    for dy in DISTANCES:
        yield Spot(point, (7, dy), "left")
        yield Spot(point, (-7, dy), "right")
