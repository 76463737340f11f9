"""What the config of an experiment describes, checked and built before any work.

A model waits for the data; its settings are checked with the others'.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Generator

from dagrec_cli.config.build import (
    build,
    check_loss_and_sampler,
    check_sampler_and_mask,
    check_side,
    check_train,
    factory,
)
from dagrec_cli.config.metric_names import metrics_of
from dagrec_cli.data.cache import CachedSource
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.split_base import Split
from dagrec_cli.loggers.base import RunLogger
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import CountingModel, Facts, Model, TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.trainer import Trainer

COMPONENT_TYPES: dict[str, type] = {
    "data": CachedSource,
    "split": Split,
    "loss": Loss,
    "sampler": Sampler,
    "trainer": Trainer,
    "logger": RunLogger,
}


@dataclass(frozen=True)
class Components:
    """What the config groups describe, built before any work so that mistakes stop at once."""

    data: CachedSource
    split: Split
    model: partial[Model]  # which needs the data first
    loss: Loss
    sampler: Sampler
    trainer: Trainer
    logger: RunLogger
    seeds: list[int]
    metrics: tuple[str, ...]  # beside those always shown: what is monitored, and asked for
    validation_share: float  # of the training pairs; a model that counts has no epoch to choose
    refits: bool  # whether the kept model is fitted on all of them afterwards

    @classmethod
    def of(cls, config: DictConfig, choices: Mapping[str, str]) -> "Components":
        """Build every group; of the model, what builds it.

        Raises
        ------
        ConfigError
            If a setting is out of range or two groups do not go together.
        """
        seeds = check_train(config, choices)
        built = {
            group: build(config[group], group, kind=kind) for group, kind in COMPONENT_TYPES.items()
        }
        asked = metrics_of(config.metrics)
        metrics = (built["trainer"].monitor, *asked)
        model = factory(config.model, "model", Model)
        kind = cast(type, model.func)
        built["trainer"].check(kind, built["loss"], built["sampler"])
        share, is_test = built["trainer"].validation_share, config.evaluate_on == "test"
        check_side(config.evaluate_on, share)
        components = cls(
            **built,
            model=model,
            seeds=seeds,
            metrics=metrics,
            validation_share=0.0 if is_test and issubclass(kind, CountingModel) else share,
            refits=is_test and built["trainer"].refit,
        )
        _ = components.split.chosen  # raises if it is of several parts
        check_loss_and_sampler(
            choices["loss"],
            needs_negatives=components.loss.needs_negatives
            and not components.trainer.brings_negatives,
            n_sample=components.sampler.n_sample,
        )
        check_sampler_and_mask(
            choices["sampler"],
            needs_mask=components.sampler.needs_mask,
            mask=config.model.get("mask"),
        )
        return components

    @property
    def reads_owners(self) -> bool:
        """Whether the model asks whose a composition is."""
        return bool(self.model.keywords.get("owner", "none") != "none")

    def sides(self, dataset: Dataset) -> tuple[SplitData, SplitData]:
        """Return what the kept models are fitted and evaluated on, and what chooses their epoch.

        Raises
        ------
        DataError
            If a side of the split would be empty.
        """
        data = SplitData.of(dataset, self.split, reads_owners=self.reads_owners)
        if not self.validation_share:
            return data, data
        chosen_on = data.validated(self.split, self.validation_share, self.trainer.validation_draw)
        return (data if self.refits else chosen_on), chosen_on

    def start(self, seed: int, facts: Facts) -> "Start":
        """Return a seed's untrained model; its random numbers follow."""
        generator = seed_everything(seed)
        model = self.model(facts)
        if isinstance(model, TorchModel):
            model.is_probabilistic = self.loss.is_probabilistic
        return Start(seed, generator, model)

    def starts(self, facts: Facts) -> Iterator["Start"]:
        """Yield each seed's untrained model when it is asked for."""
        return (self.start(seed, facts) for seed in self.seeds)


class Start(NamedTuple):
    """Where a seed's training starts."""

    seed: int
    generator: Generator
    model: Model


def seed_everything(seed: int) -> Generator:
    """Seed Python, numpy and torch, and return a generator for negative sampling alone.

    A checkpoint holds the states of this generator and of torch's own. Nothing here draws from
    Python's or numpy's, which are seeded for code of others: a resumed run does not restore them.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
