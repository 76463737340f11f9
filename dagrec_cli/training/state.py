"""A training in progress: what changes from epoch to epoch, saved and taken up again."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean

import torch
from torch import Generator, Tensor, nn

from dagrec_cli.errors import RunError
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.checkpoint import Checkpoint, Header
from dagrec_cli.training.optimizers import Optimizer

CURRENT_WEIGHTS, GOOD_WEIGHTS, BEST_WEIGHTS = "model.", "good.", "best."  # first parts of names
OPTIMIZER, RANDOM = "optimizer.", "random."
FALLING = 0.01  # share of its loss by which a training improves that was stopped too early


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
        How long training has taken, validation included, a resumed run from its beginning.
    refit
        That of the last fit on all training pairs, for as many epochs as the best one; None if
        there is none.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    refit: "History | None" = None

    @property
    def all_seconds(self) -> float:
        """The seconds, with those of the refit."""
        return self.seconds + (self.refit.seconds if self.refit else 0.0)

    def still_better(self, epochs: int, monitor: str) -> str:
        """Return what got better in the last tenth of all ``epochs``; empty if nothing did.

        That is ``monitor`` of validation, if its best epoch is there, or without validation the
        loss, if its mean fell by more than :data:`FALLING` from the tenth before.
        """
        n = epochs // 10
        if not n or len(self.rows) < epochs:
            return ""
        if any(f"validation_{monitor}" in row for row in self.rows):
            return f"validation {monitor} still rose" if self.best_epoch > epochs - n else ""
        before, last = (
            fmean(row["loss"] for row in rows) for rows in (self.rows[-2 * n : -n], self.rows[-n:])
        )
        return "the loss still fell" if before - last > FALLING * abs(last) else ""

    @property
    def every_row(self) -> list[dict[str, float]]:
        """The rows, then those of the refit, which count on and have ``refit`` 1."""
        n, last = len(self.rows), self.refit.rows if self.refit else []
        return [*self.rows, *({**row, "epoch": n + row["epoch"], "refit": 1} for row in last)]


@dataclass(frozen=True)
class TrainingTask:
    """What is to be learnt: a model, by a loss, from pairs.

    Attributes
    ----------
    model
        Trained in place.
    loss, sampler
        What a batch costs, and where it takes its negatives from.
    pairs
        The training pairs.
    generator
        Source of the sampler's random numbers; dropout draws from torch's own.
    history
        Filled with one row per epoch, also when training fails.
    epochs
        After how many to stop, in a schedule for as many as the trainer has; None: after those.
    """

    model: TorchModel
    loss: Loss
    sampler: Sampler
    pairs: TrainingPairs
    generator: Generator
    history: History = field(default_factory=History)
    epochs: int | None = None

    def on(self, device: torch.device) -> "TrainingTask":
        """Return the same task on a device, where the model is moved to."""
        self.model.to(device)
        if device.type == "cpu":
            return self
        generator = Generator(device).manual_seed(self.generator.initial_seed())
        return replace(self, pairs=self.pairs.on(device), generator=generator)


class WeightCopy:
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
    patience, steps
        Validations, and optimiser steps, without a new best before :attr:`is_over`; patience 0
        waits for ever.

    Attributes
    ----------
    epoch
        Epoch of the best validation; 0 before the first one.
    best
        Its metric; None before the first one.
    waited, waited_steps
        Validations since, and optimiser steps.
    copy
        The best weights; None before the first validation.
    """

    def __init__(self, model: nn.Module, monitor: str, patience: int, steps: int) -> None:
        self.monitor = monitor
        self.patience = patience
        self.steps = steps
        self.epoch = 0
        self.best: float | None = None
        self.waited = self.waited_steps = 0
        self.copy: WeightCopy | None = None
        self._model = model

    @property
    def is_over(self) -> bool:
        """True once patience has run out."""
        is_due = self.waited >= self.patience and self.waited_steps >= self.steps
        return bool(self.patience) and is_due

    def see(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Compare a validation with the best so far."""
        self.waited += 1
        if self.best is None or metrics[self.monitor] > self.best:
            self.best, self.epoch = metrics[self.monitor], epoch
            self.waited = self.waited_steps = 0
            self.copy = self.copy or WeightCopy(self._model)
            self.copy.take()


class TrainingState:
    """Everything that the rest of a training depends on.

    Attributes
    ----------
    seed
        What the generator began with.
    epoch
        Epochs that are over.
    good, good_epoch
        The last weights whose loss was finite, and their epoch.
    best
        Early stopping, which keeps the best weights.
    """

    def __init__(self, task: TrainingTask, optimizer: Optimizer, best: EarlyStopping) -> None:
        self.model = task.model
        self.generator = task.generator
        self.history = task.history
        self.optimizer = optimizer
        self.best = best
        self.good = WeightCopy(task.model)
        self.good_epoch = 0
        self.epoch = 0
        self.seed = task.generator.initial_seed()
        self._began = time.perf_counter()

    def take_time(self) -> None:
        """Add the time since this was last called to the history's."""
        now = time.perf_counter()
        self.history.seconds += now - self._began
        self._began = now

    def checkpoint(self) -> Checkpoint:
        """Return the state; its tensors are the live ones, to be saved before the next step."""
        self.take_time()
        tensors = {
            **_prefixed(CURRENT_WEIGHTS, self.model.state_dict()),
            **_prefixed(GOOD_WEIGHTS, self.good.weights),
            **_prefixed(BEST_WEIGHTS, self.best.copy.weights if self.best.copy else {}),
            **_prefixed(OPTIMIZER, self.optimizer.moments),
            **_prefixed(RANDOM, self._random()),
        }
        header = Header(
            self.epoch,
            self.history.seconds,
            self.history.rows,
            self.best.epoch,
            self.best.best,
            self.best.waited,
            self.best.waited_steps,
            self.good_epoch,
        )
        return Checkpoint(tensors, header)

    def load(self, saved: Checkpoint) -> None:
        """Go back to a saved state.

        Raises
        ------
        RunError
            If it is one of another model; without the file's name.
        """
        tensors, header = saved
        try:
            self.model.load_state_dict(_under(CURRENT_WEIGHTS, tensors))
            self.good.load(_under(GOOD_WEIGHTS, tensors))
            if best := _under(BEST_WEIGHTS, tensors):
                self.best.copy = WeightCopy(self.model)
                self.best.copy.load(best)
            self.optimizer.load(_under(OPTIMIZER, tensors))
            self._load_random(_under(RANDOM, tensors))
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise RunError(f"does not fit this run ({reason})") from error
        self.epoch, self.good_epoch = header.epoch, header.good_epoch
        self.best.epoch, self.best.best = header.best_epoch, header.best
        self.best.waited, self.best.waited_steps = header.waited, header.waited_steps
        self.history.rows[:] = header.rows
        self.history.best_epoch = header.epoch
        self.history.seconds = header.seconds

    def _random(self) -> dict[str, Tensor]:
        """Return the states of what dropout and the sampler draw from."""
        states = {"torch": torch.get_rng_state(), "sampler": self.generator.get_state()}
        if self.generator.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.generator.device)
        return states

    def _load_random(self, states: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(states["torch"])
        if self.generator.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.generator.device)
        self.generator.set_state(states["sampler"])


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
