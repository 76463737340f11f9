"""An epoch of GRU4Rec: the project's trainer against code that follows the paper line by line.

The plain way is written from PAPER §2-5 alone: one row per pair, rows ten nodes wide, the DAG mask
filled in by a Python loop over the rows, cross-entropy, Adam, clipped gradient norm. Both ways
start from the same weights and read the state of the context's last node.

Differs from the paper: the plain rows are padded on the right and read at step ``length - 1``. A
GRU's state changes on padding too, so over rows padded on the left no step holds the state of the
context alone and the numbers could not be equal. The work is the same: ten steps a row.
"""

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from benchmarks.base import Case, changed, require_all_close, require_close
from benchmarks.training import NO_DROPOUT, EpochBenchmark, Training, gradients
from dagrec_cli.config.build import build
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.models.layers.scoring_head import ScoringHead
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.split_data import SplitData

MAX_LEN = 10
FORBIDDEN = -1e9
ONE_GRADIENT = {"trainer": {"epochs": 1, "learning_rate": 0.0, "gradient_clip": 1e9}}


class Gru4RecEpoch(EpochBenchmark):
    """One row per pair, padded, with a mask filled in a loop, or distinct contexts as a trie."""

    epochs = 5
    target = 30

    def case(self, size: int) -> Case:
        """Train on; the check starts anew, without dropout."""

        def ways(config: DictConfig) -> tuple["PlainTraining", Training]:
            plain = PlainTraining(config, self.model(config), self.data, self.rows(size))
            model, distinct = self.model(config), config.trainer.distinct_contexts
            rows = self.rows(size)
            pairs = TrainingPairs.of(self.data.dataset, rows, model.hard_mask, distinct=distinct)
            return plain, Training(config, model, pairs)

        def check() -> None:
            same = changed(self.config, {"model": NO_DROPOUT})
            plain, fast = ways(same)
            require_close("losses", plain(), fast())
            plain, fast = ways(changed(same, ONE_GRADIENT))
            require_close("loss", plain(), fast())
            require_all_close(gradients(plain.model), gradients(fast.model))

        return Case(*ways(self.config), check)

    def model(self, config: DictConfig) -> GRU4Rec:
        """Make the model; the weights are the same each time."""
        torch.manual_seed(config.seed)
        model = build(config.model, "model", self.data.facts)
        if type(model) is GRU4Rec and type(model.head) is ScoringHead and model.hard_mask:
            return model
        raise ConfigError(
            "gru4rec_epoch compares model=gru4rec with its mask and a head of its own; use "
            "model=gru4rec model.mask=hard model.tie_weights=false."
        )


class PlainTraining:
    """The paper's training, with nothing of the project but its weights and its numbering."""

    def __init__(self, config: DictConfig, like: GRU4Rec, data: SplitData, rows: Rows) -> None:
        self.settings = config.trainer
        self.model = PlainGRU4Rec(like)
        pairs = data.dataset.pairs.take(rows)
        contexts = [data.dataset.contexts.spell(entry) for entry in pairs.context]
        width = max(MAX_LEN, data.facts.longest_context)
        self.nodes = torch.tensor([nodes + [0] * (width - len(nodes)) for nodes in contexts])
        self.length = torch.tensor([len(nodes) for nodes in contexts])
        self.target = torch.tensor(pairs.target.tolist())
        indptr, classes = data.facts.graph.successors
        self.successors = {
            node: classes[indptr[node] : indptr[node + 1]].tolist()
            for node in {nodes[-1] for nodes in contexts}
        }

    def __call__(self) -> list[float]:
        """Train and return the loss of each epoch."""
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


class PlainGRU4Rec(nn.Module):
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
        """Return the scores of padded contexts."""
        states, _ = self.gru(self.dropout_embed(self.embedding(nodes)))
        states = self.dropout_hidden(states)
        scores: Tensor = self.head(states[torch.arange(len(states)), length - 1])
        return scores
