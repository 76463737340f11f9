from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts

Scrambled = Callable[..., TorchModel]
ContextsOf = Callable[[Dataset], Contexts]
States = dict[int, list[Tensor]]  # of each entry: by layer, that of the embedding first


def by_hand(dataset: Dataset, weights: dict[str, Tensor], readout: str) -> Tensor:
    """Return what is read of each context: node by node, parents before their children."""
    states: States = {}
    read: list[Tensor] = []
    for entry, (node, parents) in enumerate(dataset.contexts.items()):
        states[entry] = [weights["embedding.weight"][node]]
        for layer in ("layers.0", "layers.1"):
            states[entry].append(step(states, entry, parents, layer, weights))
        whole = torch.cat(states[entry])
        if readout == "all":  # parents' own are the greatest of what leads to them
            whole = torch.stack([whole, *(read[parent] for parent in parents)]).amax(0)
        read.append(whole)
    return torch.stack(read)


def step(
    states: States, entry: int, parents: list[int], layer: str, weights: dict[str, Tensor]
) -> Tensor:
    """Return a state of one layer, of what attention gathers from the parents' in it."""
    x, depth = states[entry][-1], len(states[entry])
    heard = torch.zeros_like(x)
    if parents:
        sent = torch.stack([states[parent][depth] for parent in parents])
        query = weights[f"{layer}.query.0.weight"] @ x + weights[f"{layer}.query.0.bias"]
        heard = (sent @ query / len(x) ** 0.5).softmax(0) @ sent
    cell = torch.nn.GRUCell(len(x), len(x))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cell.load_state_dict({name: weights[f"{layer}.{name}_l0"] for name in names})
    return cell(x, heard).detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize("readout", ["last", "all"])
def test_states_equal_the_equations(
    scrambled: Scrambled, merging: Dataset, readout: str, contexts_of: ContextsOf
) -> None:
    model = scrambled("dagnn", merging, hidden=4, readout=readout)
    every = contexts_of(merging)
    expected = by_hand(merging, model.state_dict(), readout)
    assert torch.allclose(model.encode(every), expected, atol=1e-5)


def test_without_attention_only_what_merges_is_read_differently(
    scrambled: Scrambled, merging: Dataset, contexts_of: ContextsOf
) -> None:
    every = contexts_of(merging)
    model, mean = (scrambled("dagnn", merging, merge=merge) for merge in ("attention", "mean"))
    mean.load_state_dict(model.state_dict(), strict=False)  # which has no query
    is_alike = torch.isclose(model.encode(every), mean.encode(every), atol=1e-5).all(1)
    has_merged = np.zeros(len(merging.contexts), bool)  # at the last node or before
    for entry, (_, parents) in enumerate(merging.contexts.items()):
        has_merged[entry] = len(set(parents)) > 1 or has_merged[parents].any()
    assert has_merged.any()
    assert is_alike.tolist() == (~has_merged).tolist()


@pytest.mark.parametrize("readout", ["last", "all"])
def test_rows_of_paths_are_enough(
    scrambled: Scrambled, tiny: Dataset, readout: str, contexts_of: ContextsOf
) -> None:
    model = scrambled("dagnn", tiny, readout=readout)
    contexts = contexts_of(tiny)
    of_rows = model.encode(Contexts.of_rows(*contexts.rows))
    assert torch.allclose(of_rows, model.encode(contexts), atol=1e-5)
