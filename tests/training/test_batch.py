from collections.abc import Callable

import numpy as np
import pytest

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.models.layers.dag_mask import DagMask
from dagrec_cli.training.batch import Batch, TrainingPairs

# Nodes: s1 s2 t1 are 1 2 3; classes: s1 s2 are 0 1. Pairs in file order:
#   0 (t1)    -> s1    2 (t1) -> s2    3 (t1) -> s1    5 (t1) -> s2
#   1 (t1 s1) -> s2                    4 (t1 s1) -> s2
WALKS = ["t1 s1 s2", "t1 s2", "t1 s1 s2", "t1 s2"]
ALL = np.arange(6)


@pytest.fixture
def dataset(
    walks: Callable[[str], Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> Dataset:
    return dataset_of([walks(each) for each in WALKS])


def rows_of(batch: Batch) -> list[tuple[list[int], int, float]]:
    """Spell a batch: nodes, target and weight of each training row."""
    spelt = [
        nodes[:length]
        for nodes, length in zip(
            batch.contexts.rows.nodes.tolist(), batch.contexts.rows.length, strict=True
        )
    ]
    columns = (batch.row.tolist(), batch.target.tolist(), batch.weight.tolist())
    return [(spelt[row], target, weight) for row, target, weight in zip(*columns, strict=True)]


def test_equal_pairs_are_one_weighted_row(dataset: Dataset) -> None:
    batch = TrainingPairs.of(dataset, ALL, None, distinct=True).whole
    assert sorted(batch.contexts.rows.nodes.tolist()) == [[3, 0], [3, 1]]  # each context once
    assert sorted(rows_of(batch)) == [([3], 0, 2), ([3], 1, 2), ([3, 1], 1, 2)]


def test_one_row_and_one_encoding_for_each_pair(dataset: Dataset) -> None:
    batch = TrainingPairs.of(dataset, ALL, None, distinct=False).whole
    assert len(batch.contexts.rows.nodes) == 6
    assert rows_of(batch) == [
        ([3], 0, 1),
        ([3, 1], 1, 1),
        ([3], 1, 1),
        ([3], 0, 1),
        ([3, 1], 1, 1),
        ([3], 1, 1),
    ]


@pytest.mark.parametrize("distinct", [True, False])
def test_only_the_given_rows_are_read(dataset: Dataset, distinct: bool) -> None:
    rows: Rows = np.array([2, 0])
    batch = TrainingPairs.of(dataset, rows, None, distinct=distinct).whole
    assert sorted(rows_of(batch)) == [([3], 0, 1), ([3], 1, 1)]
    assert batch.contexts.rows.nodes.shape[1] == 1  # no wider than its own longest context


def test_the_mask_is_looked_up_once_for_each_context(dataset: Dataset) -> None:
    mask = DagMask(dataset.graph(), 2)
    batch = TrainingPairs.of(dataset, ALL, mask, distinct=True).whole
    assert batch.choices is not None
    forbidden = batch.choices.forbidden.tolist()
    found = zip(batch.contexts.last.tolist(), forbidden, strict=True)
    assert dict(found) == {3: [False, False], 1: [True, False]}  # t1 leads to both, s1 to s2
    assert TrainingPairs.of(dataset, ALL, None, distinct=True).whole.choices is None
