"""An epoch of GRU4Rec: the project's trainer against code that follows the paper line by line.

The plain way is written from PAPER §2-5 alone: one row per pair, rows ten nodes wide, the DAG mask
filled in by a Python loop over the rows, cross-entropy, Adam, clipped gradient norm. Both ways
start from the same weights and read the state of the context's last node.

Differs from the paper: the plain rows are padded on the right and read at step ``length - 1``. A
GRU's state changes on padding too, so over rows padded on the left no step holds the state of the
context alone and the numbers could not be equal. The work is the same: ten steps a row.
"""

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from dagrec_cli.benchmarks.base import Benchmark, Case, changed, require_close
from dagrec_cli.config.build import build
from dagrec_cli.config.seeds import seed_everything
from dagrec_cli.data.dataset import prepare
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.models.layers.scoring_head import ScoringHead
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.full_batch import FullBatch
from dagrec_cli.training.history import History
from dagrec_cli.training.work import Work

EPOCHS = 5  # per call, so that what a training does once weighs little
MAX_LEN = 10
FORBIDDEN = -1e9
TOLERANCE = 1e-5
TIMED = {"trainer": {"epochs": EPOCHS, "validation_share": 0.0, "patience": 0}}
NO_DROPOUT = {"model": {"dropout_embed": 0.0, "dropout_hidden": 0.0}}
ONE_GRADIENT = {"trainer": {"epochs": 1, "learning_rate": 0.0, "gradient_clip": 1e9}}


class Gru4RecEpoch(Benchmark):
    """Five epochs on the training pairs of the configured data, repeated up to the size."""

    unit = "pairs"
    sizes = (711,)
    target = 30

    def __init__(self, config: DictConfig) -> None:
        super().__init__(changed(config, TIMED))
        data, split = build(config.data, "data"), build(config.split, "split")
        self.work = Work.of(prepare(data), split, validation_share=0.0)

    def case(self, size: int) -> Case:
        """Train on; the check starts anew, without dropout."""
        config, work = self.config, self.work
        rows = np.resize(work.train, size)

        def check() -> None:
            same = changed(config, NO_DROPOUT)
            plain, fast = _Plain(same, work, rows), _Fast(same, work, rows)
            require_close("losses", plain.train(), fast.train(), TOLERANCE)
            still = changed(same, ONE_GRADIENT)
            plain, fast = _Plain(still, work, rows), _Fast(still, work, rows)
            require_close("loss", plain.train(), fast.train(), TOLERANCE)
            for name, gradient in plain.gradients().items():
                require_close(f"gradient of {name}", gradient, fast.gradients()[name], TOLERANCE)

        return Case(_Plain(config, work, rows).train, _Fast(config, work, rows).train, check)


class _Fast:
    """The project's trainer on its own batch."""

    def __init__(self, config: DictConfig, work: Work, rows: Rows) -> None:
        self.generator = seed_everything(config.seed)
        self.model = _model(config, work)
        self.loss: CrossEntropy = build(config.loss, "loss")
        self.sampler: NoSampler = build(config.sampler, "sampler")
        self.trainer: FullBatch = build(config.trainer, "trainer")
        distinct = self.trainer.distinct_contexts
        self.pairs = TrainingPairs.of(work.dataset, rows, self.model.mask, distinct=distinct)

    def train(self) -> list[float]:
        history = History()
        rules = self.loss, self.sampler
        self.trainer.fit(self.model, *rules, self.pairs, history, generator=self.generator)
        return [row["loss"] for row in history.rows]

    def gradients(self) -> dict[str, Tensor]:
        return gradients(self.model)


class _Plain:
    """The paper's training, with nothing of the project but its weights and its numbering."""

    def __init__(self, config: DictConfig, work: Work, rows: Rows) -> None:
        seed_everything(config.seed)
        self.settings = config.trainer
        self.model = _PlainGRU4Rec(_model(config, work))
        pairs = work.dataset.pairs.take(rows)
        contexts = [work.dataset.contexts.spell(entry) for entry in pairs.context]
        width = max(MAX_LEN, work.facts.longest_context)
        self.nodes = torch.tensor([nodes + [0] * (width - len(nodes)) for nodes in contexts])
        self.length = torch.tensor([len(nodes) for nodes in contexts])
        self.target = torch.tensor(pairs.target.tolist())
        indptr, classes = work.facts.graph.successors
        self.successors = {
            node: classes[indptr[node] : indptr[node + 1]].tolist()
            for node in {nodes[-1] for nodes in contexts}
        }

    def train(self) -> list[float]:
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate)
        self.model.train()
        losses = []
        for _ in range(self.settings.epochs):
            optimizer.zero_grad()
            scores = self.model(self.nodes, self.length)
            loss = cross_entropy(scores + self._mask(scores), self.target)
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
            optimizer.step()
            losses.append(loss.item())
        return losses

    def _mask(self, scores: Tensor) -> Tensor:
        mask = torch.zeros_like(scores)
        for row in range(len(scores)):
            valid = self.successors[int(self.nodes[row, self.length[row] - 1])]
            if valid:
                mask[row] = FORBIDDEN
                mask[row, valid] = 0
        return mask

    def gradients(self) -> dict[str, Tensor]:
        return gradients(self.model)


class _PlainGRU4Rec(nn.Module):
    """PAPER §3 with the state read at the last node."""

    def __init__(self, like: GRU4Rec) -> None:
        super().__init__()
        n_rows, width = like.embedding.weight.shape
        self.embedding = nn.Embedding(n_rows, width, padding_idx=0)
        self.dropout_embed = nn.Dropout(like.dropout_embed.p)
        self.gru = nn.GRU(
            like.gru.input_size,
            like.gru.hidden_size,
            like.gru.num_layers,
            batch_first=True,
            dropout=like.gru.dropout,
        )
        self.dropout_hidden = nn.Dropout(like.dropout_hidden.p)
        self.head = nn.Linear(like.head.in_features, like.head.out_features)
        self.load_state_dict(like.state_dict())

    def forward(self, nodes: Tensor, length: Tensor) -> Tensor:
        states, _ = self.gru(self.dropout_embed(self.embedding(nodes)))
        states = self.dropout_hidden(states)
        scores: Tensor = self.head(states[torch.arange(len(states)), length - 1])
        return scores


def _model(config: DictConfig, work: Work) -> GRU4Rec:
    model = build(config.model, "model", work.facts)
    if type(model) is not GRU4Rec or type(model.head) is not ScoringHead or not model.dag_mask:
        raise ConfigError(
            "gru4rec_epoch compares model=gru4rec with its mask and a head of its own; use "
            "model=gru4rec model.dag_mask=true model.tie_weights=false."
        )
    return model


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the gradient of each parameter that has one."""
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
