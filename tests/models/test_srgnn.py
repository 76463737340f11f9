from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts

Scrambled = Callable[..., TorchModel]
Edges = set[tuple[int, int]]


def links_of(dag: ContextDag, entry: int, order: int) -> tuple[set[int], Edges]:
    """Return the nodes of what leads to an entry by few links, and the links between them."""
    met, new = {entry}, {entry}
    parents = {each: of for each, (_, of) in enumerate(dag.items())}
    for _ in range(order - 1):
        new = {parent for child in new for parent in parents[child]}
        met |= new
    links = {(parent, child) for child in met for parent in parents[child] if parent in met}
    return {int(dag.node[each]) for each in met}, {
        (int(dag.node[a]), int(dag.node[b])) for a, b in links
    }


def applied(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def by_hand(
    weights: dict[str, Tensor], nodes: Sequence[int], last: int, edges: Edges, steps: int
) -> tuple[Tensor, Tensor]:
    """Return a state for each node, and the one that is scored: the source's equations 1 to 7."""
    apply = partial(applied, weights)
    into = torch.tensor([[float((a, b) in edges) for a in nodes] for b in nodes])
    h = weights["embedding.weight"][list(nodes)]
    for _ in range(steps):
        heard = [
            table / table.sum(1, keepdim=True).clamp(min=1) @ apply(name, h)
            for table, name in ((into, "incoming"), (into.T, "outgoing"))
        ]
        ours = linear(torch.cat(heard, 1), weights["cell.weight_ih"], weights["cell.bias_ih"])
        theirs = linear(h, weights["cell.weight_hh"], weights["cell.bias_hh"])
        (r, z, n), (r_h, z_h, n_h) = ours.chunk(3, 1), theirs.chunk(3, 1)
        new = (n + (r + r_h).sigmoid() * n_h).tanh()
        h = new + (z + z_h).sigmoid() * (h - new)
    return h, read(apply, h, nodes.index(last))


def read(apply: Callable[[str, Tensor], Tensor], h: Tensor, last: int) -> Tensor:
    weight = apply("match", (apply("asking", h[last]) + apply("asked", h)).sigmoid())
    return apply("both", torch.cat([h[last], (weight * h).sum(0)]))


@pytest.mark.parametrize(("order", "steps"), [(32, 1), (2, 2)])
def test_states_equal_the_equations(
    scrambled: Scrambled, merging: Dataset, order: int, steps: int
) -> None:
    """Of contexts that merge, some of which hold a node twice."""
    model = scrambled("srgnn", merging, hidden=6, order=order, steps=steps)
    dag, weights, expected = merging.contexts, model.state_dict(), []
    for entry in range(len(dag)):
        nodes, edges = links_of(dag, entry, order)
        expected.append(by_hand(weights, sorted(nodes), int(dag.node[entry]), edges, steps)[1])
    entries = np.arange(len(dag), dtype=np.int32)[::-1].copy()
    found = model.encode(Contexts(dag, entries))
    assert torch.allclose(found, torch.stack(expected[::-1]), atol=1e-4)
    assert any(len(dag.spell(each)) > len({*dag.spell(each)}) for each in range(len(dag)))


def test_the_graph_of_all_services_is_the_same_whatever_the_context(
    scrambled: Scrambled, merging: Dataset
) -> None:
    model = scrambled("srgnn", merging, hidden=6, graph="services")
    dag, weights, graph = merging.contexts, model.state_dict(), merging.graph()
    every = range(1, len(merging.vocabulary.nodes) + 1)
    edges = {*zip(graph.source.tolist(), graph.target.tolist(), strict=True)}
    states, _ = by_hand(weights, every, 1, edges, 1)
    found = model.encode(Contexts(dag, np.arange(len(dag), dtype=np.int32)))
    for entry in range(len(dag)):
        nodes = sorted({*dag.spell(entry)})
        last = nodes.index(int(dag.node[entry]))
        state = read(partial(applied, weights), states[[n - 1 for n in nodes]], last)
        assert torch.allclose(found[entry], state, atol=1e-4)


def test_rows_are_the_graphs_of_paths(scrambled: Scrambled, tiny: Dataset) -> None:
    """A row that walks a link twice, and comes back; longer ones are read from behind."""
    model = scrambled("srgnn", tiny, order=6)
    rows = torch.tensor([[1, 2, 1, 2, 2, 3, 1, 2], [3, 2, 3, 1, 0, 0, 0, 0]])
    length = torch.tensor([8, 4])
    found = model.encode(Contexts.of_rows(rows, length))
    for row, n, state in zip(rows.tolist(), length.tolist(), found, strict=True):
        kept = row[:n][-6:]
        nodes, weights = sorted({*kept}), model.state_dict()
        _, expected = by_hand(weights, nodes, kept[-1], {*pairwise(kept)}, 1)
        assert torch.allclose(state, expected, atol=1e-4)


def test_without_steps_links_are_not_read(scrambled: Scrambled, merging: Dataset) -> None:
    contexts = Contexts(merging.contexts, np.arange(len(merging.contexts), dtype=np.int32))
    off, on = (scrambled("srgnn", merging, steps=n).encode(contexts) for n in (0, 1))
    reversed_ = Contexts.of_rows(*contexts.rows)  # whose links are other ones where contexts merge
    assert torch.allclose(scrambled("srgnn", merging, steps=0).encode(reversed_), off, atol=1e-5)
    assert not torch.isclose(off, on, atol=1e-3).all(1).any()
