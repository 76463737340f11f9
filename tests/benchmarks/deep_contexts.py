"""GRU4Rec over deep contexts: padded cells against distinct ancestors, random ones against blocks.

Contexts are those of the full published Galaxy workflows, as the synthetic generator draws them:
trees with over 100,000 paths of up to 25 nodes. A size takes the first contexts met, all prefixes
of a context among them. Padded rows of all would need more memory than most machines have. Trees do
not merge; what does is in the configured data, or not at all.
"""

from collections.abc import Mapping

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Generator, Tensor

from benchmarks.base import Benchmark, Case, changed, require_all_close, require_close
from benchmarks.training import NO_DROPOUT, Training, step_of
from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.data.dataset import build_dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.step import BatchLoss

COMPOSITIONS = 20_076  # have 104,620 paths, 127,959 contexts


class DeepContexts(Benchmark):
    """The data and the model of both; sizes count distinct contexts."""

    unit = "contexts"

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        self.dataset = build_dataset(build(self.data(), "data"))

    def data(self) -> DictConfig:
        """Return which data they are."""
        return option("data", "synthetic_galaxy", compositions=COMPOSITIONS, cache=False)

    def model(self, encoding: str) -> GRU4Rec:
        """Make a model without dropout; the weights are the same each time."""
        facts = Facts(self.dataset.vocabulary, self.dataset.graph(), self.dataset.followed)
        node = changed(self.config.model, {**NO_DROPOUT, "encoding": encoding})
        torch.manual_seed(self.config.seed)
        model: GRU4Rec = build(node, "model", facts)
        return model


class GruTrie(DeepContexts):
    """Forward, masked cross-entropy, backward: a step per padded cell or per distinct ancestor."""

    sizes: tuple[int, ...] = (2_000, 20_000)
    target = 12

    def case(self, size: int) -> Case:
        """Give both models the same weights; a row is the same function of paths alone."""
        slow, quick = (self.model(encoding) for encoding in ("padded", "entries"))
        context = self.dataset.pairs.context

        def batch_of(rows: Rows) -> Batch:
            return TrainingPairs.of(self.dataset, rows, slow.hard_mask, distinct=True).whole

        def step(model: GRU4Rec, batch: Batch) -> Mapping[str, Tensor]:
            rules = CrossEntropy(label_smoothing=0.0), NoSampler()
            return step_of(model, BatchLoss(model, *rules, Generator())(batch))

        def check() -> None:
            is_path = np.zeros(len(self.dataset.contexts), bool)
            for entry, (_, parents) in enumerate(self.dataset.contexts.items()):
                is_path[entry] = len(parents) <= 1 and all(is_path[parents])
            paths = batch_of(np.flatnonzero((context < size) & is_path[context]))
            require_all_close(step(slow, paths), step(quick, paths))

        batch = batch_of(np.flatnonzero(context < size))
        return Case(lambda: step(slow, batch), lambda: step(quick, batch), check)


class GruDag(GruTrie):
    """The same over the configured data: rows of ancestors in topological order, or each once.

    Nothing is promised where no contexts merge.
    """

    sizes = (1_200,)
    target = 5

    def data(self) -> DictConfig:
        """Return the configured data, whose contexts are DAGs."""
        return changed(self.config.data, {"context": "dag"})

    def promise(self, size: int) -> float | None:
        """Return the least ratio promised at a size."""
        merges = bool((self.dataset.followed.n_parents > 1).any())
        return super().promise(size) if merges else None


class MiniBatchEpoch(DeepContexts):
    """An epoch of ``trainer=mini_batch``: contexts drawn one by one, or blocks that share prefixes.

    Both ways take as many steps, each over as many contexts; without learning they have the same
    loss over an epoch.
    """

    sizes = (20_000,)
    target = 2

    def case(self, size: int) -> Case:
        """Train on; the check does not learn."""
        model = self.model("entries")
        rows = np.flatnonzero(self.dataset.pairs.context < size)
        pairs = TrainingPairs.of(self.dataset, rows, model.hard_mask, distinct=True)
        trainer = {
            **self.config.trainer,
            **option("trainer", "mini_batch", epochs=1),
        }
        random = {"blocks_per_step": trainer["batch_size"]}

        def way(**settings: object) -> Training:
            config = {**self.config, "trainer": {**trainer, **settings}}
            return Training(OmegaConf.create(config), model, pairs)

        def check() -> None:
            still = {"learning_rate": 0.0}
            require_close("loss", way(**random, **still)(), way(**still)())

        return Case(way(**random), way(), check)


def option(group: str, name: str, **settings: object) -> DictConfig:
    """Return what an option's own file says, with some settings changed."""
    node = OmegaConf.load(config_dir() / group / f"{name}.yaml")
    assert isinstance(node, DictConfig)
    node.pop("defaults", None)
    return changed(node, settings)
