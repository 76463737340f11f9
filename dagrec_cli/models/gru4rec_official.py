"""GRU4Rec as its authors have it: one node at a time, from a state that is carried along.

Source: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
Recommendations", CIKM 2018, and the authors' code for PyTorch (hidasib/GRU4Rec_PyTorch_Official),
with its equations and initial weights; ``trainer=session_parallel`` trains it as they do.
Differs from the source: an item is a node, and of all items services alone are ranked; a context
that branches is read in topological order; a node that training never saw is UNKNOWN, where the
authors leave it out, and what no row trains begins at 0; initial weights are drawn from torch's
random numbers by the run's seed.
"""

from math import sqrt
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from msgspec import Meta
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.models.base import Facts, PlainMask, TorchModel
from dagrec_cli.models.context_batch import ContextLevel, Contexts
from dagrec_cli.models.layers.node_features import NodeEmbedding, TiedHead

Layers = Annotated[list[Count], Meta(min_length=1)]


class GRU4RecOfficial(TorchModel):
    """Score a service by its vector and the last layer's state after the context's last node.

    Parameters
    ----------
    layers
        Width of each layer's state, 1 and up.
    node_input
        What a node is to the first layer: ``tied``, the vector that it is scored by; ``own``,
        another one; ``one_hot``, its number.
    embedding_dim
        Width of a node's vector with ``node_input=own``, 1 and up.
    dropout_embed
        Probability, in ``[0, 1)``, of zeroing a coordinate of a node's vector while training, with
        ``one_hot`` of the first layer's state.
    dropout_hidden
        The same of each other state, which is also carried on so.
    mask
        See :class:`~dagrec_cli.models.base.Model`; session-parallel training never sees it.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        layers: Layers,
        node_input: Literal["tied", "own", "one_hot"],
        embedding_dim: Count,
        dropout_embed: Share,
        dropout_hidden: Share,
        mask: PlainMask,
    ) -> None:
        last = layers[-1]
        super().__init__(
            facts,
            hidden=last,
            mask=mask,
            edge_dropout=0.0,
            node_dropout=0.0,
            owner="none",
            owner_dropout=0.0,
        )
        self.layers = list(layers)
        self.output = _vectors(facts, last, is_output=True)
        self.bias = _vectors(facts, 1)
        nn.init.zeros_(self.bias.weight)
        self.head = _NodeHead(self.output, self.bias, facts)
        is_own, is_one_hot = node_input == "own", node_input == "one_hot"
        self.embedding = _vectors(facts, embedding_dim) if is_own else None
        self.first = OneHotGRU(facts, layers[0]) if is_one_hot else None
        widths = [] if is_one_hot else [embedding_dim if is_own else last]
        self.cells = nn.ModuleList(map(_gru_cell, [*widths, *layers], [*widths, *layers][1:]))
        self.dropout_embed = nn.Dropout(dropout_embed)
        self.dropout_hidden = nn.Dropout(dropout_hidden)

    def read(
        self, node: Int[Tensor, " rows"], state: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "rows width"]:
        """Return the states of all layers, side by side, after one more node."""
        before, after = list(torch.split(state, self.layers, 1)), []
        if self.first is None:
            vectors = self.output if self.embedding is None else self.embedding
            inputs = self.dropout_embed(vectors(node))
        else:
            inputs = self.dropout_embed(self.first(node, before.pop(0)))
            after.append(inputs)
        for cell, carried in zip(self.cells, before, strict=True):
            inputs = self.dropout_hidden(cell(inputs, carried))
            after.append(inputs)
        return torch.cat(after, 1)

    def score(
        self, state: Float[Tensor, "rows width"], nodes: Int[Tensor, " nodes"]
    ) -> Float[Tensor, "rows nodes"]:
        """Return scores of some nodes after states of all layers."""
        scores: Tensor = self.last(state) @ self.output(nodes).T + self.bias(nodes).T
        return scores

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the last layer's state after each context's last node, from a zero state."""
        if contexts.dag is None or contexts.levels.merges:
            return self.last(self._along_rows(contexts))
        levels = contexts.levels  # of paths: what they share is read once
        node = torch.split(levels.node, levels.sizes)

        def step(number: int, sent: Tensor, _: ContextLevel) -> Tensor:
            return self.read(node[number], sent)

        states = levels.walk(self.read(node[0], self.zeros(len(node[0]))), step)
        return self.last(states).index_select(0, levels.context)

    def _along_rows(self, contexts: Contexts) -> Tensor:
        nodes, length = contexts.rows
        state = self.zeros(len(nodes))
        for step, node in enumerate(nodes.clamp(min=1).T):  # states at padding are not kept
            state = torch.where(step < length[:, None], self.read(node, state), state)
        return state

    def zeros(self, n: int) -> Float[Tensor, "n width"]:
        """Return the states before anything is read."""
        return self.output.weight.new_zeros(n, sum(self.layers))

    def last(self, state: Float[Tensor, "rows width"]) -> Float[Tensor, "rows hidden"]:
        """Return the last layer's part of states."""
        return state[:, -self.layers[-1] :]


class OneHotGRU(nn.Module):
    """The first layer where a node is its number: the weights of a node are looked up.

    Resets the state before the product with it, unlike torch's cell:
    ``h' = (1 - z) h + z tanh(W[node] + (r h) U)``.
    """

    def __init__(self, facts: Facts, hidden: int) -> None:
        super().__init__()
        self.of_node = _vectors(facts, 3 * hidden, n_gates=3)  # candidate, reset, update
        self.gates = nn.Parameter(torch.empty(hidden, 2 * hidden))  # reset, update
        self.candidate = nn.Parameter(torch.empty(hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(3 * hidden))
        for weight in (self.gates, self.candidate):
            _draw_uniform(weight, hidden, hidden)

    def forward(
        self, node: Int[Tensor, " rows"], state: Float[Tensor, "rows hidden"]
    ) -> Float[Tensor, "rows hidden"]:
        """Return the state after one more node."""
        candidate, reset, update = (self.of_node(node) + self.bias).chunk(3, 1)
        reset_state, update_state = (state @ self.gates).chunk(2, 1)
        reset = torch.sigmoid(reset + reset_state)
        update = torch.sigmoid(update + update_state)
        new = torch.tanh(candidate + (reset * state) @ self.candidate)
        return (1 - update) * state + update * new


class _NodeHead(TiedHead):
    """Scores of services by vectors and biases that all nodes have."""

    def __init__(self, vectors: NodeEmbedding, bias: NodeEmbedding, facts: Facts) -> None:
        super().__init__(vectors, facts.vocabulary.service_nodes - 1)
        self.register_parameter("bias", None)
        self._shared.append(bias)

    def forward(self, states: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows services"]:
        """Return the scores of the whole catalogue."""
        vectors, bias = (each.weight[self.service_nodes] for each in self._shared)
        return nn.functional.linear(states, vectors, bias.squeeze(1))

    def candidates(
        self, states: Float[Tensor, "rows hidden"], classes: Int[Tensor, "rows candidates"]
    ) -> Float[Tensor, "rows candidates"]:
        """Return the scores of each row's candidates."""
        scores: Tensor = self(states).gather(1, classes)
        return scores


def _vectors(
    facts: Facts, width: int, n_gates: int = 1, *, is_output: bool = False
) -> NodeEmbedding:
    """Return a vector for each node, drawn as the authors do; those that nothing trains are 0."""
    vectors = NodeEmbedding(facts, width, 0.0, has_padding=False)
    is_read = vectors.weight.detach().any(1)
    if is_output:
        is_read[facts.vocabulary.service_nodes - 1] = True
    _draw_uniform(vectors.weight, facts.n_nodes, width // n_gates)
    with torch.no_grad():
        vectors.weight[~is_read] = 0
    return vectors


def _gru_cell(width: int, hidden: int) -> nn.GRUCell:
    cell = nn.GRUCell(width, hidden)
    _draw_uniform(cell.weight_ih, width, hidden)
    _draw_uniform(cell.weight_hh, hidden, hidden)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    return cell


def _draw_uniform(weight: Tensor, n_in: int, n_out: int) -> None:
    """Draw weights uniformly, as far as the widths of one gate say, whatever they hold together."""
    limit = sqrt(6 / (n_in + n_out))
    nn.init.uniform_(weight, -limit, limit)
