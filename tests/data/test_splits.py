from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from sklearn.model_selection import train_test_split

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.splits import (
    CompositionSplit,
    PaperSplit,
    Sides,
    Split,
    TemporalSplit,
    leakage,
)
from dagrec_cli.errors import ConfigError, DataError

Walks = Callable[..., Composition]
DatasetOf = Callable[[list[Composition]], Dataset]

SPLITS = ["composition", "paper", "temporal"]


@pytest.fixture(params=SPLITS)
def split(request: pytest.FixtureRequest, config: Callable[..., DictConfig]) -> Split:
    built: Split = build(config("split", request.param), "split")
    return built


def composition_split(seed: int = 0) -> CompositionSplit:
    return CompositionSplit(test_share=0.3, graph="train", seed=seed)


def temporal_split(share: float = 0.3) -> TemporalSplit:
    return TemporalSplit(test_share=share, graph="train")


def compositions_of(dataset: Dataset, sides: Sides) -> list[set[int]]:
    return [set(dataset.pairs.composition[rows].tolist()) for rows in sides]


def test_every_pair_lands_on_one_side(split: Split, tiny: Dataset) -> None:
    sides = split.split(tiny)
    n_pairs = len(tiny.pairs.context)
    assert sorted(np.concatenate(sides).tolist()) == list(range(n_pairs))
    assert 0.1 * n_pairs < len(sides.held_out) <= np.ceil(0.3 * n_pairs)


def test_only_the_given_rows_are_split(split: Split, tiny: Dataset) -> None:
    rows = np.arange(len(tiny.pairs.context))[::2]
    sides = split.hold_out(tiny, rows, 0.4)
    assert sorted(np.concatenate(sides).tolist()) == rows.tolist()


def test_the_same_setting_gives_the_same_sides(split: Split, tiny: Dataset) -> None:
    for one, other in zip(split.split(tiny), split.split(tiny), strict=True):
        assert np.array_equal(one, other)


@settings(deadline=None)
@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_the_paper_s_split_is_scikit_learn_s(
    tiny: Dataset, n: int, share: float, seed: int
) -> None:
    rows = np.arange(n)
    split = PaperSplit(test_share=share, graph="all", seed=seed)
    if np.ceil(share * n) == n:
        with pytest.raises(DataError, match="one side would be empty"):
            split.hold_out(tiny, rows, share)
        return
    for found, expected in zip(
        split.hold_out(tiny, rows, share),
        train_test_split(rows, test_size=share, random_state=seed),
        strict=True,
    ):
        assert np.array_equal(found, expected)


@pytest.mark.real
def test_the_paper_s_split_of_the_paper_s_data(
    geoportal: Dataset, config: Callable[..., DictConfig]
) -> None:
    sides = build(config("split", "paper"), "split").split(geoportal)
    expected = train_test_split(np.arange(1016), test_size=0.3, random_state=42)
    assert [len(rows) for rows in sides] == [711, 305]  # PAPER §2
    assert all(map(np.array_equal, sides, expected))


@pytest.mark.parametrize("seed", range(10))
def test_no_composition_and_no_path_stands_on_both_sides(tiny: Dataset, seed: int) -> None:
    kept, held_out = compositions_of(tiny, composition_split(seed).split(tiny))
    assert not kept & held_out
    path_sets = [
        set(tiny.path[np.isin(tiny.path_composition, list(side))]) for side in (kept, held_out)
    ]
    assert not set.intersection(*path_sets)


def test_the_seed_decides_which_compositions_are_held_out(tiny: Dataset) -> None:
    held_out = {tuple(composition_split(seed).split(tiny).held_out) for seed in range(5)}
    assert len(held_out) > 1


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_what_started_last_is_held_out(tiny: Dataset, share: float) -> None:
    sides = temporal_split(share).split(tiny)
    kept, held_out = (tiny.time[tiny.pairs.composition[rows]] for rows in sides)
    assert kept.max() < held_out.min()
    room = np.ceil(share * len(tiny.pairs.context))
    n_of_the_last_kept = (kept == kept.max()).sum()
    assert len(held_out) <= room < len(held_out) + n_of_the_last_kept


def test_compositions_of_one_moment_stay_together(walks: Walks, dataset_of: DatasetOf) -> None:
    chains = ["t1 s1", "t1 s2", "t2 s1", "t2 s2", "t3 s1"]
    times = [3.0, 1.0, 3.0, 2.0, 3.0]
    dataset = dataset_of([walks(c, time=t) for c, t in zip(chains, times, strict=True)])
    sides = temporal_split(0.3).split(dataset)  # two pairs at most, but the last moment has three
    assert [rows.tolist() for rows in sides] == [[1, 3], [0, 2, 4]]


def test_a_composition_without_time_is_named(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks("t1 s1", time=1.0), walks("t1 s2 s1"), walks("t2 s2")])
    with pytest.raises(
        DataError, match=r"2 of 3 compositions have none that can be read \(first: composition 1\)"
    ):
        temporal_split().split(dataset)


def test_no_side_may_be_empty(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks("t1 s1 s2", time=1.0), walks("t1 s1 s2", time=1.0)])
    for split in (composition_split(), temporal_split()):
        with pytest.raises(DataError, match=r"hold out 30% of 4 pairs \(2 compositions\)"):
            split.split(dataset)


def test_leakage_by_hand(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks(each) for each in ("t1 s1 s2", "t1 s1 s2", "t1 s2", "t2 s1")])
    # rows: 0 2 (t1)->s1, 1 3 (t1 s1)->s2, 4 (t1)->s2, 5 (t2)->s1
    found = leakage(dataset, np.array([0, 1]), np.array([2, 4, 5]))
    assert found.pairs == pytest.approx(1 / 3)  # row 2
    assert found.contexts == pytest.approx(2 / 3)  # rows 2 and 4
    assert leakage(dataset, np.array([5]), np.array([0, 1, 4])) == (0, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"test_share": 0.0}, "split.test_share is 0.0"),
        ({"test_share": 1.0}, "split.test_share is 1.0"),
        ({"graph": "test"}, "split.graph is 'test'; use one of all, train"),
        ({"seed": -1}, "split.seed is -1"),
    ],
)
def test_settings_out_of_range(
    config: Callable[..., DictConfig], setting: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config("split", "composition", **setting), "split")
