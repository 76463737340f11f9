from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import ContextDag, Numbering, paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.models.context_batch import Contexts, Levels

ROWS = [[4], [2, 7, 7], [7, 1]]

Spelt = tuple[Any, ...]


def contexts() -> Contexts:
    return Contexts(*paths(ROWS))


def test_rows_are_right_padded_to_the_longest() -> None:
    found = contexts().rows
    assert found.nodes.tolist() == [[4, 0, 0], [2, 7, 7], [7, 1, 0]]
    assert found.length.tolist() == [1, 3, 2]
    assert found.nodes.dtype == found.length.dtype == torch.int64


def test_the_longest_of_the_batch_decides_the_width() -> None:
    dag, entries = paths(ROWS)
    assert Contexts(dag, entries[:1]).rows.nodes.tolist() == [[4]]
    assert Contexts(dag, np.array([], np.int32)).rows.nodes.shape == (0, 0)


def test_levels_hold_every_ancestor_once() -> None:
    # entries 0-5: 7, 7 1, 7 1 2, 7 3, 4, 4 1; 7 1 and 7 are no contexts of the batch
    dag, _ = paths([[7, 1, 2], [7, 3], [4, 1]])
    found = Contexts(dag, np.array([2, 4, 3, 2], np.int32)).levels
    assert found.sizes == [2, 2, 1]
    first, second, third = found.node.split(found.sizes)
    assert (first.tolist(), second.tolist(), third.tolist()) == ([7, 4], [1, 3], [2])
    assert [level.source.tolist() for level in found.deeper] == [[0, 0], [0]]
    assert all(level.target is None and not len(level.kept) for level in found.deeper)
    assert found.node[found.context].tolist() == [2, 4, 3, 2]
    assert not found.merges


def unfold(levels: Levels) -> list[Spelt]:
    """Return each context as node and, sorted, what leads to it: what a network can see of it."""
    first, *deeper = levels.node.split(levels.sizes)
    spelt: list[Spelt] = [(node,) for node in first.tolist()]
    pool = list(spelt)
    for nodes, level in zip(deeper, levels.deeper, strict=True):
        sent = [pool[k] for k in level.source.tolist()]
        target = range(len(nodes)) if level.target is None else level.target.tolist()
        above: list[list[Spelt]] = [[] for _ in nodes]
        for entry, state, share in zip(target, sent, level.share.tolist(), strict=True):
            above[entry].append(state)
            assert share == pytest.approx(1 / list(target).count(entry))
        new = [(n, *sorted(up)) for n, up in zip(nodes.tolist(), above, strict=True)]
        spelt += new
        pool = [pool[k] for k in level.kept.tolist()] + new
    return [spelt[k] for k in levels.context.tolist()]


def test_levels_carry_what_later_ones_need(
    random_compositions: Sequence[Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """Links that skip levels, equal inputs, and some of the contexts only."""
    dag = dataset_of(random_compositions, context="dag").contexts
    expected: list[Spelt] = []
    for node, parents in dag.items():
        expected.append((node, *sorted(expected[parent] for parent in parents)))
    rng = np.random.default_rng(0)
    for size in (1, 5, len(dag)):
        entries = rng.integers(len(dag), size=size).astype(np.int32)
        levels = Contexts(dag, entries).levels
        assert unfold(levels) == [expected[entry] for entry in entries]
        assert len(levels.node) == len(dag.ancestors(entries))
        assert levels.merges == (dag.n_parents[dag.ancestors(entries)] > 1).any()


def ladder(n: int) -> ContextDag:
    """Return n diamonds, each below the one before, and a link from the first node to all ends."""
    number = Numbering()
    first = last = number(1)
    for _ in range(n):
        last = number(4, [number(2, [last]), number(3, [last]), first])
    return number.dag()


def test_a_ladder_takes_memory_by_its_links() -> None:
    """It has 2**200 paths; all that is carried from level to level is the first node."""
    dag = ladder(200)
    levels = Contexts(dag, np.arange(len(dag), dtype=np.int32)).levels
    assert len(levels.node) == 601
    assert sum(len(level.source) for level in levels.deeper) == len(dag.parents) == 1_000
    assert max(len(level.kept) for level in levels.deeper) == 1


def test_last_is_the_last_node_not_the_last_column() -> None:
    assert contexts().last.tolist() == [4, 7, 1]
    assert Contexts.of_rows(*contexts().rows).last.tolist() == [4, 7, 1]


def test_rows_alone_have_no_levels() -> None:
    with pytest.raises(TypeError, match="nothing but the rows"):
        _ = Contexts.of_rows(*contexts().rows).levels


def test_left_padding() -> None:
    found = contexts().rows
    assert found.left_padded(5).tolist() == [[0, 0, 0, 0, 4], [0, 0, 2, 7, 7], [0, 0, 0, 7, 1]]
    assert found.left_padded(3).tolist() == [[0, 0, 4], [2, 7, 7], [0, 7, 1]]


def test_left_padding_keeps_the_last_nodes_of_longer_contexts() -> None:
    assert contexts().rows.left_padded(2).tolist() == [[0, 4], [7, 7], [7, 1]]
    assert contexts().rows.left_padded(1).tolist() == [[4], [7], [1]]
