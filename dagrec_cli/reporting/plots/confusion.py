"""Recall of each class, and what was predicted instead."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.reporting.plots.cells import draw_cells
from dagrec_cli.reporting.plots.style import BLUE, canvas, room, shown, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 20  # the rest is one class
REST = "all others"
CELL, BAR = 0.25, 0.8  # inches


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
        target = np.concatenate([each.target for each in outcomes])
        predicted = np.concatenate([each.predicted for each in outcomes])
        support = np.bincount(target, minlength=len(services))
        occurring = np.union1d(target, predicted)
        classes = occurring[np.argsort(-support[occurring], kind="stable")]
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


@style()
def confusion(found: Confusion) -> "Figure":
    """Draw the matrix, and beside each target a bar for its recall."""
    n = len(found.names)
    names = [shown(name) for name in found.names]
    heads = [f"{name} ({k:.0f})" for name, k in zip(names, found.support, strict=True)]
    figure = canvas(0.8 + room(heads) + CELL * n + BAR, 0.8 + room(names) + CELL * n)
    axes, bars = figure.subplots(1, 2, sharey=True, width_ratios=(n, BAR / CELL))
    texts = [[_count(number) for number in row] for row in found.counts]
    draw_cells(axes, found.shares, texts, fontsize=7)
    axes.set_xticks(range(n), names, rotation=90)
    axes.set_yticks(range(n), heads)
    axes.set(xlabel="predicted", ylabel="target (test pairs)")
    recall = [np.nan if name == REST else found.shares[k, k] for k, name in enumerate(found.names)]
    bars.barh(range(n), recall, height=0.62, color=BLUE, alpha=0.75)
    for k, share in enumerate(recall):
        if found.support[k] and share == share:
            bars.text(share + 0.05, k, f"{share:.2f}".removeprefix("0"), va="center", fontsize=7)
    bars.set(xlim=(0, 1.55), xticks=[0, 1], title="recall")
    bars.tick_params(axis="y", length=0, labelleft=False)
    return figure


def _count(number: float) -> str:
    """Return a mean count with at most two digits after its point, nothing for none."""
    return f"{number:.3g}" if number else ""
