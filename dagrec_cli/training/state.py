"""A training in progress: what changes from epoch to epoch, saved and taken up again."""

import time
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from dagrec_cli.errors import RunError
from dagrec_cli.models.base import TorchModel
from dagrec_cli.training.checkpoint import Checkpoint, Standing
from dagrec_cli.training.early_stopping import EarlyStopping, Snapshot
from dagrec_cli.training.history import History
from dagrec_cli.training.optimizers import Optimizer

MODEL, GOOD, BEST, OPTIMIZER, RANDOM = "model.", "good.", "best.", "optimizer.", "random."


class State:
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

    def __init__(
        self,
        model: TorchModel,
        optimizer: Optimizer,
        generator: Generator,
        history: History,
        best: EarlyStopping,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.generator = generator
        self.history = history
        self.best = best
        self.good = Snapshot(model)
        self.good_epoch = 0
        self.epoch = 0
        self.seed = generator.initial_seed()
        self._began = time.perf_counter()

    def take_time(self) -> None:
        """Write down how long the training has taken, earlier sittings included."""
        now = time.perf_counter()
        self.history.seconds += now - self._began
        self._began = now

    def checkpoint(self) -> Checkpoint:
        """Return the state; its tensors are the live ones, to be saved before training goes on."""
        self.take_time()
        standing = Standing(
            self.epoch,
            self.history.seconds,
            self.history.rows,
            self.best.epoch,
            self.best.best,
            self.best.waited,
            self.good_epoch,
        )
        return Checkpoint(self._tensors(), standing)

    def load(self, saved: Checkpoint) -> None:
        """Go back to a saved state.

        Raises
        ------
        RunError
            If it is one of another model; without the file's name.
        """
        tensors, standing = saved
        try:
            self.model.load_state_dict(_under(MODEL, tensors))
            self.good.load(_under(GOOD, tensors))
            if best := _under(BEST, tensors):
                self.best.load(best)
            self.optimizer.load(_under(OPTIMIZER, tensors))
            self._load_random(_under(RANDOM, tensors))
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            told = " ".join(str(error).split()).rstrip(".")
            raise RunError(f"does not fit this run ({told})") from error
        self.epoch, self.good_epoch = standing.epoch, standing.good_epoch
        self.best.epoch, self.best.best = standing.best_epoch, standing.best
        self.best.waited = standing.waited
        self.history.rows[:] = standing.rows
        self.history.best_epoch = standing.epoch
        self.history.seconds = standing.seconds

    def _tensors(self) -> dict[str, Tensor]:
        found = {
            **_named(MODEL, self.model.state_dict()),
            **_named(GOOD, self.good.weights),
            **_named(BEST, self.best.weights),
            **_named(OPTIMIZER, self.optimizer.moments),
            f"{RANDOM}torch": torch.get_rng_state(),
            f"{RANDOM}sampler": self.generator.get_state(),
        }
        if self.generator.device.type == "cuda":
            found[f"{RANDOM}cuda"] = torch.cuda.get_rng_state(self.generator.device)
        return found

    def _load_random(self, tensors: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(tensors["torch"])
        if self.generator.device.type == "cuda" and "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"], self.generator.device)
        self.generator.set_state(tensors["sampler"])


@runtime_checkable
class Keeper(Protocol):
    """Where checkpoints of one training are kept."""

    def load(self, state: State) -> None:
        """Bring a training to the last state that was kept, if there is one."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint."""


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": each for name, each in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): each for n, each in tensors.items() if n.startswith(prefix)}
