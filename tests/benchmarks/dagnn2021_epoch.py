"""An epoch of DAGNN2021: one node at a time, as published, against one level at a time.

The plain way is PAPER §7: nodes in topological order, each with torch's multi-head attention over
its predecessors. Weights, batch and trainer are the same.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.base import Case, require_all_close, require_close
from benchmarks.training import EpochBenchmark, Training, gradients
from dagrec_cli.config.where import config_dir
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.dagnn2021 import DAGNN2021
from dagrec_cli.models.layers.node_graph import edge_rows
from dagrec_cli.training.batch import TrainingPairs


class Dagnn2021Epoch(EpochBenchmark):
    """Attention node by node, or level by level."""

    epochs = 20
    target = 5

    def case(self, size: int) -> Case:
        """Train on; the check starts anew, without dropout."""

        def training(model: DAGNN2021) -> Training:
            rows = self.rows(size)
            pairs = TrainingPairs.of(self.data.dataset, rows, model.hard_mask, distinct=True)
            return Training(self.config, model, pairs)

        def check() -> None:
            plain, fast = self.models(dropout_hidden=0.0)
            require_close("losses", training(plain)(), training(fast)())
            require_all_close(gradients(plain), _as_in_torch(gradients(fast)))

        plain, fast = self.models()
        return Case(training(plain), training(fast), check)

    def models(self, **changes: float) -> tuple["NodeByNode", DAGNN2021]:
        """Return both models, with the same weights."""
        settings: Any = {**OmegaConf.load(config_dir() / "model" / "dagnn2021.yaml"), **changes}
        del settings["_target_"]
        facts = self.data.facts
        torch.manual_seed(self.config.seed)
        plain, fast = NodeByNode(facts, **settings), DAGNN2021(facts, **settings)
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
