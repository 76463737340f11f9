"""DAG-GNN: messages from parents and from children, with a matrix of their own.

Source: PAPER §7, "DAG-GNN", after Yu et al., "DAG-GNN: DAG Structure Learning with Graph Neural
Networks", ICML 2019.
Differs from the source: the graph is given, not learned; states are averaged over neighbours before
they are multiplied, which is the same number for less work.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.node_features import KnownOfNode, NodeFeatures
from dagrec_cli.models.layers.node_graph import EdgeMatrix, edge_rows, share_of_group

DEVIATION = 0.02  # of the initial message weights


class DAGGNN(TorchModel):
    """Encode a context as the state of its last node after rounds of messages.

    A round is ``h = LayerNorm(h + dropout(GELU(h W_s + b + parents' mean W_p + children's mean
    W_c)))``.

    Parameters
    ----------
    node_features, embedding_dim
        See :class:`~dagrec_cli.models.layers.node_features.NodeFeatures`.
    hidden
        Width of a node's state, 1 and up.
    num_layers
        Number of rounds, 1 and up.
    dropout_hidden
        Probability, in ``[0, 1)``, of zeroing a coordinate while training.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        node_features: KnownOfNode,
        embedding_dim: Count,
        hidden: Count,
        num_layers: Count,
        dropout_hidden: Share,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden, **shared)
        self.features = NodeFeatures(facts, node_features, embedding_dim, self.node_dropout)
        self.start = nn.Linear(self.features.width, hidden)
        self.rounds = nn.ModuleList(
            _Round(facts.graph, hidden, dropout_hidden) for _ in range(num_layers)
        )
        self.readout = nn.Sequential(
            nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout_hidden)
        )

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        states = self.start(self.features())
        for message_round in self.rounds:
            states = message_round(states)
        read: Tensor = self.readout(states)
        return read[contexts.last - 1]


class _Round(nn.Module):
    """One round of messages."""

    def __init__(self, graph: ServiceGraph, hidden: int, dropout: float) -> None:
        super().__init__()
        source, target = edge_rows(graph)
        ones = torch.ones(len(source))
        self.mean_of_parents = EdgeMatrix(source, target, share_of_group(ones, target))
        self.mean_of_children = EdgeMatrix(target, source, share_of_group(ones, source))
        self.own = nn.Linear(hidden, hidden)
        self.from_parents = nn.Linear(hidden, hidden, bias=False)
        self.from_children = nn.Linear(hidden, hidden, bias=False)
        nn.init.normal_(self.from_parents.weight, std=DEVIATION)
        nn.init.normal_(self.from_children.weight, std=DEVIATION)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, states: Tensor) -> Tensor:
        nothing = torch.zeros_like(states)
        parents = self.from_parents(self.mean_of_parents(states, nothing))
        children = self.from_children(self.mean_of_children(states, nothing))
        change = nn.functional.gelu(self.own(states) + parents + children)
        out: Tensor = self.norm(states + self.dropout(change))
        return out
