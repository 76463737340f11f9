from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.pairs import Pairs

rows = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 3)), max_size=20)
few_rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


def pairs_of(rows: list[tuple[int, int]]) -> Pairs:
    columns = np.array(rows, np.int32).reshape(-1, 2)
    return Pairs(columns[:, 0], columns[:, 1], np.arange(len(rows), dtype=np.int32))


@given(few_rows | rows)
def test_distinct_pairs_stand_once_with_their_count(rows: list[tuple[int, int]]) -> None:
    found = pairs_of(rows).distinct()
    spelt = list(zip(found.context.tolist(), found.target.tolist(), strict=True))
    assert len(set(spelt)) == len(spelt)
    assert dict(zip(spelt, found.weight.tolist(), strict=True)) == Counter(rows)


def test_repeated_pairs_keep_every_row_in_order() -> None:
    found = pairs_of([(5, 1), (2, 0), (5, 1)]).repeated()
    assert found.context.tolist() == [5, 2, 5]
    assert found.target.tolist() == [1, 0, 1]
    assert found.weight.tolist() == [1, 1, 1]


def test_rows_are_taken_in_the_order_asked_for() -> None:
    found = pairs_of([(5, 1), (2, 0), (4, 3)]).take(np.array([2, 0]))
    assert found.context.tolist() == [4, 5]
    assert found.target.tolist() == [3, 1]
    assert found.composition.tolist() == [2, 0]
