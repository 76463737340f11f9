"""DirectedDAGNN: node features spread along the edges, all hops mixed.

Source: PAPER §7, "DirectedDAGNN", after Liu et al., "Towards Deeper Graph Neural Networks", KDD
2020, and the propagation of Gasteiger et al., "Predict then Propagate", ICLR 2019 (APPNP), eq. 4.
Differs from the source: the linear layers before a BatchNorm have no bias, which the BatchNorm
would take away again.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Natural, Share, TwoOrMore
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.node_features import KnownOfNode, NodeFeatures
from dagrec_cli.models.layers.node_graph import EdgeMatrix, edge_rows, share_of_group


class DirectedDAGNN(TorchModel):
    """Encode a context as the state of its last node after all hops over the service graph.

    One hop starts at ``z = h`` and repeats ``z = (1 - restart) A z + restart h``, where A sends
    along u -> v the share that v has of u's outgoing steps. Hops are weighted by a learned softmax.

    Parameters
    ----------
    node_features, embedding_dim
        See :class:`~dagrec_cli.models.layers.node_features.NodeFeatures`.
    hidden
        Width of a node's state, 2 and up; the head reads half of it.
    hops
        How often the operator is applied, 0 and up.
    inner_steps
        Steps of one hop, 1 and up.
    restart
        Share of its starting state that a node keeps at each inner step, ``[0, 1)``.
    dropout_hidden
        Probability, in ``[0, 1)``, of zeroing a state's coordinate while training.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        node_features: KnownOfNode,
        embedding_dim: Count,
        hidden: TwoOrMore,
        hops: Natural,
        inner_steps: Count,
        restart: Share,
        dropout_hidden: Share,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden // 2, **shared)
        self.inner_steps = inner_steps
        self.restart = restart
        self.features = NodeFeatures(facts, node_features, embedding_dim, self.node_dropout)
        self.first = _normalised(self.features.width, hidden)
        self.second = _normalised(hidden, hidden)
        source, target = edge_rows(facts.graph)
        steps = torch.from_numpy(facts.graph.count).float()
        self.spread = EdgeMatrix(source, target, (1 - restart) * share_of_group(steps, source))
        self.hop_weight = nn.Parameter(torch.zeros(hops + 1))
        self.dropout = nn.Dropout(dropout_hidden)
        self.readout = nn.Sequential(_normalised(hidden, hidden // 2), nn.Dropout(dropout_hidden))

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        state = self.dropout(self.first(self.features()))
        state = self.dropout(state + self.second(state))
        hops = [state]
        for _ in self.hop_weight[1:]:
            hops.append(self.dropout(self.hop(hops[-1])))
        mixed = torch.einsum("k,knh->nh", self.hop_weight.softmax(0), torch.stack(hops))
        states: Tensor = self.readout(mixed)
        return states[contexts.last - 1]

    def hop(self, start: Float[Tensor, "nodes hidden"]) -> Float[Tensor, "nodes hidden"]:
        """Apply the propagation operator once."""
        state, kept = start, self.restart * start
        for _ in range(self.inner_steps):
            state = self.spread(state, kept)
        return state


def _normalised(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU())
