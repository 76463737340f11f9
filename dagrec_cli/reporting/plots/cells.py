"""A matrix of shares as cells: the fuller the colour, the larger the share.

The colour is see-through, so that the same cell is pale on a light page and dim on a dark one.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dagrec_cli.reporting.plots.style import BLUE, LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HALF = 0.47  # of a cell's side
CORNERS = ((-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF))
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
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    n_rows, n_columns = shares.shape
    filled = [(r, c) for r, c in np.argwhere(~np.isnan(shares)) if texts[r][c]]
    corners = [[(c + x, r + y) for x, y in CORNERS] for r, c in filled]
    colours = [to_rgba(BLUE, FULLEST * float(shares[cell])) for cell in filled]
    axes.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0), autolim=False)
    for r, c in filled:
        text = axes.text(c, r, texts[r][c], ha="center", va="center", fontsize=fontsize)
        text.set_in_layout(False)  # it lies inside; to measure hundreds of them takes longest
    axes.set(xlim=(-0.5, n_columns - 0.5), ylim=(n_rows - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.hlines(np.arange(n_rows) + 0.5, -0.5, n_columns - 0.5, color=LINE, linewidth=0.5)
