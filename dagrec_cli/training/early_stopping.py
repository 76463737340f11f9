"""Copies of a model's weights to go back to: the last good ones, and the best ones."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Snapshot:
    """A copy of a model's saved parameters and buffers, overwritten by :meth:`take`."""

    def __init__(self, model: nn.Module) -> None:
        state = model.state_dict()  # shares memory with the model
        self._names = list(state)
        self._live = list(state.values())
        self._kept = [weight.clone() for weight in self._live]

    @property
    def weights(self) -> dict[str, Tensor]:
        """The copied weights by name."""
        return dict(zip(self._names, self._kept, strict=True))

    def take(self) -> None:
        """Copy the weights as they are now."""
        torch._foreach_copy_(self._kept, self._live)

    def restore(self) -> None:
        """Give the model the copied weights back."""
        torch._foreach_copy_(self._live, self._kept)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights as the copy."""
        for name, kept in zip(self._names, self._kept, strict=True):
            kept.copy_(weights[name])


class EarlyStopping:
    """Keeps the weights of the best validation, and says when to stop waiting for a better one.

    Parameters
    ----------
    model
        The model that is trained.
    monitor
        Metric to watch; higher is better.
    patience
        Validations without a new best before :attr:`is_over`; 0 waits for ever.

    Attributes
    ----------
    epoch
        Epoch of the best validation; 0 before the first one.
    best
        Its metric; None before the first one.
    waited
        Validations since.
    """

    def __init__(self, model: nn.Module, monitor: str, patience: int) -> None:
        self.monitor = monitor
        self.patience = patience
        self.epoch = 0
        self.best: float | None = None
        self.waited = 0
        self._model = model
        self._weights: Snapshot | None = None

    @property
    def is_over(self) -> bool:
        """True once patience has run out."""
        return bool(self.patience) and self.waited >= self.patience

    @property
    def weights(self) -> dict[str, Tensor]:
        """The best weights by name; empty before the first validation."""
        return self._weights.weights if self._weights else {}

    def see(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Compare a validation with the best so far."""
        self.waited += 1
        if self.best is None or metrics[self.monitor] > self.best:
            self.best, self.waited, self.epoch = metrics[self.monitor], 0, epoch
            self._weights = self._weights or Snapshot(self._model)
            self._weights.take()

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights as the best."""
        self._weights = Snapshot(self._model)
        self._weights.load(weights)

    def restore(self) -> int:
        """Give the model the best weights back and return their epoch."""
        if self._weights:
            self._weights.restore()
        return self.epoch
