"""DAGNN2021: states computed along the partial order of the graph.

Source: PAPER §7, "DAGNN2021", after Thost & Chen, "Directed Acyclic Graph Neural Networks", ICLR
2021.
Differs from the source: the nodes of one topological level are computed at once; a node that shares
a cycle of the service graph with a predecessor sees that predecessor's previous-layer state.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.edge_attention import EdgeAttention
from dagrec_cli.models.layers.node_features import KnownOfNode, NodeFeatures
from dagrec_cli.models.layers.node_graph import Level, graph_levels, node_levels


class DAGNN2021(TorchModel):
    """Encode a context as the states of its last node in all layers.

    In each layer, level by level, a node attends with its previous state to its predecessors'
    states of the same layer; a source keeps its state. Levels that no context ends in or passes are
    left out: their states reach no score.

    Parameters
    ----------
    node_features, embedding_dim
        See :class:`~dagrec_cli.models.layers.node_features.NodeFeatures`.
    hidden
        Width of a node's state, a multiple of ``heads``.
    num_layers
        Number of passes over the graph, 1 and up.
    heads
        Attention heads, 1 and up.
    dropout_hidden
        Probability, in ``[0, 1)``, of zeroing an attention or a coordinate while training.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.

    Raises
    ------
    ConfigError
        If ``heads`` does not divide ``hidden``.
    """

    level_of: Tensor

    def __init__(
        self,
        facts: Facts,
        *,
        node_features: KnownOfNode,
        embedding_dim: Count,
        hidden: Count,
        num_layers: Count,
        heads: Count,
        dropout_hidden: Share,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden, **shared)
        self.features = NodeFeatures(facts, node_features, embedding_dim, self.node_dropout)
        self.start = nn.Linear(self.features.width, hidden)
        level_of = node_levels(facts.graph)
        self.register_buffer("level_of", torch.from_numpy(level_of), persistent=False)
        self.levels = nn.ModuleList(graph_levels(facts.graph, level_of))
        self.passes = nn.ModuleList(_Pass(hidden, heads, dropout_hidden) for _ in range(num_layers))
        self.readout = nn.Sequential(
            nn.Linear((num_layers + 1) * hidden, hidden), nn.GELU(), nn.Dropout(dropout_hidden)
        )

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        wanted = contexts.last - 1
        levels = list(cast(Iterable[Level], self.levels))
        if not torch.compiler.is_exporting():  # an exported model cannot choose by value
            highest = int(self.level_of[wanted].max())
            levels = [each for each in levels if each.depth <= highest]
        layers = [self.start(self.features())]
        for walk in self.passes:
            layers.append(walk(layers[-1], levels))
        states: Tensor = self.readout(torch.cat(layers, dim=1))
        return states[wanted]


class _Pass(nn.Module):
    """One walk over the levels, with the weights of one layer."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = EdgeAttention(hidden, heads, dropout)
        self.combine = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(dropout)
        )

    def forward(self, previous: Tensor, levels: list[Level]) -> Tensor:
        states, query = previous, self.attention.query(previous)
        for level in levels:
            asked = query.index_select(0, level.nodes)
            senders = states.index_select(0, level.senders)
            heard = self.attention.gather(asked, senders, level.edges)
            previous_state = previous.index_select(0, level.nodes)
            changed = self.combine(torch.cat([previous_state, heard], dim=1))
            states = states.index_copy(0, level.nodes, changed.to(states.dtype))
        return states
