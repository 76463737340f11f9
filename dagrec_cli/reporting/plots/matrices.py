"""Tables of cells: what was predicted for each class, and accuracy by context length."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.evaluation.metrics import gains
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.reporting.plots.drawing import BLUE, LINE, canvas, room, shown, style
from dagrec_cli.reporting.tables import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 20  # the rest is one class
REST = "all others"
CELL, BAR = 0.25, 0.8  # inches
HALF = 0.47  # of a cell's side
CORNERS = ((-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF))
FULLEST = 0.6  # opacity of a cell; text stays readable on it
LONGEST_CONTEXT = 8  # longer contexts share a column
LENGTHS = (*map(str, range(1, LONGEST_CONTEXT)), f"{LONGEST_CONTEXT}+")


class Confusion(NamedTuple):
    """How often each class was predicted for each target, mean over seeds.

    Attributes
    ----------
    names
        Names of the classes, the most frequent target first.
    counts
        Test pairs, ``[targets, predictions]``.
    """

    names: list[str]
    counts: Float[np.ndarray, "classes classes"]

    @classmethod
    def of(cls, outcomes: Sequence[Outcomes], services: Sequence[str]) -> "Confusion":
        """Count; classes that are neither target nor prediction are left out."""
        target = np.concatenate([seed.target for seed in outcomes])
        predicted = np.concatenate([seed.predicted for seed in outcomes])
        support = np.bincount(target, minlength=len(services))
        occurring = np.union1d(target, predicted)
        classes = occurring[np.argsort(-support[occurring], kind="stable")]
        # One class too many is shown itself: a line for the rest would take its room.
        kept = classes if len(classes) <= MOST_CLASSES + 1 else classes[:MOST_CLASSES]
        place = np.full(len(services), len(kept))
        place[kept] = np.arange(len(kept))
        names = [services[k] for k in kept] + [REST] * (len(kept) < len(classes))
        counts = np.zeros((len(names), len(names)))
        np.add.at(counts, (place[target], place[predicted]), 1 / len(outcomes))
        return cls(names, counts)

    @property
    def support(self) -> Float[np.ndarray, " classes"]:
        """Test pairs of each target."""
        support: Float[np.ndarray, " classes"] = self.counts.sum(axis=1)
        return support

    @property
    def shares(self) -> Float[np.ndarray, "classes classes"]:
        """The counts as shares of their target's pairs."""
        shares: Float[np.ndarray, "classes classes"] = self.counts / self.support.clip(1)[:, None]
        return shares


class PartAccuracy(NamedTuple):
    """Accuracy on a part of the test pairs, and how many these are; means over seeds and parts."""

    accuracy: float
    n: int


def by_length(
    outcomes: Sequence[Outcomes], lengths: Sequence[Int[np.ndarray, " pairs"]]
) -> dict[str, PartAccuracy]:
    """Return the accuracy for each context length, by :data:`LENGTHS`; n is rounded up.

    Parameters
    ----------
    lengths
        Of the contexts of each outcome's pairs.
    """
    length = np.minimum(np.concatenate(lengths), LONGEST_CONTEXT)
    gain = np.concatenate([gains(seed, "accuracy").value for seed in outcomes])
    return {
        LENGTHS[k - 1]: PartAccuracy(
            float(gain[length == k].mean()),
            int(np.ceil((length == k).sum() / len(outcomes))),
        )
        for k in np.unique(length).tolist()
    }


@style()
def confusion_matrix(confusion: Confusion) -> "Figure":
    """Draw the matrix, and beside each target a bar for its recall."""
    n = len(confusion.names)
    names = [shown(name) for name in confusion.names]
    heads = [f"{name} ({k:.0f})" for name, k in zip(names, confusion.support, strict=True)]
    figure = canvas(0.8 + room(heads) + CELL * n + BAR, 0.8 + room(names) + CELL * n)
    axes, bars = figure.subplots(1, 2, sharey=True, width_ratios=(n, BAR / CELL))
    texts = [[_count(count) for count in row] for row in confusion.counts.tolist()]
    _draw_cells(axes, confusion.shares, texts, fontsize=7)
    axes.set_xticks(range(n), names, rotation=90)
    axes.set_yticks(range(n), heads)
    axes.set(xlabel="predicted", ylabel="target (test pairs)")
    # Hits among the rest are often of another class, so they are no recall.
    is_rest = [name == REST for name in confusion.names]
    recall = np.where(is_rest, np.nan, np.diag(confusion.shares))
    bars.barh(range(n), recall, height=0.62, color=BLUE, alpha=0.75)
    for k in np.flatnonzero(confusion.support * ~np.isnan(recall)):
        bars.text(recall[k] + 0.05, k, digits(recall[k], 2), va="center", fontsize=7)
    bars.set(xlim=(0, 1.55), xticks=[0, 1], title="recall")
    bars.tick_params(axis="y", length=0, labelleft=False)
    return figure


@style()
def accuracy_cells(
    rows: Mapping[str, Mapping[str, PartAccuracy]], parts: Sequence[str], axis: str
) -> "Figure":
    """Draw a line of cells per row, a column per part of the test pairs that some row has.

    Parameters
    ----------
    rows
        By name: the accuracy on each part.
    parts
        Names of the parts, in order.
    axis
        What the parts are.
    """
    parts = [part for part in parts if any(part in row for row in rows.values())]
    table = [[row.get(part, PartAccuracy(np.nan, 0)) for part in parts] for row in rows.values()]
    heads = [_head(k, column) for k, column in zip(parts, zip(*table, strict=True), strict=True)]
    wide = 0.1 + max(room(head.split("\n")) for head in heads)
    figure = canvas(max(4.0, 0.4 + room(rows) + wide * len(parts)), 0.8 + 0.27 * len(rows))
    axes = figure.add_subplot()
    texts = [[digits(cell.accuracy, 3) if cell.n else "" for cell in row] for row in table]
    _draw_cells(axes, np.array([[cell.accuracy for cell in row] for row in table]), texts)
    axes.set_yticks(range(len(rows)), [shown(name) for name in rows])
    axes.set_xticks(range(len(parts)), heads)
    axes.set_xlabel(axis)
    return figure


def _draw_cells(
    axes: "Axes",
    shares: Float[np.ndarray, "rows columns"],
    texts: list[list[str]],
    *,
    fontsize: float = 8,
) -> None:
    """Draw a cell per share: the larger the share, the fuller the colour; row 0 is on top.

    The colour is see-through, so that the same cell is pale on a light page and dim on a dark one.

    Parameters
    ----------
    shares
        Numbers in ``[0, 1]``; NaN for no cell.
    texts
        What stands in each cell, ``[rows][columns]``; without a text there is no cell.
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


def _count(mean: float) -> str:
    """Return a mean of counts in three letters, so that it stays in its cell; none for 0."""
    if not mean or mean.is_integer() or mean >= 9.95:
        return f"{mean:.0f}" if mean else ""
    return digits(mean, 1)


def _head(part: str, column: Sequence[PartAccuracy]) -> str:
    """Return ``2`` and ``n = 57`` on two lines; a range where rows have different test pairs."""
    counts = sorted({cell.n for cell in column if cell.n})
    n = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,}–{counts[-1]:,}"
    return f"{part}\nn = {n}"
