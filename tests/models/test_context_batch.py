import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.contexts import trie_of
from dagrec_cli.models.context_batch import Contexts

ROWS = [[4], [2, 7, 7], [7, 1]]


def contexts() -> Contexts:
    return Contexts.of(*trie_of(ROWS))


def test_rows_are_right_padded_to_the_longest() -> None:
    found = contexts()
    assert found.nodes.tolist() == [[4, 0, 0], [2, 7, 7], [7, 1, 0]]
    assert found.length.tolist() == [1, 3, 2]
    assert found.nodes.dtype == found.length.dtype == torch.int64


def test_the_longest_of_the_batch_decides_the_width() -> None:
    trie, entries = trie_of(ROWS)
    assert Contexts.of(trie, entries[:1]).nodes.tolist() == [[4]]
    assert Contexts.of(trie, np.array([], np.int32)).nodes.shape == (0, 0)


def test_prefixes_hold_every_ancestor_once() -> None:
    # entries 0-5: 7, 7 1, 7 1 2, 7 3, 4, 4 1; 7 1 and 7 are no contexts of the batch
    trie, _ = trie_of([[7, 1, 2], [7, 3], [4, 1]])
    found = Contexts.of(trie, np.array([2, 4, 3, 2], np.int32)).prefixes
    assert found is not None
    assert found.sizes == [2, 2, 1]
    first, second, third = found.node.split(found.sizes)
    assert (first.tolist(), second.tolist(), third.tolist()) == ([7, 4], [1, 3], [2])
    assert [parent.tolist() for parent in found.parents] == [[0, 0], [0]]
    assert found.node[found.context].tolist() == [2, 4, 3, 2]


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1), st.data())
def test_prefixes_spell_the_contexts(rows: list[list[int]], data: st.DataObject) -> None:
    trie, _ = trie_of(rows)
    entry = st.integers(0, len(trie) - 1)
    entries = np.array(data.draw(st.lists(entry, min_size=1, max_size=6)), np.int32)
    found = Contexts.of(trie, entries).prefixes
    assert found is not None
    spelt: list[list[int]] = []
    level: list[list[int]] = [[]] * found.sizes[0]
    parents = [torch.arange(found.sizes[0]), *found.parents]
    for nodes, parent in zip(found.node.split(found.sizes), parents, strict=True):
        pairs = zip(parent.tolist(), nodes.tolist(), strict=True)
        level = [[*level[above], node] for above, node in pairs]
        spelt += level
    assert [spelt[k] for k in found.context.tolist()] == [trie.spell(entry) for entry in entries]
    assert len(set(map(tuple, spelt))) == len(spelt)


def test_last_is_the_last_node_not_the_last_column() -> None:
    assert contexts().last.tolist() == [4, 7, 1]


def test_left_padding() -> None:
    found = contexts()
    assert found.left_padded(5).tolist() == [[0, 0, 0, 0, 4], [0, 0, 2, 7, 7], [0, 0, 0, 7, 1]]
    assert found.left_padded(3).tolist() == [[0, 0, 4], [2, 7, 7], [0, 7, 1]]


def test_left_padding_keeps_the_last_nodes_of_longer_contexts() -> None:
    assert contexts().left_padded(2).tolist() == [[0, 4], [7, 7], [7, 1]]
    assert contexts().left_padded(1).tolist() == [[4], [7], [1]]
