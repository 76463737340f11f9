"""A matrix of shares as cells: the fuller the colour, the larger the share.

The colour is see-through, so that the same cell is pale on a light page and dim on a dark one.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dagrec_cli.reporting.plots.style import BLUE, LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 0.94
FULLEST = 0.6  # text stays readable on it


def draw_cells(
    axes: "Axes",
    shares: Float[np.ndarray, "rows columns"],
    texts: list[list[str]],
    *,
    fontsize: float = 8,
) -> None:
    """Draw a cell per entry, its text inside; row 0 is on top. NaN and empty cells are left out.

    Parameters
    ----------
    shares
        Numbers in ``[0, 1]``.
    texts
        One text per cell, ``[rows][columns]``; no text for an empty cell.
    """
    from matplotlib.patches import Rectangle

    n_rows, n_columns = shares.shape
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share) or not texts[row][column]:
            continue
        corner = (column - SIDE / 2, row - SIDE / 2)
        alpha = FULLEST * float(share)
        axes.add_patch(Rectangle(corner, SIDE, SIDE, facecolor=BLUE, alpha=alpha, linewidth=0))
        axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=fontsize)
    axes.set(xlim=(-0.5, n_columns - 0.5), ylim=(n_rows - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.hlines(np.arange(n_rows) + 0.5, -0.5, n_columns - 0.5, color=LINE, linewidth=0.5)
