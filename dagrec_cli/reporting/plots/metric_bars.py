"""One metric of every row of a table: bars with intervals, and what was published."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagrec_cli.reporting.plots.style import BLUE, INK, MUTED, ORANGE, canvas, shown, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style()
def metric_bars(
    rows: Sequence[Mapping[str, Any]], metric: str, published: Mapping[str, float]
) -> "Figure":
    """Draw a bar per row, from 0, with its 95 % interval; rows without seeds are bounds.

    Parameters
    ----------
    rows
        Rows of :func:`~dagrec_cli.reporting.comparison.compare` with a summary of ``metric``.
    published
        The published number by name of row, for rows that have one.
    """
    figure = canvas(5, 0.7 + 0.27 * len(rows))
    axes = figure.add_subplot()
    place = range(len(rows))
    means = [row[metric]["mean"] for row in rows]
    below = [row[metric]["mean"] - row[metric]["low"] for row in rows]
    above = [row[metric]["high"] - row[metric]["mean"] for row in rows]
    colours = [BLUE if row.get("seeds") else MUTED for row in rows]
    axes.barh(place, means, height=0.62, color=colours, alpha=0.75)
    axes.errorbar(means, place, xerr=[below, above], fmt="none", ecolor=INK, elinewidth=1)
    told = [(published[row["row"]], k) for k, row in enumerate(rows) if row["row"] in published]
    if told:
        axes.plot(*zip(*told, strict=True), "D", color=ORANGE, markersize=4, label="published")
    axes.set_yticks(place, [shown(row["row"]) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x")
    return figure
