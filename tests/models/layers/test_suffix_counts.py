from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrec_cli.data.contexts import trie_of
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.suffix_counts import UNSEEN, SuffixCounts

NODES, SERVICES = 3, 4

walk = st.lists(st.integers(1, NODES), min_size=1, max_size=5)
row = st.tuples(walk, st.integers(0, SERVICES - 1), st.integers(1, 9))


@given(st.lists(row, min_size=1, max_size=12), st.lists(walk, min_size=1, max_size=5), st.data())
@settings(deadline=None)
def test_counts_equal_counting_one_by_one(
    rows: list[tuple[list[int], int, int]], asked: list[list[int]], data: st.DataObject
) -> None:
    longest = data.draw(st.integers(0, 5))
    counted = Counter[tuple[tuple[int, ...], int]]()
    seen = set()
    for nodes, target, weight in rows:
        for k in range(min(longest, len(nodes)) + 1):
            suffix = tuple(nodes[len(nodes) - k :])
            seen.add(suffix)
            counted[suffix, target] += weight

    table = SuffixCounts(NODES, SERVICES)
    pairs = WeightedPairs(
        np.arange(len(rows), dtype=np.int32),
        np.array([target for _, target, _ in rows], np.int32),
        np.array([weight for *_, weight in rows], np.float32),
    )
    table.fill(pairs, Contexts.of(*trie_of([nodes for nodes, *_ in rows])), longest)

    for k, entry in enumerate(table.suffixes(Contexts.of(*trie_of(asked)))):
        found = table.after(entry)
        for nodes, one, counts in zip(asked, entry.tolist(), found.tolist(), strict=True):
            suffix = tuple(nodes[len(nodes) - k :]) if k <= len(nodes) else None
            assert (one != UNSEEN) == (suffix in seen)
            expected = [counted[suffix, c] if suffix in seen else 0 for c in range(SERVICES)]  # type: ignore[index]
            assert counts == expected


def test_filling_again_forgets_the_first_time() -> None:
    contexts = Contexts.of(*trie_of([[1, 2], [3]]))
    table = SuffixCounts(NODES, SERVICES)
    for target in (0, 3):
        one = np.array([1], np.float32)
        pairs = WeightedPairs(np.array([0], np.int32), np.array([target], np.int32), one)
        table.fill(pairs, contexts, longest=2)
    assert table.after(torch.tensor([0])).tolist() == [[0, 0, 0, 1]]
    assert len(table.keys) == 2
