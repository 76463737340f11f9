from collections.abc import Callable
from importlib import util

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.export.onnx_model import OnnxError, onnx_bytes
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts

Scrambled = Callable[..., TorchModel]
ContextsOf = Callable[[Dataset], Contexts]


def by_hand(
    dataset: Dataset, weights: dict[str, Tensor], *, heads: int, order: int, distances: int
) -> Tensor:
    """Return the state of every entry: attention over a table of all, what networkx reaches."""

    def apply(function: Callable[..., Tensor], name: str, x: Tensor, *rest: object) -> Tensor:
        return function(x, *rest, weights[f"{name}.weight"], weights[f"{name}.bias"])

    dag, width = dataset.contexts, weights["embedding.weight"].shape[1]
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(dag)))
    for entry, (_, parents) in enumerate(dag.items()):
        graph.add_edges_from((entry, parent) for parent in parents)
    attends = torch.full((len(dag), len(dag)), -torch.inf)
    for entry in graph:
        attends[entry, list(nx.single_source_shortest_path_length(graph, entry, order - 1))] = 0
    services = dataset.graph()
    known = nx.DiGraph(zip(services.source.tolist(), services.target.tolist(), strict=True))
    lengths = dict(nx.all_pairs_shortest_path_length(known))
    far = torch.tensor(
        [
            [min(lengths[a].get(b, 99), distances + 1) for a in dag.node.tolist()]
            for b in dag.node.tolist()
        ]
    )
    angle = torch.from_numpy(dag.depth)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    x = weights["embedding.weight"][torch.from_numpy(dag.node).long()]
    x = x + torch.cat([angle.sin(), angle.cos()], 1)
    for number, block in enumerate(("blocks.0", "blocks.1")):
        bias = weights[f"near.{number}.weight"][far] if distances else torch.zeros(1, 1, heads)
        known = apply(layer_norm, f"{block}.norm", x, (width,))
        query = apply(linear, f"{block}.attention.query", known)
        key, value = apply(linear, f"{block}.attention.key_value", known).chunk(2, dim=1)
        heard = [
            (q @ k.T / q.shape[1] ** 0.5 + of_head + attends).softmax(1) @ v
            for q, k, v, of_head in zip(
                *(each.chunk(heads, 1) for each in (query, key, value)), bias.unbind(2), strict=True
            )
        ]
        x = x + apply(linear, f"{block}.attention.out", torch.cat(heard, 1))
        inner = apply(layer_norm, f"{block}.inner.0", x, (width,))
        inner = apply(linear, f"{block}.inner.1", inner).relu()
        x = x + apply(linear, f"{block}.inner.4", inner)
    return apply(layer_norm, "norm", x, (width,))


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize(("order", "distances"), [(32, 0), (2, 0), (32, 1)])
def test_states_equal_those_by_hand(
    scrambled: Scrambled, merging: Dataset, order: int, distances: int, contexts_of: ContextsOf
) -> None:
    settings = {"heads": 2, "order": order, "distances": distances}
    model = scrambled("dag_transformer", merging, hidden=8, **settings)
    expected = by_hand(merging, model.state_dict(), **settings)
    assert torch.allclose(model.encode(contexts_of(merging)), expected, atol=1e-4)
    some = np.array([9, 30, 9], np.int32)  # of which one is there twice
    found = model.encode(Contexts(merging.contexts, some))
    assert torch.allclose(found, expected[some.tolist()], atol=1e-4)


@pytest.mark.parametrize("distances", [0, 2])
def test_what_reachability_hides_would_be_seen(
    scrambled: Scrambled, merging: Dataset, distances: int, contexts_of: ContextsOf
) -> None:
    """As rows each node attends to all before it: another function of what branches alone."""
    model = scrambled("dag_transformer", merging, distances=distances)
    contexts = contexts_of(merging)
    of_rows = model.encode(Contexts.of_rows(*contexts.rows))
    is_alike = torch.isclose(model.encode(contexts), of_rows, atol=1e-4).all(1)
    dag = merging.contexts
    is_path = np.array([len(dag.spell(entry)) == dag.depth[entry] for entry in contexts.entries])
    assert is_alike[is_path].all()
    assert not is_alike[~is_path].any()


def test_onnx_has_no_distances(
    scrambled: Scrambled, merging: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    with pytest.raises(OnnxError, match=r"train with model.distances=0"):
        onnx_bytes(scrambled("dag_transformer", merging, distances=1), merges=False)
