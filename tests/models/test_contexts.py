import numpy as np
import torch

from dagrec_cli.data.contexts import trie_of
from dagrec_cli.models.contexts import Contexts

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


def test_last_is_the_last_node_not_the_last_column() -> None:
    assert contexts().last.tolist() == [4, 7, 1]


def test_left_padding() -> None:
    found = contexts()
    assert found.left_padded(5).tolist() == [[0, 0, 0, 0, 4], [0, 0, 2, 7, 7], [0, 0, 0, 7, 1]]
    assert found.left_padded(3).tolist() == [[0, 0, 4], [2, 7, 7], [0, 7, 1]]


def test_left_padding_keeps_the_last_nodes_of_longer_contexts() -> None:
    assert contexts().left_padded(2).tolist() == [[0, 4], [7, 7], [7, 1]]
    assert contexts().left_padded(1).tolist() == [[4], [7], [1]]
