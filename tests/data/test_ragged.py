"""Flat indices against plain loops over lists, in numpy and in torch."""

import doctest
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data import ragged
from dagrec_cli.data.ragged import block_places, block_starts, find_sorted, gather_places

KINDS = [
    pytest.param(lambda values: np.array(values, np.int64), id="numpy"),
    pytest.param(lambda values: np.array(values, np.int32), id="numpy of 32 bits"),
    pytest.param(lambda values: torch.tensor(values, dtype=torch.long), id="torch"),
]
Make = Callable[[list[int]], Any]

size_lists = st.lists(st.integers(0, 4), min_size=1, max_size=8)
flat_blocks = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8)


@pytest.mark.parametrize("make", KINDS)
@given(blocks=flat_blocks)
def test_gather_reads_the_blocks_one_after_the_other(
    make: Make, blocks: list[tuple[int, int]]
) -> None:
    starts, sizes = [start for start, _ in blocks], [size for _, size in blocks]
    block, place = gather_places(make(starts), make(sizes))
    expected = [(b, start + k) for b, (start, size) in enumerate(blocks) for k in range(size)]
    assert list(zip(block.tolist(), place.tolist(), strict=True)) == expected
    assert {str(each.dtype).removeprefix("torch.") for each in (block, place)} == {"int64"}


@pytest.mark.parametrize("make", KINDS)
@given(sizes=size_lists, data=st.data())
def test_blocks_that_lie_end_to_end(make: Make, sizes: list[int], data: st.DataObject) -> None:
    which = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=8))
    lists, n = [], 0
    for size in sizes:
        lists.append(list(range(n, n + size)))
        n += size
    assert block_starts(make(sizes)).tolist() == [sum(sizes[:b]) for b in range(len(sizes))]
    block, place = block_places(make(sizes), make(which))
    assert place.tolist() == [item for b in which for item in lists[b]]
    assert block.tolist() == [position for position, b in enumerate(which) for _ in lists[b]]


@given(
    st.lists(st.integers(-5, 20), max_size=12).map(sorted),
    st.lists(st.integers(-7, 23), max_size=12),
)
def test_find_sorted_is_a_search_from_the_left(keys: list[int], wanted: list[int]) -> None:
    place, is_there = find_sorted(
        torch.tensor(keys, dtype=torch.long), torch.tensor(wanted, dtype=torch.long)
    )
    assert is_there.tolist() == [each in keys for each in wanted]
    found = zip(wanted, place.tolist(), is_there.tolist(), strict=True)
    assert all(at == keys.index(each) for each, at, is_found in found if is_found)
    assert all(0 <= at < max(len(keys), 1) for at in place.tolist())  # can be read


def test_find_sorted_keeps_the_shape_of_what_is_wanted() -> None:
    for keys in (torch.tensor([1, 3]), torch.tensor([], dtype=torch.long)):
        place, is_there = find_sorted(keys, torch.tensor([[3, 2, 1]]))
        assert place.shape == is_there.shape == (1, 3)


def test_the_examples_hold() -> None:
    found = doctest.testmod(ragged)
    assert found.attempted > 5
    assert found.failed == 0
