"""Accuracy by context length: whether a row makes use of a longer path."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Int

from dagrec_cli.evaluation.metrics import gains
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.reporting.plots.cells import draw_cells
from dagrec_cli.reporting.plots.style import canvas, shown, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 8  # longer contexts share a column


class ByLength(NamedTuple):
    """Accuracy, mean over seeds, and the number of test pairs of one context length."""

    accuracy: float
    n: int


def by_length(
    outcomes: Sequence[Outcomes], length: Int[np.ndarray, " pairs"]
) -> dict[int, ByLength]:
    """Return the accuracy for each context length, up to :data:`LONGEST` and beyond."""
    length = np.minimum(length, LONGEST)
    return {
        int(k): ByLength(
            float(np.mean([gains(each, "accuracy")[length == k] for each in outcomes])),
            int(np.count_nonzero(length == k)),
        )
        for k in np.unique(length)
    }


@style()
def context_length(rows: Sequence[tuple[str, Mapping[int, ByLength]]]) -> "Figure":
    """Draw a line of cells per row, a column per context length.

    Parameters
    ----------
    rows
        Names, and results of :func:`by_length`.
    """
    lengths = sorted({length for _, row in rows for length in row})
    missing = ByLength(np.nan, 0)
    table = [[row.get(length, missing) for length in lengths] for _, row in rows]
    figure = canvas(5, 1 + 0.27 * len(rows))
    axes = figure.add_subplot()
    texts = [[f"{cell.accuracy:.3f}".removeprefix("0") for cell in row] for row in table]
    draw_cells(axes, np.array([[cell.accuracy for cell in row] for row in table]), texts)
    axes.set_yticks(range(len(rows)), [shown(name) for name, _ in rows])
    heads = [_head(k, column) for k, column in zip(lengths, zip(*table, strict=True), strict=True)]
    axes.set_xticks(range(len(lengths)), heads)
    axes.set_xlabel("nodes in the context")
    return figure


def _head(length: int, column: Sequence[ByLength]) -> str:
    """Return ``2 (n = 57)`` on two lines; a range where rows have different test pairs."""
    counts = sorted({cell.n for cell in column if cell.n})
    n = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,}–{counts[-1]:,}"
    return f"{length}{'+' if length == LONGEST else ''}\nn = {n}"
