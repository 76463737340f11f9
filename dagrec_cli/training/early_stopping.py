"""Copies of a model's weights to go back to: the last good ones, and the best ones."""

import torch
from torch import nn


class Snapshot:
    """A copy of a model's parameters and buffers, overwritten by :meth:`take`."""

    def __init__(self, model: nn.Module) -> None:
        self._live = [*model.parameters(), *model.buffers()]
        self._kept = [p.detach().clone() for p in self._live]

    def take(self) -> None:
        """Copy the weights as they are now."""
        for kept, live in zip(self._kept, self._live, strict=True):
            kept.copy_(live.detach())

    def restore(self) -> None:
        """Give the model the copied weights back."""
        with torch.no_grad():
            for kept, live in zip(self._kept, self._live, strict=True):
                live.copy_(kept)


class EarlyStopping:
    """Keeps the weights of the best validation, and says when to stop waiting for a better one.

    Parameters
    ----------
    monitor
        Metric to watch; higher is better.
    patience
        Validations without a new best before :attr:`is_over`; 0 waits for ever.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        self.monitor = monitor
        self.patience = patience
        self.epoch = 0
        self._best = float("-inf")
        self._waited = 0
        self._weights: Snapshot | None = None

    @property
    def is_over(self) -> bool:
        """True once patience has run out."""
        return bool(self.patience) and self._waited >= self.patience

    def see(self, model: nn.Module, epoch: int, metrics: dict[str, float]) -> None:
        """Compare a validation with the best so far."""
        self._waited += 1
        if metrics[self.monitor] > self._best:
            self._best, self._waited, self.epoch = metrics[self.monitor], 0, epoch
            self._weights = Snapshot(model)

    def restore(self) -> int:
        """Give the model the best weights back and return their epoch."""
        if self._weights:
            self._weights.restore()
        return self.epoch
