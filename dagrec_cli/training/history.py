"""What happened in each epoch."""

from dataclasses import dataclass, field


@dataclass
class History:
    """One row per epoch, and which epoch's weights were kept.

    Attributes
    ----------
    rows
        ``epoch`` (from 1), ``loss``, ``seconds`` (the training step only), and ``validation_…``
        metrics where there is a validation share.
    best_epoch
        Epoch whose weights the model has now; the last one without early stopping.
    seconds
        How long training has taken, validation included, over all sittings of a resumed run.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0

    @property
    def seconds_per_epoch(self) -> float:
        """Mean seconds of a training step; 0 if there was none."""
        return sum(row["seconds"] for row in self.rows) / len(self.rows) if self.rows else 0.0
