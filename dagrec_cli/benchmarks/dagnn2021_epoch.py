"""An epoch of DAGNN2021: one node at a time, as published, against one level at a time.

The plain way is PAPER §7: nodes in topological order, each with torch's multi-head attention over
its predecessors. Weights, batch and trainer are the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from dagrec_cli.benchmarks.base import Benchmark, Case, changed, require_close
from dagrec_cli.benchmarks.gru4rec_epoch import TIMED, gradients
from dagrec_cli.config.build import build
from dagrec_cli.config.paths import config_dir
from dagrec_cli.config.seeds import seed_everything
from dagrec_cli.data.dataset import prepare
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts
from dagrec_cli.models.contexts import Contexts
from dagrec_cli.models.dagnn2021 import DAGNN2021
from dagrec_cli.models.layers.node_graph import edge_rows
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.full_batch import FullBatch
from dagrec_cli.training.history import History
from dagrec_cli.training.work import Work

EPOCHS = 20
TOLERANCE = 1e-5


class Dagnn2021Epoch(Benchmark):
    """Twenty epochs on the training pairs of the configured data, repeated up to the size."""

    unit = "pairs"
    sizes = (711,)
    target = 5

    def __init__(self, config: DictConfig) -> None:
        super().__init__(changed(config, {"trainer": {**TIMED["trainer"], "epochs": EPOCHS}}))
        data, split = build(config.data, "data"), build(config.split, "split")
        self.work = Work.of(prepare(data), split, validation_share=0.0)

    def case(self, size: int) -> Case:
        """Train on; the check starts anew, without dropout."""
        rows = np.resize(self.work.train, size)
        trainer: FullBatch = build(self.config.trainer, "trainer")

        def train(model: DAGNN2021) -> list[float]:
            pairs = TrainingPairs.of(self.work.dataset, rows, model.mask, distinct=True)
            history, rules = History(), (CrossEntropy(label_smoothing=0.0), NoSampler())
            generator = seed_everything(self.config.seed)
            trainer.fit(model, *rules, pairs, history, generator=generator)
            return [row["loss"] for row in history.rows]

        def check() -> None:
            plain, fast = self._models(dropout_hidden=0.0)
            require_close("losses", train(plain), train(fast), TOLERANCE)
            found = _as_in_torch(gradients(fast))
            for name, gradient in gradients(plain).items():
                require_close(f"gradient of {name}", gradient, found[name], TOLERANCE)

        plain, fast = self._models()
        return Case(lambda: train(plain), lambda: train(fast), check)

    def _models(self, **changes: float) -> tuple[DAGNN2021, DAGNN2021]:
        """Return both models, with the same weights."""
        settings: Any = {**OmegaConf.load(config_dir() / "model" / "dagnn2021.yaml"), **changes}
        del settings["_target_"]
        torch.manual_seed(self.config.seed)
        plain, fast = (
            NodeByNode(self.work.facts, **settings),
            DAGNN2021(self.work.facts, **settings),
        )
        plain.load_state_dict(_as_in_torch(fast.state_dict()))
        return plain, fast


class NodeByNode(DAGNN2021):
    """The same model, which computes the state of every node on its own, with torch's attention."""

    def __init__(self, facts: Facts, **settings: Any) -> None:
        super().__init__(facts, **settings)
        passes: Any = self.passes
        for walk in passes:
            walk.attention = nn.MultiheadAttention(
                settings["hidden"], settings["heads"], settings["dropout_hidden"], batch_first=True
            )
        self.level: list[int] = self.level_of.tolist()
        self.parents: list[list[int]] = [[] for _ in self.level]
        for source, target in edge_rows(facts.graph).T.tolist():
            self.parents[target].append(source)
        order = sorted(range(facts.n_nodes), key=self.level.__getitem__)
        self.inner = [node for node in order if self.parents[node]]

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        passes: Any = self.passes
        layers = [self.start(self.features())]
        for walk in passes:
            before = list(layers[-1])
            states = before.copy()
            for node in self.inner:
                seen = [  # a sender that shares a cycle: as it was
                    (before if self.level[k] == self.level[node] else states)[k]
                    for k in self.parents[node]
                ]
                keys = torch.stack(seen)
                heard, _ = walk.attention(before[node][None], keys, keys)
                states[node] = walk.combine(torch.cat([before[node], heard[0]]))
            layers.append(torch.stack(states))
        read: Tensor = self.readout(torch.cat(layers, dim=1))
        return read[contexts.last - 1]


def _as_in_torch(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights, or gradients, with those of an attention put together as torch has them."""
    whole: dict[str, Tensor] = {}
    for name, tensor in found.items():
        where, _, kind = name.rpartition(".")
        if where.endswith(".attention.query"):
            both = torch.cat([tensor, found[f"{where.removesuffix('query')}key_value.{kind}"]])
            whole[f"{where.removesuffix('query')}in_proj_{kind}"] = both
        elif where.endswith(".attention.out"):
            whole[f"{where.removesuffix('out')}out_proj.{kind}"] = tensor
        elif not where.endswith(".attention.key_value"):
            whole[name] = tensor
    return whole
