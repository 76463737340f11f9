from dataclasses import replace

import numpy as np
import pytest
import torch

from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.models.layers import dag_mask
from dagrec_cli.models.layers.dag_mask import AllowedServices, DagMask

INF = float("inf")

# Node 1 is a table that leads to the services of classes 0, 2 and 3 (nodes 2, 4, 5), and to the
# table of node 7; node 2 leads to class 4 (node 6); all other nodes lead nowhere.
CLASS_OF_NODE = np.array([-1, -1, 0, 1, 2, 3, 4, -1], np.int32)
GRAPH = ServiceGraph.from_steps(
    np.array([1, 1, 1, 1, 2], np.int32), np.array([2, 4, 5, 7, 6], np.int32), CLASS_OF_NODE
)
MASK = DagMask(GRAPH, 5)


@pytest.mark.parametrize(
    ("third", "expected"), [(-0.3, [0.610, 0.335, 0.055]), (0.3, [0.583, 0.320, 0.096])]
)
def test_the_paper_s_worked_example(third: float, expected: list[float]) -> None:
    # PAPER §3: logits 2.1, 1.5 and -0.3 (or 0.3) over three valid services; e^2.1 = 8.166,
    # e^1.5 = 4.482, e^-0.3 = 0.741, sum 13.389
    scores = torch.tensor([[2.1, 9.0, 1.5, third, -4.0]])
    found = MASK(scores, torch.tensor([1])).softmax(dim=1)[0]
    assert found[[0, 2, 3]].tolist() == pytest.approx(expected, abs=5e-4)
    assert found[[1, 4]].tolist() == [0, 0]
    assert found.sum().item() == pytest.approx(1)


def test_each_row_is_masked_by_its_own_last_node() -> None:
    scores = torch.arange(15.0).reshape(3, 5)
    found = MASK(scores, torch.tensor([2, 1, 2]))
    assert found.tolist() == [
        [-INF, -INF, -INF, -INF, 4],
        [5, -INF, 7, 8, -INF],
        [-INF, -INF, -INF, -INF, 14],
    ]
    assert scores.isfinite().all()  # the scores given are left as they were


@pytest.mark.parametrize("node", [3, 7])
def test_a_node_without_successors_forbids_nothing(node: int) -> None:
    scores = torch.randn(1, 5)
    assert torch.equal(MASK(scores, torch.tensor([node])), scores)


SIZES = [3, 0, 1, 5, 2, 4, 0]  # of the choices of contexts, among nine services
CHOICES = AllowedServices(
    torch.tensor(SIZES), torch.tensor([0, 4, 8, 7, 0, 2, 3, 6, 7, 1, 8, 0, 1, 2, 3]), 9
)


def test_lists_hold_what_the_table_allows() -> None:
    allowed = (~CHOICES.forbidden).tolist()
    seen = {}
    for part in CHOICES.lists:
        for context, classes in zip(part.context.tolist(), part.classes.tolist(), strict=True):
            seen[context] = {service for service in classes if service < 9}
            assert len(classes) <= max(1, 2 * len(seen[context]) - 1)
    assert seen == {k: {c for c in range(9) if row[c]} for k, row in enumerate(allowed)}
    assert allowed[1] == [True] * 9


def test_pairs_are_split_and_targets_found() -> None:
    row = torch.arange(7).repeat_interleave(9)
    target = torch.arange(9).repeat(7)
    found = torch.zeros(7, 9, dtype=torch.bool)
    for part, mine, place in CHOICES.split(row):
        column, is_listed = part.find(place, target[mine])
        assert torch.equal(part.context[place], row[mine])
        assert torch.equal(part.classes[place, column][is_listed], target[mine][is_listed])
        found[row[mine], target[mine]] = is_listed
    assert torch.equal(found, ~CHOICES.forbidden)


def test_choices_of_some_contexts() -> None:
    rows = torch.tensor([3, 1, 3, 0])
    assert torch.equal(CHOICES.of(rows).forbidden, CHOICES.forbidden[rows])


def test_small_and_crowded_tables_are_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = torch.full((10,), 20), torch.full((10,), 21)
    choices = [
        AllowedServices(size, torch.zeros(int(size.sum())).long(), 100) for size in (few, many)
    ]
    assert [each.is_dense for each in choices] == [True, True]
    monkeypatch.setattr(dag_mask, "SMALL_TABLE", 0)
    choices = [replace(each) for each in choices]
    assert [each.is_dense for each in choices] == [False, True]
    assert replace(choices[0], size=torch.zeros(10).long()).is_dense
