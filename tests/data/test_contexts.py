import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.contexts import MOST_DEPTH, ROOT, ContextTrie, trie_of
from dagrec_cli.errors import DataError

sequences = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=12)


@given(sequences)
def test_the_trie_spells_the_contexts(contexts: list[list[int]]) -> None:
    trie, entries = trie_of(contexts)
    assert [trie.spell(entry) for entry in entries] == contexts
    assert trie.node[entries].tolist() == [nodes[-1] for nodes in contexts]
    assert trie.depth[entries].tolist() == [len(nodes) for nodes in contexts]
    assert trie.first(entries).tolist() == [nodes[0] for nodes in contexts]


@given(sequences)
def test_every_prefix_has_one_entry_and_parents_come_first(contexts: list[list[int]]) -> None:
    trie, _ = trie_of(contexts)
    prefixes = {tuple(nodes[: k + 1]) for nodes in contexts for k in range(len(nodes))}
    spelt = [tuple(trie.spell(entry)) for entry in range(len(trie))]
    assert sorted(spelt) == sorted(prefixes)
    assert (trie.parent < np.arange(len(trie))).all()
    assert [spelt[parent] if parent != ROOT else () for parent in trie.parent] == [
        nodes[:-1] for nodes in spelt
    ]


@given(sequences)
def test_padded_rows_are_the_contexts_and_zeros(contexts: list[list[int]]) -> None:
    trie, entries = trie_of(contexts)
    longest = max(map(len, contexts))
    expected = [nodes + [0] * (longest - len(nodes)) for nodes in contexts]
    before = entries.copy()
    assert trie.padded(entries).tolist() == expected
    assert np.array_equal(entries, before)


@given(sequences)
def test_depth_first_is_the_order_of_a_dictionary(contexts: list[list[int]]) -> None:
    trie, entries = trie_of(contexts)
    assert [contexts[k] for k in trie.depth_first(entries)] == sorted(contexts)


def test_no_contexts_are_no_rows() -> None:
    trie, _ = trie_of([[1, 2]])
    assert trie.padded(np.array([], np.int32)).shape == (0, 0)


def chain_of(n: int) -> ContextTrie:
    return ContextTrie.of(np.arange(-1, n - 1, dtype=np.int32), np.ones(n, np.int32))


def test_depths_of_a_long_chain_are_counted_at_once() -> None:
    start = time.process_time()
    assert (chain_of(100_000).depth == np.arange(1, 100_001)).all()
    assert time.process_time() - start < 1  # a step per node took 10 s


def test_a_context_that_is_too_long_for_models_is_refused() -> None:
    chain_of(MOST_DEPTH).check_depth()
    message = r"the longest context has 4,097 nodes; a model reads 4,096 at most: split such"
    with pytest.raises(DataError, match=message):
        chain_of(MOST_DEPTH + 1).check_depth()


def test_rows_that_would_not_fit_are_refused_before_they_take_memory() -> None:
    entries = np.full(2**28 // 4096 + 1, 4095, np.int32)
    with pytest.raises(DataError, match=r"65,537 contexts of up to 4,096 nodes take 268,439,552"):
        chain_of(4096).padded(entries)
