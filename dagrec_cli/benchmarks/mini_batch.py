"""An epoch of mini-batches over deep contexts: random contexts against blocks that share prefixes.

Contexts are those of :mod:`~dagrec_cli.benchmarks.gru_trie`. Both ways take the same number of
steps, each over as many contexts; without learning they have the same loss over an epoch.
"""

from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.benchmarks.base import Case, require_close
from dagrec_cli.benchmarks.gru_trie import GruTrie
from dagrec_cli.config.build import build
from dagrec_cli.config.paths import config_dir
from dagrec_cli.config.seeds import seed_everything
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.history import History

TOLERANCE = 1e-5


class MiniBatchEpoch(GruTrie):
    """GRU4Rec and ``trainer=mini_batch``; sizes count distinct contexts."""

    sizes = (20_000,)
    target = 2

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        preset: Any = OmegaConf.load(config_dir() / "trainer" / "mini_batch.yaml")
        del preset["defaults"]
        self.trainer = {**config.trainer, **preset, "epochs": 1, "device": "cpu"}

    def case(self, size: int) -> Case:
        """Train on; the check does not learn."""
        model = self.model("trie")
        rows = np.flatnonzero(self.dataset.pairs.context < size)
        pairs = TrainingPairs.of(self.dataset, rows, model.mask, distinct=True)

        def epoch(**settings: float) -> float:
            trainer = build(OmegaConf.create({**self.trainer, **settings}), "trainer")
            history, rules = History(), (CrossEntropy(label_smoothing=0.0), NoSampler())
            generator = seed_everything(self.config.seed)
            trainer.fit(model, *rules, pairs, history, generator=generator)
            loss: float = history.rows[0]["loss"]
            return loss

        def check() -> None:
            still = {"learning_rate": 0.0}
            require_close("loss", epoch(**random, **still), epoch(**still), TOLERANCE)

        random = {"blocks_per_step": self.trainer["batch_size"]}
        return Case(lambda: epoch(**random), epoch, check)
