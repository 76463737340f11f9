from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import ContextDag, Numbering, paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Int32, Pairs, WeightedPairs
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.truncated_counts import UNSEEN, TruncatedCounts

NODES, SERVICES = 3, 4
NAMES = tuple("abcd")
KNOWN = Vocabulary(NAMES, (True,) * SERVICES, NAMES)

walk = st.lists(st.integers(1, NODES), min_size=1, max_size=5)
row = st.tuples(walk, st.integers(0, SERVICES - 1), st.integers(1, 9))


@given(st.lists(row, min_size=1, max_size=12), st.lists(walk, min_size=1, max_size=5), st.data())
@settings(deadline=None)
def test_on_paths_truncations_are_suffixes(
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

    table = TruncatedCounts(KNOWN, longest)
    pairs = WeightedPairs(
        np.arange(len(rows), dtype=np.int32),
        np.array([target for _, target, _ in rows], np.int32),
        np.array([weight for *_, weight in rows], np.float32),
    )
    table.fill(pairs, Contexts(*paths([nodes for nodes, *_ in rows])))

    for k, entry in enumerate(table.entries(Contexts(*paths(asked)))):
        found = table.after(entry)
        for nodes, one, counts in zip(asked, entry.tolist(), found.tolist(), strict=True):
            suffix = tuple(nodes[len(nodes) - k :]) if k <= len(nodes) else None
            assert (one != UNSEEN) == (suffix in seen)
            expected = [counted[suffix, c] if suffix in seen else 0 for c in range(SERVICES)]  # type: ignore[index]
            assert counts == expected


def truncation(dag: ContextDag, entry: int, generations: int) -> tuple[Any, ...]:
    """Return the node and the set of the parents' truncations, as it is defined."""
    parents = dag.parents_of(np.array([entry], np.int32))[1].tolist()
    if generations == 1:
        return (int(dag.node[entry]),)
    above = frozenset(truncation(dag, parent, generations - 1) for parent in parents)
    return int(dag.node[entry]), above


def test_truncations_are_counted_as_they_are_defined(
    random_compositions: Sequence[Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """Counted on half of the contexts, looked up for all of them, in another DAG's numbers."""
    dataset = dataset_of(random_compositions, context="dag")
    dag, services = dataset.followed, len(dataset.vocabulary.services)
    half = dataset.pairs.take(np.arange(0, len(dataset.pairs.target), 2))
    table = TruncatedCounts(dataset.vocabulary, 4)
    entries, position = np.unique(half.context, return_inverse=True)
    rows = position.astype(np.int32)
    weight = np.ones(len(rows), np.float32)
    table.fill(WeightedPairs(rows, half.target, weight), Contexts(dag, entries))

    counted = Counter[tuple[Any, int]]()
    for entry, target in zip(half.context.tolist(), half.target.tolist(), strict=True):
        for k in range(1, min(4, dag.depth[entry]) + 1):
            counted[(k, *truncation(dag, entry, k)), target] += 1
    seen = {key for key, _ in counted}

    number, place = Numbering(), {}
    for entry in sorted(range(len(dag)), key=lambda e: (dag.depth[e], -e)):
        parents = dag.parents_of(np.array([entry], np.int32))[1].tolist()
        place[entry] = number(int(dag.node[entry]), [place[parent] for parent in parents])
    other = Contexts(number.dag(), np.array([place[e] for e in range(len(dag))], np.int32))
    n_seen = 0
    for k, found in enumerate(table.entries(other)):
        counts = table.after(found)
        for entry in range(len(dag)) if k else ():
            key = (k, *truncation(dag, entry, k)) if dag.depth[entry] >= k else None
            assert (found[entry] != UNSEEN) == (key in seen)
            assert counts[entry].tolist() == [counted[key, c] for c in range(services)]
            n_seen += key in seen
    assert n_seen > len(dag)


def test_three_equal_inputs_and_two_are_alike() -> None:
    number = Numbering()
    table = number(1)
    twice, thrice, other = number(2, [table] * 2), number(2, [table] * 3), number(2, [number(3)])
    counts = TruncatedCounts(KNOWN, 2)
    one = WeightedPairs(np.zeros(1, np.int32), np.zeros(1, np.int32), np.ones(1, np.float32))
    counts.fill(one, Contexts(number.dag(), np.array([twice], np.int32)))
    *_, second = counts.entries(Contexts(number.dag(), np.array([thrice, other], np.int32)))
    assert (second != UNSEEN).tolist() == [True, False]


def test_filling_again_forgets_the_first_time() -> None:
    contexts = Contexts(*paths([[1, 2], [3]]))
    table = TruncatedCounts(KNOWN, 2)
    for target in (0, 3):
        one = np.array([1], np.float32)
        pairs = WeightedPairs(np.array([0], np.int32), np.array([target], np.int32), one)
        table.fill(pairs, contexts)
    assert table.after(torch.tensor([0])).tolist() == [[0, 0, 0, 1]]
    assert len(table.hashes) == 3  # 2, 1 2 and 3: also of contexts that nothing was counted after


def counted_by_unit(
    pairs: Pairs, unit: Int32, ways: Sequence[ContextDag], repeat_alpha: float
) -> dict[tuple[Any, int], float]:
    """Return what each truncation of up to 3 generations, read in some ways, and target count."""
    times = Counter[tuple[Any, int, int]]()
    for *key, entry in zip(pairs.target.tolist(), unit.tolist(), pairs.context, strict=True):
        for k in range(1, min(3, int(ways[0].depth[entry])) + 1):
            for read in {truncation(way, entry, k) for way in ways}:
                times[(k, *read), *key] += 1
    counted = defaultdict[tuple[Any, int], float](float)
    for (read, target, _), number in times.items():
        counted[read, target] += number**repeat_alpha
    return counted


@pytest.mark.parametrize("repeat_alpha", [1.0, 0.5, 0.0])
def test_what_one_unit_alone_has_counts_as_unknown_too(
    repeat_alpha: float,
    random_compositions: Sequence[Composition],
    dataset_of: Callable[..., Dataset],
) -> None:
    """Four compositions are a unit; the names of every fourth unit are in no other."""
    named = [
        c._replace(names=tuple(f"{n}_{k // 4}" for n in c.names)) if k // 4 % 4 == 0 else c
        for k, c in enumerate(random_compositions[:80])
    ]
    every = dataset_of(named, context="dag")
    data = every.known_by(every.vocabulary_of(np.arange(len(every.pairs.target))))
    names, dag, unit = data.vocabulary, data.contexts, data.pairs.composition // 4
    pairs = data.pairs.distinct(unit, repeat_alpha)
    entries, row = np.unique(pairs.context, return_inverse=True)
    table = TruncatedCounts(names, 3)
    table.fill(pairs._replace(context=row.astype(np.int32)), Contexts(dag, entries))

    assert names.unknown is not None
    is_own = np.array([False, *(name.count("_") == 2 for name in names.nodes)])
    read = np.where(is_own, names.unknown, np.arange(len(is_own), dtype=np.int32))
    as_tested = replace(dag, node=read[dag.node])
    counted = counted_by_unit(data.pairs, unit, [dag, as_tested], repeat_alpha)
    for way in (dag, as_tested):
        for k, found in enumerate(table.entries(Contexts(way, entries))):
            for entry, counts in zip(entries.tolist(), table.after(found).tolist(), strict=True):
                if 0 < k <= dag.depth[entry]:
                    key = (k, *truncation(way, entry, k))
                    expected = [counted[key, c] for c in range(len(names.services))]
                    assert counts == pytest.approx(expected)


def test_a_unit_has_what_leads_to_its_tables_too(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """s8 and s9 end no context of a step, as they lead to tables; s9 is in two units."""
    chains = [walks("s8 t1 t2 s1"), walks("s9 t1 s2"), walks("s9 s1"), walks("t1 s1")]
    every = dataset_of(chains, context="dag")
    data = every.known_by(every.vocabulary_of(np.arange(4)))
    pairs = data.pairs.distinct(data.pairs.composition)
    contexts = Contexts(data.contexts, np.arange(len(data.contexts), dtype=np.int32))
    read = TruncatedCounts(data.vocabulary, 3).as_tested(pairs, contexts).known[0].node
    index, unknown = data.vocabulary.index, data.vocabulary.unknown
    assert unknown is not None
    as_tested = dict(zip(data.contexts.node.tolist(), read.tolist(), strict=True))
    for name in ("service_8", "table_2", "service_2"):
        assert as_tested[index[name]] == unknown[index[name]]
    for name in ("service_9", "table_1", "service_1"):
        assert as_tested[index[name]] == index[name]
