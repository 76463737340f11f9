"""Shards collected apart and merged against all of them collected in one go, byte by byte."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrec_cli.data import collection
from dagrec_cli.data.collection import Collection, collect, merge
from dagrec_cli.data.composition import Composition, Context, Fault, Invalid
from dagrec_cli.data.paths import path_tree

Walks = Callable[..., Composition]


@dataclass
class Rules:
    """What a source says of its compositions."""

    on_invalid: str = "skip"
    max_paths: int = 2
    context: Context = "path"

    def read(self) -> Any:
        raise NotImplementedError

    def sha256(self) -> str:
        raise NotImplementedError


def contents(found: Collection) -> list[object]:
    return [
        (part.dtype, part.tobytes()) if isinstance(part, np.ndarray) else part for part in found
    ]


@settings(deadline=None)
@pytest.mark.parametrize("context", ["path", "dag"])
@given(shards=st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=5))
def test_merged_shards_are_what_one_go_gives(
    compositions: list[Composition], walks: Walks, context: Context, shards: list[list[int]]
) -> None:
    rules = Rules(context=context)
    wide = walks("t1 s1 s4", "t1 s2 s4", "t1 s3 s4")  # has more paths than the rules allow
    valid = [each._replace(place=f"place {k}") for k, each in enumerate([*compositions, wide])]
    pool = [*valid, Invalid((Fault("here", "broken"),))]
    drawn = [[pool[k] for k in shard] for shard in shards]
    parts = [collect(shard, rules) for shard in drawn]
    whole = collect([item for shard in drawn for item in shard], rules)
    assert contents(merge(iter(parts))) == contents(whole)


def test_numbers_by_hand(walks: Walks) -> None:
    records = [
        walks("t1 s1 s2", time=5.0),
        walks("t1 s2"),
        walks("t1 s1 s2"),
        walks("t2 s1", "t2 s2"),
    ]
    found = collect(records, Rules())
    assert found.names == ["table_1", "service_1", "service_2", "table_2"]
    assert found.is_service == [False, True, True, False]
    # contexts that something follows: t1; t1 s1; t2; ends: t1 s1 s2; t1 s2; t2 s1; t2 s2
    assert found.node.tolist() == [0, 1, 3, 2, 2, 1, 2]
    assert (found.n_parents.tolist(), found.parents.tolist()) == (
        [0, 1, 0, 1, 1, 1, 1],
        [0, 1, 0, 2, 2],
    )
    assert found.depth.tolist() == [1, 2, 1, 3, 2, 2, 2]
    assert found.source.tolist() == [0, 1, 0, 0, 1, 2, 2]
    assert found.target.tolist() == [1, 3, 4, 1, 3, 5, 6]
    assert found.n_links.tolist() == [2, 1, 2, 2]
    assert found.start_time[0] == 5.0
    assert np.isnan(found.start_time[1:]).all()


def test_owners_and_times_are_kept_and_merged(walks: Walks) -> None:
    owned = [
        walks(f"t1 s{k}")._replace(owner=owner, start_time=start, end_time=end)
        for k, (owner, start, end) in enumerate(
            [
                ("b", 1.0, None),
                (None, None, 2.0),
                ("a", 3.0, 4.0),
                ("b", None, None),
                ("c", 5.0, 6.0),
            ]
        )
    ]
    parts = [collect(owned[start::2], Rules()) for start in (0, 1)]
    for found in (
        collect([*owned[::2], *owned[1::2]], Rules()),
        merge(parts),
        merge([*parts, *parts]),
    ):
        assert found.owners == ["b", "a", "c"]
        assert found.owner[:5].tolist() == [0, 1, 2, -1, 0]
        assert found.owner.dtype == np.int32
        np.testing.assert_array_equal(found.start_time[:5], [1, 3, 5, np.nan, np.nan])
        np.testing.assert_array_equal(found.end_time[:5], [np.nan, 4, 6, 2, np.nan])


def test_links_by_hand(walks: Walks) -> None:
    """Each link once; t1 leads to s3 by itself too, and two equal inputs stay two."""
    records = [walks("t1 s1 s3", "t1 s2 s3", "t1 s3"), walks("t1 s1 s3", "t1 s1' s3")]
    found = collect(records, Rules(context="dag", max_paths=1))
    # t1; t1 s1; t1 s2; ends: s3 of t1, s1, s2; s3 of s1 and s1
    assert found.names == ["table_1", "service_1", "service_3", "service_2"]
    assert found.node.tolist() == [0, 1, 3, 2, 2]
    assert found.n_parents.tolist() == [0, 1, 1, 3, 2]
    assert found.parents.tolist() == [0, 0, 0, 1, 2, 1, 1]
    assert found.depth.tolist() == [1, 2, 2, 3, 3]
    ends = list(zip(found.source.tolist(), found.target.tolist(), strict=True))
    assert ends == [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (0, 1), (0, 1), (1, 4), (1, 4)]
    assert found.n_links.tolist() == [5, 4]


def test_equal_compositions_are_walked_once(walks: Walks, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[object] = []

    def watched(n_nodes: int, links: Any) -> Any:
        walked.append(links)
        return path_tree(n_nodes, links)

    monkeypatch.setattr(collection, "path_tree", watched)
    records = [walks("t1 s1"), walks("t2 s1"), walks("t1 s1 s2")] * 50
    assert len(collect(records, Rules()).n_links) == 150
    assert len(walked) == 3


def test_what_is_forgotten_changes_nothing(
    compositions: Sequence[Composition], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [*compositions, *compositions]
    whole = collect(records, Rules())
    monkeypatch.setattr(collection, "REMEMBERED", 2)
    assert contents(collect(records, Rules())) == contents(whole)


def test_invalid_compositions_are_skipped_in_order(walks: Walks) -> None:
    wide, broken = walks("t1 s1 s3", "t1 s2 s3"), Invalid((Fault("there", "broken"),))
    found = collect([broken, walks("t1 s1"), wide], Rules(max_paths=1))
    first, second = found.skipped
    assert first == broken
    assert second.faults[0].place == "compositions[2]"
    assert found.names == ["table_1", "service_1"]  # nothing of what was skipped


def test_the_display_hears_of_the_progress(walks: Walks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "WATCHED", 2)
    heard: list[int] = []
    collect([walks("t1 s1")] * 5, Rules(), heard.append)
    assert heard == [0, 2, 4]
