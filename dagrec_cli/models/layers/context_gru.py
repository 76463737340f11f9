"""torch's GRU with a second way to run it: once per distinct ancestor instead of once per cell."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from dagrec_cli.models.context_batch import ContextLevel, Levels
from dagrec_cli.models.layers.edge_attention import segment_softmax

Merge = Literal["mean", "max", "attention"]


class ContextGRU(nn.GRU):
    """A GRU over padded rows, or along hash-consed contexts; weights and their names are torch's.

    A state depends on what leads to a node alone, so contexts share those of what is equal. Level
    by level, all entries of one depth step from the merged states of their parents: from that of
    the parent itself where there is one.

    Parameters
    ----------
    merge
        How the states of several parents become one: their ``mean``, the greatest of each
        coordinate (``max``), or a mean by ``attention``, where the entry's input asks:
        ``softmax(W x . h / sqrt(hidden))``.
    sizes
        What torch's GRU takes.
    """

    def __init__(self, *sizes: int, merge: Merge = "mean", **settings: Any) -> None:
        super().__init__(*sizes, **settings)
        self.merge = merge
        widths = [self.input_size] + [self.hidden_size] * (self.num_layers - 1)
        self.query = nn.ModuleList(
            nn.Linear(width, self.hidden_size) for width in widths if merge == "attention"
        )

    def along(
        self, inputs: Float[Tensor, "entries width"], levels: Levels
    ) -> Float[Tensor, "entries hidden"]:
        """Return the last layer's state after each entry.

        Parameters
        ----------
        inputs
            Input of each entry's last node.
        """
        states = inputs
        for layer in range(self.num_layers):
            if layer:
                states = dropout(states, self.dropout, self.training)
            states = self._layer(layer, states, levels)
        return states

    def _layer(self, layer: int, inputs: Tensor, levels: Levels) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = self.all_weights[layer]
        asked = inputs
        if self.merge == "attention":
            asked = self.query[layer](inputs) * self.hidden_size**-0.5
        asking = torch.split(asked, levels.sizes)
        from_input = torch.split(linear(inputs, weight_ih, bias_ih), levels.sizes)

        def step(number: int, sent: Tensor, level: ContextLevel) -> Tensor:
            before = self._merged(sent, asking[number], level)
            return _step(from_input[number], linear(before, weight_hh, bias_hh), before)

        before = inputs.new_zeros(1, self.hidden_size)
        first = _step(from_input[0], linear(before, weight_hh, bias_hh), before)
        return levels.walk(first, step)

    def _merged(self, sent: Tensor, query: Tensor, level: ContextLevel) -> Tensor:
        """Return one state for each entry of a level, from those sent along the links to it."""
        if level.target is None:
            return sent
        merged = sent.new_zeros(len(query), self.hidden_size)
        if self.merge == "max":
            index = level.target[:, None].expand_as(sent)
            return merged.scatter_reduce(0, index, sent, "amax", include_self=False)
        share = level.share[:, None].to(sent.dtype)
        if self.merge == "attention":
            match = (query.index_select(0, level.target) * sent).sum(1, keepdim=True)
            share = segment_softmax(match, level.target, len(query))
        return merged.index_add(0, level.target, sent * share)


def _step(from_input: Tensor, from_state: Tensor, before: Tensor) -> Tensor:
    """Return states one step on, with torch's reset of ``W h + b`` instead of ``h``."""
    reset_in, keep_in, new_in = from_input.chunk(3, 1)
    reset_state, keep_state, new_state = from_state.chunk(3, 1)
    reset = torch.sigmoid(reset_in + reset_state)
    keep = torch.sigmoid(keep_in + keep_state)
    new = torch.tanh(new_in + reset * new_state)
    return new + keep * (before - new)
