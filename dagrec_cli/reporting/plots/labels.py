"""Labels that do not cover each other: each goes to the first of its places that is free."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from dagrec_cli.reporting.plots.style import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import BboxBase

BACKGROUND = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
POINT = 8  # pixels that a point takes up


class Spot(NamedTuple):
    """Where a label may go: at a point, ``offset`` points away from it, to one side of that."""

    point: tuple[float, float]
    offset: tuple[float, float] = (0, 0)
    side: str = "center"


class Labels:
    """Writes the labels of one picture, whose limits and layout are settled.

    Parameters
    ----------
    axes
        What to write on.
    """

    def __init__(self, axes: "Axes") -> None:
        self.axes = axes
        self.taken: list[BboxBase] = []

    def keep_free(self, points: Iterable[tuple[float, float]]) -> None:
        """Let no label cover these points."""
        from matplotlib.transforms import Bbox

        for x, y in self.axes.transData.transform(list(points)):
            self.taken.append(Bbox.from_bounds(x - POINT / 2, y - POINT / 2, POINT, POINT))

    def write(self, text: str, spots: Iterable[Spot], **look: Any) -> bool:
        """Write a label at the first free spot; return False if there is none."""
        for point, offset, side in spots:
            label = self.axes.annotate(
                text, point, offset, textcoords="offset points", ha=side, va="center", **look
            )
            box = label.get_window_extent()
            inside = self.axes.bbox.x0 <= box.x0 and box.x1 <= self.axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in self.taken):
                self.taken.append(box)
                return True
            label.remove()
        return False
