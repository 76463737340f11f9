"""What a search tried: the validation value by trial, and by each setting."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from dagrec_cli.reporting.plots.style import BLUE, MUTED, ORANGE, canvas, shown, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
DECADE = 10  # from this ratio of the largest to the smallest value on, an axis is logarithmic


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
    n_rows = -(-n_panels // COLUMNS)
    figure = canvas(2.3 * min(n_panels, COLUMNS), 0.3 + 2.1 * n_rows)
    panels = figure.subplots(n_rows, min(n_panels, COLUMNS), sharey=True, squeeze=False).flat
    best = max(range(len(values)), key=values.__getitem__)
    by_trial = next(panels)
    by_trial.step(numbers, list(accumulate(values, max)), color=MUTED, where="post", linewidth=1)
    _points(by_trial, numbers, values, best, "trial")
    for key, axes in zip(settings[0], panels, strict=False):
        _points(axes, [each[key] for each in settings], values, best, key)
    for axes in panels:  # what is left of the last row
        axes.remove()
    figure.supylabel(f"validation {monitor}", fontsize=9)
    return figure


def _points(
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
