"""Pictures of a run, drawn without pyplot: no window, no global state, less time to import."""

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSS_COLOUR = "#1f5fa8"
SCORE_COLOUR = "#c4561c"


def learning_curve(
    histories: Mapping[int, Sequence[Mapping[str, float]]], monitor: str
) -> "Figure":
    """Draw each seed's loss by epoch, and its validation metric where there is one.

    Parameters
    ----------
    histories
        Rows of :class:`~dagrec_cli.training.history.History` by seed.
    monitor
        Name of the validation metric.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel="epoch", ylabel="training loss", title="Learning curve")
    axes.grid(alpha=0.25)
    scores = None
    for number, (seed, rows) in enumerate(histories.items()):
        look: dict[str, Any] = {
            "alpha": 1.0 if len(histories) == 1 else 0.7,
            "linestyle": ("-", "--", ":")[number % 3],
        }
        epochs = [row["epoch"] for row in rows]
        axes.plot(
            epochs, [r["loss"] for r in rows], color=LOSS_COLOUR, label=f"loss, seed {seed}", **look
        )
        seen = [r for r in rows if f"validation_{monitor}" in r]
        if seen:
            scores = scores or axes.twinx()
            scores.set_ylabel(f"validation {monitor}")
            scores.plot(
                [row["epoch"] for row in seen],
                [row[f"validation_{monitor}"] for row in seen],
                color=SCORE_COLOUR,
                label=f"{monitor}, seed {seed}",
                **look,
            )
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def save_png(figure: "Figure", file: IO[bytes]) -> None:
    """Write a figure as PNG without a time stamp, so equal runs give equal bytes."""
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
