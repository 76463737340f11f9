"""DAGNN: a recurrent cell and attention to what leads to a node, along the context's own DAG.

Source: Thost & Chen, "Directed Acyclic Graph Neural Networks", ICLR 2021, eq. 5-11.
Differs from the source: one direction, since what follows the last node is not known; attention is
a product of query and state, because in the source's sum the receiver cancels out of the softmax.
Not to be taken for ``dagnn2021``, which is the paper's: a graph of all services, whatever the
context.
"""

from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import ContextLevel, ContextRows, Contexts, Levels
from dagrec_cli.models.layers.context_gru import ContextGRU, Merge
from dagrec_cli.models.layers.node_features import NodeEmbedding

Readout = Literal["last", "all"]


class DAGNN(TorchModel):
    """Encode a context as the states of all layers, the embedding among them, end to end.

    In each layer a node's state is one step of a GRU from what its parents' states of this layer
    merge to, with its own state of the layer below as input. So a state depends on what leads to
    the node alone, and is computed once for all contexts that share it.

    Parameters
    ----------
    hidden
        Width of embeddings and states, 1 and up.
    num_layers
        Passes along the DAG, 1 and up.
    merge
        How several parents' states become one, by ``attention`` in the source; see
        :class:`~dagrec_cli.models.layers.context_gru.ContextGRU`.
    readout
        States of the ``last`` node, the only one without successors, which is what the source
        reads; or of ``all`` nodes, the greatest of each coordinate.
    dropout_embed
        Probability, in ``[0, 1)``, of zeroing an embedding coordinate while training.
    dropout_hidden
        The same for the states between layers and before the head.
    names
        See :class:`~dagrec_cli.models.layers.node_features.NodeEmbedding`.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        hidden: Count,
        num_layers: Count,
        merge: Merge,
        readout: Readout,
        dropout_embed: Share,
        dropout_hidden: Share,
        names: bool,
        **shared: Any,
    ) -> None:
        width = (num_layers + 1) * hidden
        super().__init__(facts, hidden=width, **shared)
        self.readout = readout
        self.embedding = NodeEmbedding(facts, hidden, self.node_dropout, names=names)
        self.dropout_embed = nn.Dropout(dropout_embed)
        self.layers = nn.ModuleList(
            ContextGRU(hidden, hidden, merge=merge, batch_first=True) for _ in range(num_layers)
        )
        self.dropout_hidden = nn.Dropout(dropout_hidden)

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the states that are read of each context."""
        if contexts.dag is None:  # rows are paths
            return self._along_rows(contexts.rows)
        contexts = self.embedding.as_named(contexts)
        levels = contexts.levels
        states = [self.dropout_embed(self.embedding(levels.node, contexts.unknown))]
        for layer in cast(Iterable[ContextGRU], self.layers):
            states.append(self.dropout_hidden(layer.along(states[-1], levels)))
        every = torch.cat(states, dim=1)
        if self.readout == "all":
            every = _greatest(every, levels)
        return every.index_select(0, levels.context)

    def _along_rows(self, rows: ContextRows) -> Tensor:
        states = [self.dropout_embed(self.embedding(rows.nodes))]
        for layer in cast(Iterable[ContextGRU], self.layers):
            states.append(self.dropout_hidden(layer(states[-1])[0]))
        every = torch.cat(states, dim=2)
        if self.readout == "last":
            return rows.at_last(every)
        is_padding = torch.arange(every.shape[1], device=every.device) >= rows.length[:, None]
        return every.masked_fill(is_padding[:, :, None], -torch.inf).amax(dim=1)


def _greatest(
    states: Float[Tensor, "entries width"], levels: Levels
) -> Float[Tensor, "entries width"]:
    """Return the greatest of each coordinate over each entry and all that leads to it."""
    parts = torch.split(states, levels.sizes)

    def step(number: int, sent: Tensor, level: ContextLevel) -> Tensor:
        if level.target is None:
            return torch.maximum(parts[number], sent)
        index = level.target[:, None].expand_as(sent)
        return parts[number].scatter_reduce(0, index, sent, "amax")

    return levels.walk(parts[0], step)
