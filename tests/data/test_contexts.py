import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.contexts import ROOT, trie_of

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
