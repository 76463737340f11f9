"""An epoch of a GRU over deep contexts: a step per padded cell against one per distinct prefix.

Contexts are those of the full published Galaxy workflows, as the synthetic generator draws them:
trees with over 100,000 paths of up to 25 nodes. A size takes the first contexts met, all prefixes
of a context among them. Padded rows of all would need more memory than most machines have.
"""

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Generator, Tensor

from dagrec_cli.benchmarks.base import Benchmark, Case, changed, require_close
from dagrec_cli.config.build import build
from dagrec_cli.config.paths import config_dir
from dagrec_cli.data.dataset import prepare
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import Batch
from dagrec_cli.training.step import batch_loss

COMPOSITIONS = 20_076  # have 104,620 paths, 127,959 contexts
NO_DROPOUT = {"dropout_embed": 0.0, "dropout_hidden": 0.0}  # so that both compute the same
TOLERANCE = 1e-5


class GruTrie(Benchmark):
    """Forward, masked cross-entropy and backward of GRU4Rec; sizes count distinct contexts."""

    unit = "contexts"
    sizes: tuple[int, ...] = (2_000, 20_000)
    target = 12

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        data = OmegaConf.load(config_dir() / "data" / "synthetic_galaxy.yaml")
        self.dataset = prepare(
            build(changed(data, {"compositions": COMPOSITIONS, "cache": False}), "data")
        )

    def case(self, size: int) -> Case:
        """Give both models the same weights."""
        slow, quick = (self.model(encoding) for encoding in ("padded", "trie"))
        quick.load_state_dict(slow.state_dict())
        rows = np.flatnonzero(self.dataset.pairs.context < size)
        batch = Batch.of(self.dataset, rows, slow.mask, distinct=True)

        def epoch(model: GRU4Rec) -> list[Tensor]:
            model.zero_grad()
            loss = CrossEntropy(label_smoothing=0.0)
            value = batch_loss(model, loss, NoSampler(), batch, Generator())
            value.backward()  # type: ignore[no-untyped-call]
            return [value.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]

        def check() -> None:
            names = ["loss", *(f"gradient of {name}" for name, _ in slow.named_parameters())]
            for name, one, other in zip(names, epoch(slow), epoch(quick), strict=True):
                require_close(name, one, other, TOLERANCE)

        return Case(lambda: epoch(slow), lambda: epoch(quick), check)

    def model(self, encoding: str) -> GRU4Rec:
        """Make a model without dropout; the weights are the same each time."""
        longest = int(self.dataset.contexts.depth.max())
        facts = Facts(self.dataset.vocabulary, self.dataset.graph(), longest)
        node = changed(self.config.model, {**NO_DROPOUT, "encoding": encoding})
        torch.manual_seed(self.config.seed)
        model: GRU4Rec = build(node, "model", facts)
        return model
