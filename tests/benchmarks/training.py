"""What the benchmarks of whole trainings share: data, a trainer ready to train, gradients."""

from collections.abc import Mapping

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from benchmarks.base import Benchmark, changed
from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import build_dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.models.base import TorchModel
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import TrainingTask

NO_DROPOUT = {"dropout_embed": 0.0, "dropout_hidden": 0.0}  # so that both compute the same


class Training:
    """The project's trainer on a model, ready to train on, again and again."""

    def __init__(self, config: DictConfig, model: TorchModel, pairs: TrainingPairs) -> None:
        self.model, self.pairs = model, pairs
        self.loss, self.sampler, self.trainer = (
            build(config[part], part) for part in ("loss", "sampler", "trainer")
        )
        self.generator = torch.Generator().manual_seed(config.seed)

    def __call__(self) -> list[float]:
        """Train and return the loss of each epoch."""
        task = TrainingTask(self.model, self.loss, self.sampler, self.pairs, self.generator)
        self.trainer.fit(task)
        return [row["loss"] for row in task.history.rows]


class EpochBenchmark(Benchmark):
    """Some epochs on the training pairs of the configured data, repeated up to the size.

    Attributes
    ----------
    epochs
        How many a call trains, so that what a training does once weighs little.
    """

    unit = "pairs"
    sizes = (711,)
    epochs: int

    def __init__(self, config: DictConfig) -> None:
        timed = {"epochs": self.epochs, "validation_share": 0.0, "patience": 0}
        super().__init__(changed(config, {"trainer": timed}))
        data, split = build(config.data, "data"), build(config.split, "split")
        self.data = SplitData.of(build_dataset(data), split)

    def rows(self, size: int) -> Rows:
        """Return rows of the training pairs."""
        return np.resize(self.data.train, size)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the gradient of each parameter that has one."""
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def step_of(model: nn.Module, loss: Tensor) -> Mapping[str, Tensor]:
    """Return a loss with its gradients."""
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), **gradients(model)}
