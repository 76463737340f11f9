"""A small model without dropout and any trainer, for tests of training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Generator, Tensor, nn

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.losses.base import Loss
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.checkpoint import pack_checkpoint, unpack_checkpoint
from dagrec_cli.training.state import History, TrainingState, TrainingTask
from dagrec_cli.training.trainer import Callback, Trainer

CROSS_ENTROPY = CrossEntropy(label_smoothing=0.0)


@pytest.fixture
def facts(tiny: Dataset) -> Facts:
    return Facts(tiny.vocabulary, tiny.graph(), tiny.followed)


@pytest.fixture
def gru4rec(facts: Facts, config: Callable[..., DictConfig]) -> Callable[..., GRU4Rec]:
    """A function of settings: a small GRU4Rec without dropout, always with the same weights."""

    def made(**settings: object) -> GRU4Rec:
        torch.manual_seed(0)
        small = {"embedding_dim": 4, "hidden": 8, "num_layers": 1, "mask": "none"}
        still = {"dropout_embed": 0.0, "dropout_hidden": 0.0}
        node = config("model", "gru4rec", **{**small, **still, **settings})
        model: GRU4Rec = build(node, "model", facts)
        return model

    return made


@pytest.fixture
def trainer(config: Callable[..., DictConfig]) -> Callable[..., Trainer]:
    """A function of settings; ``kind`` is the trainer's YAML."""

    def made(kind: str = "full_batch", **settings: object) -> Trainer:
        on_cpu = {"device": "cpu", **settings}
        built: Trainer = build(config("trainer", kind, **on_cpu), "trainer")
        return built

    return made


def pairs_of(dataset: Dataset, model: TorchModel, *, distinct: bool = True) -> TrainingPairs:
    rows = np.arange(len(dataset.pairs.context))
    return TrainingPairs.of(dataset, rows, model.hard_mask, distinct=distinct)


class Script(Callback):
    """Does what a test says; files go into ``saved``, by their epoch."""

    def __init__(
        self,
        validate: Callable[[], dict[str, float]] = dict,
        watch: Callable[[dict[str, float]], object] = lambda row: None,
        start: bytes | None = None,
        saved: dict[int, bytes] | None = None,
        stop_after: int | None = None,
    ) -> None:
        self._validate = validate
        self._watch = watch
        self._start = start
        self._saved = {} if saved is None else saved
        self._stop_after = stop_after
        self._epoch = 0

    @property
    def is_stopping(self) -> bool:
        return self._epoch == self._stop_after

    def load(self, state: TrainingState) -> None:
        if self._start:
            state.load(unpack_checkpoint(self._start))

    def save(self, state: TrainingState) -> None:
        self._saved[state.epoch] = pack_checkpoint(state.checkpoint())

    def validate(self) -> dict[str, float]:
        return self._validate()

    def epoch_ended(self, state: TrainingState) -> None:
        self._epoch = state.epoch
        self._watch(state.history.rows[-1])


@pytest.fixture(scope="session")
def fit() -> Callable[..., History]:
    """A function that trains a model on all pairs of a data set, seed 0; options: see Script."""

    def fitted(
        trainer: Trainer,
        model: TorchModel,
        dataset: Dataset,
        loss: Loss = CROSS_ENTROPY,
        sampler: Sampler | None = None,
        **options: Any,
    ) -> History:
        pairs, generator = pairs_of(dataset, model), Generator().manual_seed(0)
        rules, callback = (loss, sampler or NoSampler()), Script(**options)
        task = TrainingTask(model, *rules, pairs, generator)
        trainer.fit(task, callback)
        return task.history

    return fitted


@pytest.fixture(scope="session")
def weights() -> Callable[[nn.Module], Tensor]:
    """A function of a model: all its weights in one row."""
    return lambda model: torch.cat([w.flatten() for w in model.state_dict().values()])


@pytest.fixture(scope="session")
def gradients() -> Callable[[nn.Module], Tensor]:
    """A function of a model: all its gradients in one row."""
    return lambda model: torch.cat(
        [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    )
