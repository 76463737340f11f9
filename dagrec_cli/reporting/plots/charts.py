"""Lines, bars and points: epochs, what each row gives and costs, and what a search tried."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dagrec_cli.evaluation.calibration import Bin
from dagrec_cli.reporting.plots.drawing import (
    BLUE,
    INK,
    ORANGE,
    PALE,
    SMALL,
    Labels,
    Picture,
    Spot,
    canvas,
    put_legend,
    room,
    shown,
    style,
)
from dagrec_cli.reporting.tables import heading, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = "from the lowest to the highest, of those that reached the epoch"
DASHES = ("--", ":", "-.")
ROOM = 1.16  # of the longest bar, for the numbers right of all
DISTANCES = [0, 10, -10, 20, -20, 30, -30, 40, -40, 50, -50]  # of a label from its point, in points
PANELS = 4  # of a search, side by side
DECADE = 10  # from this ratio of the largest to the smallest value on, an axis is logarithmic


@style()
def learning_curve(
    name: str, about: str, histories: Sequence[Sequence[Mapping[str, float]]], monitor: str
) -> Picture:
    """Return mean and range, over trainings, of loss, dashed where refitted, and validation.

    Parameters
    ----------
    name, about
        Of the picture.
    histories
        Of each training, rows of :class:`~dagrec_cli.training.state.History`.
    monitor
        Name of the validation metric.
    """
    figure = canvas(5, 3.2)
    axes = figure.add_subplot()
    axes.grid()
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss", color=BLUE)
    first = [[row for row in rows if "refit" not in row] for rows in histories]
    refit = [
        [{**row, "epoch": k} for k, row in enumerate((r for r in rows if "refit" in r), start=1)]
        for rows in histories
    ]
    _draw_by_epoch(axes, first, "loss", "training loss", color=BLUE)
    _draw_by_epoch(axes, refit, "loss", "refit on all training pairs", "--", color=BLUE)
    column, label = f"validation_{monitor}", f"validation {heading(monitor)}"
    if any(column in row for rows in first for row in rows):
        other = axes.twinx()
        other.set_ylabel(label, color=ORANGE)
        _draw_by_epoch(other, first, column, label, ".-", color=ORANGE)
    put_legend(figure)
    caption = f"Lines: means over {len(histories)} trainings; bands: {BAND}."
    return Picture(name, "Learning curve", caption * (len(histories) > 1), figure, about)


@style()
def metric_bars(
    rows: Sequence[Mapping[str, Any]], metric: str, published: Mapping[str, float]
) -> "Figure":
    """Draw a bar per row, from 0, with its 95 % interval; rows without seeds are lines: ceilings.

    Parameters
    ----------
    rows
        Rows of :func:`~dagrec_cli.reporting.comparison.compare_rows` with a summary of ``metric``.
    published
        The published number by name of row, for rows that have one.
    """
    bars = [row for row in rows if row.get("seeds")]
    bounds = [row for row in rows if not row.get("seeds") and metric in row]
    figure = canvas(5, 1.4 + 0.27 * len(bars))
    axes = figure.add_subplot()
    place = range(len(bars))
    means = [row[metric]["mean"] for row in bars]
    lows, highs = ([row[metric][end] for row in bars] for end in ("low", "high"))
    ours = "ours" if published else None
    axes.barh(place, means, height=0.62, color=BLUE, alpha=0.75, label=ours)
    axes.hlines(place, lows, highs, color=INK, linewidth=1, label="95 % interval")
    longest = max([*highs, *(row[metric]["mean"] for row in bounds)]) or 1
    for k, mean in enumerate(means):
        axes.text(1.03 * longest, k, short({"mean": mean}), va="center", fontsize=SMALL)
    for row, dash in zip(bounds, DASHES, strict=False):
        level = row[metric]["mean"]
        label = f"{row['row']} {short({'mean': level})}"
        axes.axvline(level, color=PALE, linestyle=dash, linewidth=1.2, label=label)
    marks = [(published[row["row"]], k) for k, row in enumerate(bars) if row["row"] in published]
    if marks:
        axes.plot(*zip(*marks, strict=True), "D", color=ORANGE, markersize=4, label="published")
    axes.set_yticks(place, [shown(row["row"]) for row in bars])
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(bars) - 0.5, -0.5), xlim=(0, ROOM * longest))
    axes.grid(axis="x")
    axes.set_xlabel(heading(metric))
    put_legend(figure)
    return figure


@style()
def speed(rows: Sequence[Mapping[str, Any]], metric: str) -> "Figure":
    """Draw a metric against seconds per epoch, a point per row with its 95 % interval.

    Time goes by powers of ten.
    """
    from matplotlib.ticker import LogLocator

    figure = canvas(5, 3.4)
    axes = figure.add_subplot()
    points = [(row["seconds_per_epoch"], row[metric]["mean"]) for row in rows]
    seconds, means = zip(*points, strict=True)
    lows, highs = ([row[metric][end] for row in rows] for end in ("low", "high"))
    axes.vlines(seconds, lows, highs, color=PALE, alpha=0.5, linewidth=1, label="95 % interval")
    axes.plot(seconds, means, "o", color=BLUE, markersize=6)
    axes.set(xscale="log", xlabel="seconds per epoch (training step)", ylabel=heading(metric))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlim(min(seconds) / 2, max(seconds) * 3)
    axes.grid()
    put_legend(figure)
    figure.draw_without_rendering()  # settles the layout
    labels = Labels(axes)
    labels.keep_free(points)
    for row, point in zip(rows, points, strict=True):
        labels.write(shown(row["row"]), _around(point), fontsize=SMALL)
    return figure


@style()
def calibration(bins: Sequence[Bin]) -> "Figure":
    """Draw how often each bin is right, with its interval, over how much it was believed in."""
    figure = canvas(4.2, 4)
    axes = figure.add_subplot(aspect="equal")
    axes.plot([0, 1], [0, 1], "--", color=PALE, linewidth=1, label="as right as believed")
    x = [each.confidence for each in bins]
    lows, highs = [each.low for each in bins], [each.high for each in bins]
    axes.vlines(x, lows, highs, color=INK, linewidth=1, clip_on=False, label="95 % interval")
    y = [each.accuracy for each in bins]
    axes.plot(x, y, "o-", color=BLUE, linewidth=1, markersize=5, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of pairs that are right")
    axes.set_xlabel("probability of the first service")
    axes.grid()
    put_legend(figure)
    return figure


@style()
def rank_diagram(
    ranks: Mapping[str, float], critical_difference: float, groups: Sequence[tuple[float, float]]
) -> "Figure":
    """Draw mean ranks on a line, the best half named on the left, and join what is not apart.

    Parameters
    ----------
    ranks
        By row; 1 is best.
    critical_difference
        Drawn above the line.
    groups
        Lowest and highest mean rank of those that are joined.

    Source: Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", Journal of
    Machine Learning Research 2006, figure 1.
    """
    order = sorted(ranks, key=ranks.__getitem__)
    n, n_left = len(order), (len(order) + 1) // 2
    below = 0.5 + 0.34 * len(groups)  # of the line, where names begin; one name a unit
    figure = canvas(3.4 + 2 * room(order), 0.7 + 0.24 * (below + n_left + 1))
    axes = figure.add_subplot()
    axes.set(xlim=(1, n), ylim=(below + n_left - 0.5, -1.6))
    axes.axis("off")
    axes.hlines(0, 1, n, color=INK, linewidth=1)
    axes.vlines(range(1, n + 1), -0.25, 0, color=INK, linewidth=1)
    for rank in range(1, n + 1):
        axes.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=SMALL)
    end = 1 + critical_difference  # cut where it is longer than the line
    axes.plot([1, min(end, n)], [-1.5, -1.5], color=ORANGE, linewidth=2, solid_capstyle="butt")
    axes.text(
        1, -1.6, f"critical difference {critical_difference:.2f}", va="bottom", fontsize=SMALL
    )
    for place, row in enumerate(order):
        is_left = place < n_left
        level = below + (place if is_left else n - 1 - place)
        edge, side, words = (1, "right", -4) if is_left else (n, "left", 4)
        axes.plot([ranks[row]] * 2 + [edge], [0, level, level], color=PALE, linewidth=0.8)
        axes.annotate(
            f"{shown(row)}  {ranks[row]:.2f}" if is_left else f"{ranks[row]:.2f}  {shown(row)}",
            *((edge, level), (words, 0)),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=SMALL,
        )
    for number, (low, high) in enumerate(groups):
        level = 0.4 + 0.34 * number
        axes.plot([low - 0.04, high + 0.04], [level] * 2, color=BLUE, linewidth=3, clip_on=False)
    return figure


@style()
def search_picture(
    trials: Sequence[tuple[int, Mapping[str, Any], float]], monitor: str
) -> "Figure":
    """Draw a point per trial, the best one marked; by trial with a line for the best so far.

    Parameters
    ----------
    trials
        Number, settings and value of every trial that succeeded, at least one.
    monitor
        Name of the value.
    """
    numbers, settings, values = zip(*trials, strict=True)
    n_panels = 1 + len(settings[0])
    n_rows = -(-n_panels // PANELS)
    figure = canvas(2.3 * min(n_panels, PANELS), 0.3 + 2.1 * n_rows)
    panels = figure.subplots(n_rows, min(n_panels, PANELS), sharey=True, squeeze=False).flat
    best = max(range(len(values)), key=values.__getitem__)
    by_trial = next(panels)
    by_trial.step(numbers, list(accumulate(values, max)), color=PALE, where="post", linewidth=1)
    _draw_trials(by_trial, numbers, values, best, "trial")
    for key, axes in zip(settings[0], panels, strict=False):
        _draw_trials(axes, [trial[key] for trial in settings], values, best, key)
    for axes in panels:  # what is left of the last row
        axes.remove()
    figure.supylabel(f"validation {monitor}", fontsize=9)
    return figure


def _draw_by_epoch(
    axes: "Axes",
    histories: Sequence[Sequence[Mapping[str, float]]],
    column: str,
    label: str,
    line: str = "-",
    *,
    color: str,
) -> None:
    """Draw a column's mean over the seeds that have it, and their lowest and highest, if any."""
    values: dict[float, list[float]] = {}
    for row in chain(*histories):
        if column in row:
            values.setdefault(row["epoch"], []).append(row[column])
    if values:
        epochs = sorted(values)
        means, lows, highs = ([of(values[k]) for k in epochs] for of in (fmean, min, max))
        axes.plot(epochs, means, line, color=color, linewidth=1.2, markersize=3, label=label)
        if len(histories) > 1:
            axes.fill_between(epochs, lows, highs, color=color, alpha=0.2, linewidth=0)


def _draw_trials(
    axes: "Axes", places: Sequence[Any], values: Sequence[float], best: int, label: str
) -> None:
    if any(isinstance(place, str) for place in places):
        places = [shown(str(place)) for place in places]
    elif min(places) > 0 and max(places) >= DECADE * min(places):
        axes.set_xscale("log")
    axes.plot(places, values, "o", color=BLUE, markersize=4, alpha=0.75)
    axes.plot(places[best], values[best], "o", color=ORANGE, markersize=6)
    axes.set_xlabel(shown(label))
    axes.grid()


def _around(point: tuple[float, float]) -> Iterator[Spot]:
    """Yield spots right and left of a point, further and further above and below it."""
    for dy in DISTANCES:
        yield Spot(point, (7, dy), "left")
        yield Spot(point, (-7, dy), "right")
