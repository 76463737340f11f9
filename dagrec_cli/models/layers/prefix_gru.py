"""torch's GRU with a second way to run it: once per distinct prefix instead of once per cell."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from dagrec_cli.models.context_batch import Prefixes


class PrefixGRU(nn.GRU):
    """A GRU over padded rows, or along a trie; weights and their names are torch's.

    A state depends on the nodes up to it alone, so contexts that begin alike share it. Level by
    level, all prefixes of one length step from the states of their parents.
    """

    def along(
        self, inputs: Float[Tensor, "prefixes width"], prefixes: Prefixes
    ) -> Float[Tensor, "prefixes hidden"]:
        """Return the last layer's state after each prefix.

        Parameters
        ----------
        inputs
            Input of each prefix's last node.
        """
        states = inputs
        for layer in range(self.num_layers):
            if layer:
                states = dropout(states, self.dropout, self.training)
            states = self._layer(layer, states, prefixes)
        return states

    def _layer(self, layer: int, inputs: Tensor, prefixes: Prefixes) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = self.all_weights[layer]
        first, *deeper = torch.split(linear(inputs, weight_ih, bias_ih), prefixes.sizes)
        before = inputs.new_zeros(1, self.hidden_size)
        states = [_step(first, linear(before, weight_hh, bias_hh), before)]
        for from_input, parent in zip(deeper, prefixes.parents, strict=True):
            before = states[-1].index_select(0, parent)
            states.append(_step(from_input, linear(before, weight_hh, bias_hh), before))
        return torch.cat(states)


def _step(from_input: Tensor, from_state: Tensor, before: Tensor) -> Tensor:
    """Return states one step on, by PAPER §3 with torch's reset of ``W h + b`` instead of ``h``."""
    reset_in, keep_in, new_in = from_input.chunk(3, 1)
    reset_state, keep_state, new_state = from_state.chunk(3, 1)
    reset = torch.sigmoid(reset_in + reset_state)
    keep = torch.sigmoid(keep_in + keep_state)
    new = torch.tanh(new_in + reset * new_state)
    return new + keep * (before - new)
