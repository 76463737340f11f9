"""GRU4Rec: a recurrent network that reads a context node by node.

Source: Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016,
eq. 1-4, as PAPER §3 adapts it to compositions.
Differs from the source: contexts are independent rows, so no state is carried between batches;
torch's GRU resets ``W h + b`` instead of ``h`` and swaps the names of keeping and updating.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.data.vocabulary import UnknownNames
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.context_gru import ContextGRU, Merge
from dagrec_cli.models.layers.node_features import NodeEmbedding, TiedHead

CELLS_PER_ENTRY = 1.5  # padded cells that take the time of one entry of a small batch


class GRU4Rec(TorchModel):
    """Encode a context as the GRU's state after its last node.

    Embedding, dropout, GRU, dropout, state of the last node, linear head. Rows are right-padded, so
    padding comes after the state that is read and changes nothing.

    Parameters
    ----------
    embedding_dim
        Width of a node's embedding, 1 and up.
    hidden
        Width of the recurrent state, 1 and up.
    num_layers
        Number of stacked GRU layers, 1 and up.
    dropout_embed
        Probability, in ``[0, 1)``, of zeroing an embedding coordinate while training.
    dropout_hidden
        The same for the states between layers and before the head.
    tie_weights
        True to score services by their input embeddings; needs ``embedding_dim`` = ``hidden``.
    encoding
        ``entries``: a step per distinct ancestor, along the contexts' DAG; ``padded``: a step per
        cell of rows in topological order, which is the same function of a path and another one of
        what branches; ``auto``: entries, but rows where every context of the batch is a path and
        there are fewer than :data:`CELLS_PER_ENTRY` padded cells per entry. Dropout is drawn per
        entry or per cell.
    merge
        How several parents' states become one; see
        :class:`~dagrec_cli.models.layers.context_gru.ContextGRU`.
    names
        See :class:`~dagrec_cli.models.layers.node_features.NodeEmbedding`.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.

    Raises
    ------
    ConfigError
        If weights of different widths are tied.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        embedding_dim: Count,
        hidden: Count,
        num_layers: Count,
        dropout_embed: Share,
        dropout_hidden: Share,
        tie_weights: bool,
        encoding: Literal["auto", "padded", "entries"],
        merge: Merge,
        names: bool,
        **shared: Any,
    ) -> None:
        if tie_weights and embedding_dim != hidden:
            raise ConfigError(
                f"model.tie_weights needs equal widths, but model.embedding_dim is {embedding_dim} "
                f"and model.hidden {hidden}; use model.embedding_dim={hidden}."
            )
        super().__init__(facts, hidden=hidden, **shared)
        self.embedding = NodeEmbedding(facts, embedding_dim, self.node_dropout, names=names)
        if tie_weights:
            self.head = TiedHead(self.embedding, facts.vocabulary.service_nodes)
        self.encoding = encoding
        self.dropout_embed = nn.Dropout(dropout_embed)
        between_layers = dropout_hidden if num_layers > 1 else 0.0
        self.gru = ContextGRU(
            *(embedding_dim, hidden, num_layers),
            merge=merge,
            batch_first=True,
            dropout=between_layers,
        )
        self.dropout_hidden = nn.Dropout(dropout_hidden)

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state after each context's last node."""
        contexts = self.embedding.as_named(contexts)
        if self._reads_rows(contexts):
            return self.read(contexts.rows.nodes, contexts.rows.length - 1, contexts.unknown)
        levels = contexts.levels
        inputs = self.dropout_embed(self.embedding(levels.node, contexts.unknown))
        states = self.gru.along(inputs, levels)
        state: Tensor = self.dropout_hidden(states.index_select(0, levels.context))
        return state

    def read(
        self,
        rows: Int[Tensor, "contexts steps"],
        step: Int[Tensor, " contexts"],
        unknown: UnknownNames | None = None,
    ) -> Float[Tensor, "contexts hidden"]:
        """Run the GRU over padded rows and return each row's state at its own step, from 0."""
        states, _ = self.gru(self.dropout_embed(self.embedding(rows, unknown)))
        picked = states[torch.arange(states.shape[0], device=states.device), step]
        state: Tensor = self.dropout_hidden(picked)
        return state

    def _reads_rows(self, contexts: Contexts) -> bool:
        """Return whether to run over padded rows."""
        if contexts.dag is None or self.encoding == "padded":
            return True
        if self.encoding == "entries" or contexts.levels.merges:
            return False
        n_cells = len(contexts) * len(contexts.levels.sizes)  # of paths
        return n_cells < CELLS_PER_ENTRY * len(contexts.levels.node)
