"""GRU4Rec: a recurrent network that reads a context node by node.

Source: Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016,
eq. 1-4, as PAPER §3 adapts it to compositions.
Differs from the source: contexts are independent rows, so no state is carried between batches;
torch's GRU resets ``W h + b`` instead of ``h`` and swaps the names of keeping and updating.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.data.vocabulary import PAD
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts, Prefixes
from dagrec_cli.models.layers.prefix_gru import PrefixGRU
from dagrec_cli.models.layers.scoring_head import TiedHead

CELLS_PER_PREFIX = 1.5  # padded cells that take the time of one prefix of a small batch


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
        ``padded``: the GRU runs over padded rows, a step per cell; ``trie``: along the trie of the
        contexts, a step per distinct prefix; ``auto``: the trie where the batch has at least
        :data:`CELLS_PER_PREFIX` padded cells per prefix. Same states; dropout is drawn per cell or
        per prefix.
    dag_mask
        See :class:`~dagrec_cli.models.base.Model`.

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
        encoding: Literal["auto", "padded", "trie"],
        dag_mask: bool,
    ) -> None:
        if tie_weights and embedding_dim != hidden:
            raise ConfigError(
                f"model.tie_weights needs equal widths, but model.embedding_dim is {embedding_dim} "
                f"and model.hidden {hidden}; use model.embedding_dim={hidden}."
            )
        super().__init__(facts, hidden=hidden, dag_mask=dag_mask)
        self.embedding = nn.Embedding(facts.n_nodes + 1, embedding_dim, padding_idx=PAD)
        if tie_weights:
            service_nodes = torch.from_numpy(facts.vocabulary.service_nodes).long()
            self.head = TiedHead(self.embedding, service_nodes)
        self.encoding = encoding
        self.dropout_embed = nn.Dropout(dropout_embed)
        between_layers = dropout_hidden if num_layers > 1 else 0.0
        self.gru = PrefixGRU(
            embedding_dim, hidden, num_layers, batch_first=True, dropout=between_layers
        )
        self.dropout_hidden = nn.Dropout(dropout_hidden)

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state after each context's last node."""
        if (prefixes := self._prefixes(contexts)) is None:
            return self.read(contexts.nodes, contexts.length - 1)
        states = self.gru.along(self.dropout_embed(self.embedding(prefixes.node)), prefixes)
        state: Tensor = self.dropout_hidden(states.index_select(0, prefixes.context))
        return state

    def read(
        self, rows: Int[Tensor, "contexts steps"], step: Int[Tensor, " contexts"]
    ) -> Float[Tensor, "contexts hidden"]:
        """Run the GRU over padded rows and return each row's state at its own step, from 0."""
        states, _ = self.gru(self.dropout_embed(self.embedding(rows)))
        picked = states[torch.arange(states.shape[0], device=states.device), step]
        state: Tensor = self.dropout_hidden(picked)
        return state

    def _prefixes(self, contexts: Contexts) -> Prefixes | None:
        """Return what to run the GRU along; None to run it over the rows."""
        prefixes = contexts.prefixes
        if prefixes is None or self.encoding == "padded":
            return None
        is_worth_it = contexts.nodes.numel() >= CELLS_PER_PREFIX * len(prefixes.node)
        return prefixes if is_worth_it or self.encoding == "trie" else None
