from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.service_graph import ServiceGraph

CLASS = {2: 2, 3: 0, 5: 1}  # node index to service class; nodes 1, 4 and 6 are none
N_NODES, N_SERVICES = 6, 3

node = st.integers(1, N_NODES)
Steps = list[tuple[int, int]]
steps = st.lists(st.tuples(node, node), max_size=25)


def graph_of(steps: Steps) -> ServiceGraph:
    classes = np.array([CLASS.get(k, -1) for k in range(N_NODES + 1)], np.int32)
    ends = np.array(steps, np.int32).reshape(-1, 2)
    return ServiceGraph.from_steps(ends[:, 0], ends[:, 1], classes)


def successors_of(steps: Steps) -> dict[int, set[int]]:
    successors: dict[int, set[int]] = defaultdict(set)
    for source, target in steps:
        if target in CLASS:
            successors[source].add(CLASS[target])
    return successors


@given(steps)
def test_steps_are_counted_into_sorted_edges(steps: Steps) -> None:
    graph = graph_of(steps)
    edges = list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    assert edges == sorted(set(steps))
    assert dict(zip(edges, graph.count.tolist(), strict=True)) == Counter(steps)


@given(steps)
def test_successors_are_the_service_children(steps: Steps) -> None:
    indptr, indices = graph_of(steps).successors
    assert len(indptr) == N_NODES + 2
    expected = successors_of(steps)
    for k in range(N_NODES + 1):
        assert indices[indptr[k] : indptr[k + 1]].tolist() == sorted(expected[k])


@given(steps, st.lists(node, max_size=8))
def test_allowed_services_are_the_successors_or_all(steps: Steps, last: list[int]) -> None:
    expected = successors_of(steps)
    table = graph_of(steps).allowed(last, N_SERVICES)
    assert table.shape == (len(last), N_SERVICES)
    for row, k in zip(table, last, strict=True):
        assert set(np.flatnonzero(row)) == (expected[k] or {0, 1, 2})


@given(steps, node)
def test_it_knows_how_often_each_service_followed_a_node(steps: Steps, last: int) -> None:
    times = graph_of(steps).times_seen(last, N_SERVICES)
    assert {k: times[CLASS[k]] for k in CLASS} == {k: steps.count((last, k)) for k in CLASS}


@given(steps, st.lists(st.tuples(node, st.integers(0, N_SERVICES - 1)), max_size=12))
def test_forbidden_targets_are_counted(steps: Steps, asked: Steps) -> None:
    expected = successors_of(steps)
    n_forbidden = sum(bool(expected[k]) and target not in expected[k] for k, target in asked)
    columns = np.array(asked, np.int32).reshape(-1, 2)
    assert graph_of(steps).count_forbidden(columns[:, 0], columns[:, 1]) == n_forbidden
