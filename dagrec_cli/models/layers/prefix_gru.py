"""torch's GRU with a second way to run it: once per distinct prefix instead of once per cell."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from dagrec_cli.models.contexts import Prefixes


class PrefixGRU(nn.GRU):
    """A GRU over padded rows, or along a trie; weights and their names are torch's.

    A state depends on the nodes up to it alone, so contexts that begin alike share it. Level by
    level, all prefixes of one length step from the states of their parents.
    """

    def along(
        self, inputs: Float[Tensor, "prefixes width"], prefixes: Prefixes
    ) -> Float[Tensor, "prefixes hidden"]:
        """Return the state of the last layer after each prefix, given its last node's input.

        Dropout between layers is drawn per prefix.
        """
        for layer in range(self.num_layers):
            if layer:
                inputs = dropout(inputs, self.dropout, self.training)
            inputs = self._layer(layer, inputs, prefixes)
        return inputs

    def _layer(self, layer: int, inputs: Tensor, prefixes: Prefixes) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = self.all_weights[layer]
        first, *deeper = linear(inputs, weight_ih, bias_ih).split(prefixes.sizes)
        nothing = inputs.new_zeros(1, self.hidden_size)
        states = [_step(first, bias_hh[None], nothing)]
        for from_input, parent in zip(deeper, prefixes.parents, strict=True):
            before = states[-1].index_select(0, parent)
            states.append(_step(from_input, linear(before, weight_hh, bias_hh), before))
        return torch.cat(states)


def _step(from_input: Tensor, from_state: Tensor, before: Tensor) -> Tensor:
    """Return states one step on: PAPER §3, with torch's reset of ``W h + b`` instead of ``h``."""
    input_gates, input_new = from_input.tensor_split([2 * before.shape[1]], 1)
    state_gates, state_new = from_state.tensor_split([2 * before.shape[1]], 1)
    reset, keep = torch.sigmoid(input_gates + state_gates).chunk(2, 1)
    new = torch.tanh(input_new + reset * state_new)
    return new + keep * (before - new)
