"""Loss by epoch, a line per seed, and the validation metric where there is one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dagrec_cli.reporting.plots.style import BLUE, ORANGE, canvas, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style()
def learning_curve(
    histories: Mapping[int, Sequence[Mapping[str, float]]], monitor: str
) -> "Figure":
    """Draw each seed's loss, and its validation metric against an axis of its own.

    Parameters
    ----------
    histories
        Rows of :class:`~dagrec_cli.training.history.History` by seed.
    monitor
        Name of the validation metric.
    """
    figure = canvas(5, 3)
    axes = figure.add_subplot()
    axes.grid()
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss", color=BLUE)
    alpha = max(0.35, 1 / len(histories))
    for rows in histories.values():
        epochs = [row["epoch"] for row in rows]
        axes.plot(epochs, [row["loss"] for row in rows], color=BLUE, alpha=alpha, linewidth=1.2)
    column = f"validation_{monitor}"
    seen = [[row for row in rows if column in row] for rows in histories.values()]
    if any(seen):
        right = axes.twinx()
        right.set_ylabel(f"validation {monitor}", color=ORANGE)
        for rows in seen:
            epochs = [row["epoch"] for row in rows]
            scores = [row[column] for row in rows]
            right.plot(epochs, scores, ".-", color=ORANGE, alpha=alpha, linewidth=1.2, markersize=3)
    return figure
