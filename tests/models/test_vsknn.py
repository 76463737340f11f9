from collections.abc import Callable
from math import sqrt

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import ContextDag, paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.models import vsknn
from dagrec_cli.models.base import CountingModel
from dagrec_cli.models.context_batch import Contexts

Counted = Callable[..., CountingModel]
ContextsOf = Callable[[Dataset], Contexts]


def vector(graph: "nx.DiGraph[int]", dag: ContextDag, entry: int, order: int) -> dict[int, float]:
    """Return the weight of each node of a context, of length 1: linear, by networkx's distances."""
    found: dict[int, float] = {}
    for above, links in nx.single_source_shortest_path_length(graph, entry, order - 1).items():
        node = int(dag.node[above])
        found[node] = max(found.get(node, 0), 1 - links / order)
    length = sqrt(sum(weight**2 for weight in found.values()))
    return {node: weight / length for node, weight in found.items()}


def by_hand(dataset: Dataset, *, k: int, sample_size: int, order: int, smoothing: float) -> Tensor:
    dag, pairs = dataset.contexts, dataset.pairs
    graph = nx.DiGraph()  # each entry to its parents
    graph.add_nodes_from(range(len(dag)))
    graph.add_edges_from(
        (entry, parent) for entry, (_, above) in enumerate(dag.items()) for parent in above
    )
    vectors = [vector(graph, dag, entry, order) for entry in range(len(dag))]
    training = sorted(set(pairs.context.tolist()))
    shares = []
    popular = np.bincount(pairs.target, minlength=len(dataset.vocabulary.services)) + smoothing / (
        n := len(dataset.vocabulary.services)
    )
    for own in vectors:
        similar = [
            (sum(w * vectors[entry].get(node, 0) for node, w in own.items()), entry)
            for entry in training
        ]
        met = [each for each in similar if each[0] > 0][-sample_size:]
        least = min(sorted((s for s, _ in met), reverse=True)[:k], default=0)
        votes = np.zeros(n)
        for similarity, entry in met:
            if similarity > least - 1e-9:
                is_own = pairs.context == entry
                votes += similarity * np.bincount(pairs.target[is_own], minlength=n)
        votes += smoothing * popular / popular.sum()
        shares.append(votes / votes.sum())
    return torch.tensor(np.array(shares)).log().float()


@pytest.mark.parametrize("rows_at_once", [1, 10**6])
def test_shares_equal_those_by_hand(
    counted: Counted,
    merging: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    rows_at_once: int,
    contexts_of: ContextsOf,
) -> None:
    monkeypatch.setattr(vsknn, "CELLS_AT_ONCE", rows_at_once * len(merging.contexts))
    settings = {"k": 4, "sample_size": 20, "order": 3, "smoothing": 0.5}
    model = counted("vsknn", merging, weighting="linear", **settings)
    expected = by_hand(merging, **settings)  # type: ignore[arg-type]
    assert torch.allclose(model(contexts_of(merging)), expected, atol=1e-4)


def test_every_setting_decides(counted: Counted, merging: Dataset, contexts_of: ContextsOf) -> None:
    settings = [
        *({"weighting": each} for each in vsknn.WEIGHTS),
        {"order": 1},
        {"k": 1},
        {"sample_size": 5},
        {"smoothing": 2.0},
    ]
    found = [counted("vsknn", merging, **each)(contexts_of(merging)) for each in settings]
    for number, scores in enumerate(found):
        assert not any(torch.allclose(scores, other) for other in found[:number])


def test_equally_similar_neighbours_all_vote(
    counted: Counted, walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """Also those beyond ``k``; else which one votes would be chance."""
    dataset = dataset_of([walks(f"t{k} s1 s{k}") for k in range(2, 6)])
    context = Contexts(*paths([[dataset.vocabulary.index["service_1"]]]))
    scores = counted("vsknn", dataset, k=1)(context)[0]
    assert scores[1:].tolist() == pytest.approx([float(scores[1])] * 4)
    assert scores[1] > scores[0]  # which is the favourite


def test_without_a_node_in_common_popularity_votes(
    counted: Counted, three_services: Dataset
) -> None:
    model = counted("vsknn", three_services, rows := np.arange(2), smoothing=1.0)
    stranger = Contexts(*paths([[three_services.vocabulary.index["table_3"]]]))
    counts = np.bincount(three_services.pairs.target[rows], minlength=3) + 1 / 3
    assert model(stranger)[0].exp().tolist() == pytest.approx((counts / counts.sum()).tolist())


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("nodes", -1, 2**60), ("nodes", 0, -1), ("weights", 0, np.inf), ("cells", 0, 2**60)],
)
def test_strange_tables_are_refused(
    counted: Counted, three_services: Dataset, name: str, place: int, value: float
) -> None:
    model = counted("vsknn", three_services)
    state = model.state_dict()
    state[f"table.{name}"][place] = value
    with pytest.raises(RuntimeError, match="table holds no table of contexts"):
        model.load_state_dict(state)
