"""One metric of every row: bars with intervals, what was published, and what is possible."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagrec_cli.reporting.plots.style import BLUE, INK, MUTED, ORANGE, canvas, shown, style
from dagrec_cli.reporting.tables import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASHES = ("--", ":", "-.")
ROOM = 1.16  # of the longest bar, for the numbers right of all


@style()
def metric_bars(
    rows: Sequence[Mapping[str, Any]], metric: str, published: Mapping[str, float]
) -> "Figure":
    """Draw a bar per row, from 0, with its 95 % interval; rows without seeds are lines: ceilings.

    Parameters
    ----------
    rows
        Rows of :func:`~dagrec_cli.reporting.comparison.compare` with a summary of ``metric``.
    published
        The published number by name of row, for rows that have one.
    """
    bars = [row for row in rows if row.get("seeds")]
    bounds = [row for row in rows if not row.get("seeds") and metric in row]
    figure = canvas(5, 1.1 + 0.27 * len(bars))
    axes = figure.add_subplot()
    place = range(len(bars))
    means = [row[metric]["mean"] for row in bars]
    lows, highs = ([row[metric][end] for row in bars] for end in ("low", "high"))
    label = f"{'ours, ' if published else ''}95 % interval"
    axes.barh(place, means, height=0.62, color=BLUE, alpha=0.75, label=label)
    axes.hlines(place, lows, highs, color=INK, linewidth=1)
    longest = max([*highs, *(row[metric]["mean"] for row in bounds)]) or 1
    for k, mean in enumerate(means):
        axes.text(1.03 * longest, k, short({"mean": mean}), va="center", fontsize=8)
    for row, dash in zip(bounds, DASHES, strict=False):
        level = row[metric]["mean"]
        told = f"{row['row']} {short({'mean': level})}"
        axes.axvline(level, color=MUTED, linestyle=dash, linewidth=1.2, label=told)
    marks = [(published[row["row"]], k) for k, row in enumerate(bars) if row["row"] in published]
    if marks:
        axes.plot(*zip(*marks, strict=True), "D", color=ORANGE, markersize=4, label="published")
    axes.set_yticks(place, [shown(row["row"]) for row in bars])
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(bars) - 0.5, -0.5), xlim=(0, ROOM * longest))
    axes.grid(axis="x")
    if marks or bounds:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure
