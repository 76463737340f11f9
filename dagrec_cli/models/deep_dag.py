"""DeepDAG2022: a transformer in which a node attends to itself and its predecessors.

Source: PAPER §7, "DeepDAG2022".
Differs from the source: attention is computed along the edges, not over nodes x nodes; a cycle of
the service graph counts as one node when depth is measured.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share, TwoOrMore
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.edge_attention import EdgeAttention
from dagrec_cli.models.layers.node_features import KnownOfNode, NodeFeatures
from dagrec_cli.models.layers.node_graph import EdgeList, edge_rows, node_levels


class DeepDAG(TorchModel):
    """Encode a context as the state of its last node after attention along the edges.

    Parameters
    ----------
    node_features, embedding_dim
        See :class:`~dagrec_cli.models.layers.node_features.NodeFeatures`.
    depth_dim
        Width of what is learned from a node's depth (longest path to it / longest of all).
    hidden
        Width of a node's state, 2 and up, a multiple of ``heads``; the head reads half of it.
    num_layers
        Number of transformer blocks, 1 and up.
    heads
        Attention heads of a block, 1 and up.
    dropout_hidden
        Probability, in ``[0, 1)``, of zeroing an attention or a coordinate while training.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.

    Raises
    ------
    ConfigError
        If ``heads`` does not divide ``hidden``.
    """

    depth: Tensor

    def __init__(
        self,
        facts: Facts,
        *,
        node_features: KnownOfNode,
        embedding_dim: Count,
        depth_dim: Count,
        hidden: TwoOrMore,
        num_layers: Count,
        heads: Count,
        dropout_hidden: Share,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden // 2, **shared)
        level = torch.from_numpy(node_levels(facts.graph)).float()
        self.register_buffer("depth", level[:, None] / level.max().clamp(min=1), persistent=False)
        self.edges = EdgeList(*_with_self(edge_rows(facts.graph), facts.n_nodes))
        self.features = NodeFeatures(facts, node_features, embedding_dim, self.node_dropout)
        self.of_depth = nn.Sequential(
            nn.Linear(1, depth_dim), nn.GELU(), nn.Linear(depth_dim, depth_dim)
        )
        self.start = nn.Linear(self.features.width + depth_dim, hidden)
        self.blocks = nn.ModuleList(
            _Block(hidden, heads, dropout_hidden) for _ in range(num_layers)
        )
        self.readout = nn.Sequential(
            nn.Linear(hidden, hidden // 2),
            nn.LayerNorm(hidden // 2),
            nn.GELU(),
            nn.Dropout(dropout_hidden),
        )

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        states = self.start(torch.cat([self.features(), self.of_depth(self.depth)], dim=1))
        for block in self.blocks:
            states = block(states, self.edges)
        read: Tensor = self.readout(states)
        return read[contexts.last - 1]


class _Block(nn.Module):
    """Attention and feed-forward, each added and then normalised (post-norm)."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = EdgeAttention(hidden, heads, dropout)
        self.norm_attention = nn.LayerNorm(hidden)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden, 2 * hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * hidden, hidden),
        )
        self.norm_feed_forward = nn.LayerNorm(hidden)

    def forward(self, states: Tensor, edges: EdgeList) -> Tensor:
        states = self.norm_attention(states + self.attention(states, states, edges))
        out: Tensor = self.norm_feed_forward(states + self.feed_forward(states))
        return out


def _with_self(edges: Int[Tensor, "2 edges"], n_nodes: int) -> Int[Tensor, "2 all_edges"]:
    """Return the edges and one from every node to itself; a step to itself is not kept twice."""
    between = edges[:, edges[0] != edges[1]]
    return torch.cat([between, torch.arange(n_nodes).expand(2, -1)], dim=1)
