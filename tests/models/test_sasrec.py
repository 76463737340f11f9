from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts

Scrambled = Callable[..., TorchModel]


def by_hand(nodes: list[int], weights: dict[str, Tensor], heads: int) -> Tensor:
    """Return the state of the last node, all positions computed: the paper's equations 1 to 6.

    With the weights of gates: eSASRec's code.
    """
    is_gated = "blocks.0.gate_heard.weight" in weights

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", torch.zeros(()))

    def gate(name: str, x: Tensor) -> Tensor:
        return 1 / (1 + (-linear(name, x)).exp()) if is_gated else torch.ones(())

    def norm(name: str, x: Tensor) -> Tensor:
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["embedding.weight"][nodes] * weights["embedding.weight"].shape[1] ** 0.5
    x = x + weights["position"][-len(nodes) :]
    for block in ("blocks.0", "blocks.1"):
        known = norm(f"{block}.norm", x)
        query = linear(f"{block}.attention.query", known)
        key, value = linear(f"{block}.attention.key_value", known).chunk(2, dim=1)
        of_heads = []
        for q, k, v in zip(*(each.chunk(heads, 1) for each in (query, key, value)), strict=True):
            match = (q @ k.T / q.shape[1] ** 0.5).exp().tril()
            of_heads.append(match / match.sum(1, keepdim=True) @ v)
        heard = linear(f"{block}.attention.out", torch.cat(of_heads, 1))
        x = x + gate(f"{block}.gate_heard", x) * heard
        inner = linear(f"{block}.inner.1", norm(f"{block}.inner.0", x))
        inner = silu(inner[:, :24]) * inner[:, 24:] if is_gated else inner.relu()
        x = x + gate(f"{block}.gate_inner", x) * linear(f"{block}.inner.4", inner)
    return norm("norm", x)[-1]


@pytest.mark.parametrize(("max_len", "block"), [(50, "plain"), (3, "plain"), (3, "ligr")])
def test_states_equal_the_equations(
    scrambled: Scrambled,
    random_compositions: Sequence[Composition],
    dataset_of: Callable[..., Dataset],
    max_len: int,
    block: str,
) -> None:
    """Of contexts that merge, the longest cut to their last nodes."""
    dataset = dataset_of(random_compositions[:40], context="dag")
    model = scrambled("sasrec", dataset, hidden=6, heads=2, max_len=max_len, block=block)
    entries = np.arange(len(dataset.contexts), dtype=np.int32)
    weights = model.state_dict()
    expected = [by_hand(dataset.contexts.spell(e)[-max_len:], weights, heads=2) for e in entries]
    found = model.encode(Contexts(dataset.contexts, entries))
    assert max(map(len, map(dataset.contexts.spell, entries))) > 3
    assert torch.allclose(found, torch.stack(expected), atol=1e-4)


@torch.no_grad()
def test_shut_gates_let_a_state_pass_as_it_is(
    scrambled: Scrambled, merging: Dataset, contexts_of: Callable[[Dataset], Contexts]
) -> None:
    """And shut to attention alone, a state is that of the last node by itself."""
    model, contexts = scrambled("esasrec", merging), contexts_of(merging)
    last = contexts.last
    alone = Contexts.of_rows(last[:, None], torch.ones_like(last))
    found = model.encode(contexts)
    assert not torch.isclose(found, model.encode(alone), atol=1e-2).all(1).all()
    gates = [model.get_parameter(f"blocks.0.gate_{name}.bias") for name in ("heard", "inner")]
    gates[0].fill_(-1e4)
    by_itself = model.encode(contexts)
    assert torch.allclose(by_itself, model.encode(alone), atol=1e-5)
    gates[1].fill_(-1e4)
    assert not torch.isclose(model.encode(contexts), by_itself, atol=1e-2).all(1).any()
    start = model.embedding(last) * 8 + model.position[-1]
    assert torch.allclose(model.encode(contexts), model.norm(start), atol=1e-5)


def test_memory_grows_with_the_length_alone(scrambled: Scrambled, tiny: Dataset) -> None:
    """Of a chain of 20,000 nodes rows have ``max_len`` cells, not as many as there are nodes."""
    model = scrambled("sasrec", tiny, max_len=4)
    dag, _ = paths([[1, 2, 3, 1] * 5_000])
    every = Contexts(dag, np.arange(len(dag), dtype=np.int32))
    assert every.last_nodes(4).shape == (20_000, 4)
    states = model.encode(every)
    assert torch.allclose(states[7], states[-1], atol=1e-5)  # the same last nodes


def test_services_may_have_vectors_of_their_own(scrambled: Scrambled, tiny: Dataset) -> None:
    tied, own = (scrambled("sasrec", tiny, tie_weights=each) for each in (True, False))
    assert "head.weight" not in tied.state_dict()
    assert own.state_dict()["head.weight"].shape == (len(tiny.vocabulary.services), 64)


def test_heads_that_do_not_divide(scrambled: Scrambled, tiny: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"model.hidden is 64 and model.heads 3"):
        scrambled("sasrec", tiny, heads=3)
