"""Pictures, drawn without pyplot: no window, no global state, less time to import."""

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_png(figure: "Figure", file: IO[bytes]) -> None:
    """Write a figure as PNG without a time stamp, so equal runs give equal bytes."""
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
