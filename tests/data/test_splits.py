from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from sklearn.model_selection import KFold, train_test_split

from dagrec_cli.config.build import build
from dagrec_cli.data import held_out
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset, build_dataset
from dagrec_cli.data.held_out import about_share
from dagrec_cli.data.split_base import Sides, Split
from dagrec_cli.data.splits import (
    ColdSplit,
    CompositionSplit,
    Join,
    Leakage,
    PaperSplit,
    TemporalSplit,
    leakage,
)
from dagrec_cli.errors import ConfigError, DataError
from dagrec_cli.evaluation.ceiling import ceilings
from dagrec_cli.evaluation.metrics import evaluate

Walks = Callable[..., Composition]
DatasetOf = Callable[[list[Composition]], Dataset]

SPLITS = ["composition", "paper", "temporal"]
DRAWN = ["composition", "paper"]
ONCE: dict[str, Any] = {"folds": None, "repeats": 1, "part": None}


@pytest.fixture(params=SPLITS)
def split(request: pytest.FixtureRequest, config: Callable[..., DictConfig]) -> Split:
    built: Split = build(config("split", request.param), "split")
    return built


def composition_split(
    seed: int = 0, join: str = "duplicates", share: float = 0.3
) -> CompositionSplit:
    return CompositionSplit(test_share=share, graph="train", seed=seed, join=join, **ONCE)


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
    rows = np.arange(n) % len(tiny.pairs.context)
    split = PaperSplit(test_share=share, graph="all", seed=seed, **ONCE)
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


def test_graphs_of_2026_stand_whole_on_each_side_that_drew_one_of_their_pairs(
    tiny: Dataset, config: Callable[..., DictConfig]
) -> None:
    drawn, whole = (
        build(config("split", name), "split").split(tiny) for name in ("paper", "graphs_2026")
    )
    composition = tiny.pairs.composition
    for some, every in zip(drawn, whole, strict=True):
        chosen = {*composition[some].tolist()}
        assert every.tolist() == [k for k, c in enumerate(composition.tolist()) if c in chosen]
    assert set.intersection(*compositions_of(tiny, whole))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "sizes", "shared", "accuracy"),
    [
        ("paper", (711, 305), (23, 27, 291), (0.5836, 0.5934, 0.6656)),
        ("graphs_2026", (738, 332), (23, 54, 320), (0.5934, 0.6265, 0.6898)),
    ],
)
def test_what_the_tables_of_2026_could_reach(
    geoportal: Dataset,
    config: Callable[..., DictConfig],
    name: str,
    sizes: tuple[int, int],
    shared: tuple[int, int, int],
    accuracy: tuple[float, float, float],
) -> None:
    """Test pairs of compositions that stand on both sides, and that training has, too; bounds.

    The latter are of the best functions of last node, of context, of context and owner.
    """
    train, test = sides = build(config("split", name), "split").split(geoportal)
    assert (len(train), len(test)) == sizes
    on_both = [*set.intersection(*compositions_of(geoportal, sides))]
    n_pairs = np.isin(geoportal.pairs.composition[test], on_both).sum()
    n_known = leakage(geoportal, train, test).pairs * len(test)
    assert (len(on_both), n_pairs, n_known) == pytest.approx(shared)
    bounds = ceilings(geoportal.with_owners_of(train), test, None)
    found = [evaluate(bounds[known])["accuracy"] for known in ("last_node", "context", "owner")]
    assert found == pytest.approx(accuracy, abs=5e-5)


WALKS = ["t1 s1 s2", "t1 s2", "t2 s1", "t2 s3"]  # any of them together have no cycle


@st.composite
def drawn_walks(draw: st.DrawFn) -> list[list[str]]:
    """Return compositions of one to three walks, so that many are equal or share a path."""
    some = st.lists(st.sampled_from(WALKS), min_size=1, max_size=3, unique=True)
    return [["t1 s1"], ["t2 s2"], *draw(st.lists(some, min_size=1, max_size=12))]


def parts_of(config: Callable[..., DictConfig], name: str, **settings: object) -> list[Split]:
    """Return a split that is drawn several times, once for each of its parts."""
    whole: Split = build(config("split", name, **settings), "split")
    return [
        build(config("split", name, **settings, part=part), "split")
        for part in range(whole.n_parts)
    ]


@settings(deadline=None, max_examples=50)
@given(drawn_walks(), st.integers(2, 4), st.integers(1, 3), st.sampled_from(DRAWN))
def test_each_unit_is_the_test_of_one_fold_in_each_repeat(
    walks: Walks,
    dataset_of: DatasetOf,
    config: Callable[..., DictConfig],
    drawn: list[list[str]],
    folds: int,
    repeats: int,
    name: str,
) -> None:
    dataset = dataset_of([walks(*each) for each in drawn])
    n_pairs = len(dataset.pairs.context)
    units = build(config("split", name), "split").units(dataset).number
    sizes = np.unique(units, return_counts=True)[1]
    assume(len(sizes) >= folds)
    parts = parts_of(config, name, folds=folds, repeats=repeats)
    assert len(parts) == folds * repeats
    sides = [part.split(dataset) for part in parts]
    for each in sides:
        assert sorted(np.concatenate(each).tolist()) == list(range(n_pairs))
        assert not set(units[each.kept]) & set(units[each.held_out])
    for repeat in range(repeats):
        tested = [each.held_out for each in sides[repeat * folds : (repeat + 1) * folds]]
        assert sorted(np.concatenate(tested).tolist()) == list(range(n_pairs))
        # no fold lacks more than the largest group, and one that is larger than a fold is alone
        assert max(map(len, tested)) - min(map(len, tested)) <= max(sizes)
        for rows in tested:
            largest = max(np.unique(units[rows], return_counts=True)[1])
            assert largest * folds <= n_pairs or largest == len(rows)
    told = [part.report(dataset, each) for part, each in zip(parts, sides, strict=True)]
    assert {each.asked for each in told} == {1 / folds}
    is_large = any("larger than a fold" in line for line in told[0].warnings)
    assert is_large == (max(sizes) * folds > n_pairs)


def test_paper_folds_are_scikit_learn_s_and_repeats_are_the_next_seeds(
    tiny: Dataset, config: Callable[..., DictConfig]
) -> None:
    n_pairs = len(tiny.pairs.context)
    parts = parts_of(config, "paper", folds=3, repeats=2)
    for seed in (42, 43):
        folds = KFold(3, shuffle=True, random_state=seed).split(np.arange(n_pairs))
        for fold, part in zip(folds, parts[(seed - 42) * 3 :][:3], strict=True):
            assert all(map(np.array_equal, part.split(tiny), fold))
    for name in DRAWN:
        for seed, part in enumerate(parts_of(config, name, repeats=3), start=42):
            once = build(config("split", name, seed=seed), "split")
            assert all(map(np.array_equal, part.split(tiny), once.split(tiny)))


def test_a_split_of_several_parts_is_none_of_them(
    tiny: Dataset, config: Callable[..., DictConfig]
) -> None:
    split: Split = build(config("split", "paper", folds=5, repeats=2), "split")
    with pytest.raises(ConfigError, match=r"10 parts, .* choose it by split.part=0 to 9; dagrec"):
        split.split(tiny)
    with pytest.raises(ConfigError, match=r"split.part is 10; use a number from 0 to 9"):
        build(config("split", "paper", folds=5, repeats=2, part=10), "split")
    with pytest.raises(DataError, match=r"split.folds is 11, but only 10 groups of comp"):
        build(config("split", "composition", folds=11, part=0), "split").split(tiny)


def paths_by_composition(dataset: Dataset) -> list[tuple[int, ...]]:
    """Return the sorted paths of each composition."""
    paths: list[list[int]] = [[] for _ in range(dataset.n_compositions)]
    for path, composition in zip(*dataset.path, strict=True):
        paths[composition].append(int(path))
    return [tuple(sorted(each)) for each in paths]


def test_paths_join_nothing_where_contexts_are_dags(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    dataset = dataset_of([walks(each) for each in WALKS], context="dag")
    with pytest.raises(DataError, match=r"split.join=paths .* use split.join=duplicates, or data"):
        build(config("split", "composition", join="paths"), "split").split(dataset)


@settings(deadline=None)
@given(drawn_walks(), st.integers(0, 99), st.sampled_from(get_args(Join)), st.floats(0.1, 0.9))
def test_what_is_joined_never_stands_on_both_sides(
    walks: Walks,
    dataset_of: DatasetOf,
    drawn: list[list[str]],
    seed: int,
    join: str,
    share: float,
) -> None:
    dataset = dataset_of([walks(*each) for each in drawn])
    split, paths = composition_split(seed, join, share), paths_by_composition(dataset)
    try:
        sides = split.split(dataset)
    except DataError:
        assume(False)
    kept, held_out = compositions_of(dataset, sides)
    assert not kept & held_out
    equal = [{paths[each] for each in side} for side in (kept, held_out)]
    shared = [{path for each in side for path in paths[each]} for side in (kept, held_out)]
    is_split = bool(set.intersection(*equal))
    assert not is_split or join == "none"
    assert not set.intersection(*shared) or join != "paths"
    told = split.report(dataset, sides, share).warnings
    assert any("equal one that trains" in each for each in told) == is_split


def of_sizes(walks: Walks, dataset_of: DatasetOf, sizes: list[int]) -> Dataset:
    """Return a data set with so many equal compositions, of one pair each, in each group."""
    return dataset_of([walks(f"t1 s{k}") for k, size in enumerate(sizes) for _ in range(size)])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=8), st.sampled_from([0.2, 0.3, 0.5]))
def test_a_seed_that_decides_nothing_and_a_group_that_always_trains_are_said(
    walks: Walks, dataset_of: DatasetOf, sizes: list[int], share: float
) -> None:
    dataset, room = of_sizes(walks, dataset_of, sizes), np.ceil(share * sum(sizes))
    assume(min(sizes) <= room)
    splits = [composition_split(seed, share=share) for seed in range(40)]
    sides = [split.split(dataset) for split in splits]
    told = splits[0].report(dataset, sides[0], share)
    always = set(range(len(sizes))).difference(
        *(dataset.pairs.target[each.held_out].tolist() for each in sides)
    )
    assert {k for k, size in enumerate(sizes) if size > room} <= always
    is_one = len({tuple(each.held_out) for each in sides}) == 1
    assert any("every split.seed gives the same" in each for each in told.warnings) == is_one
    assert any("train" in each for each in told.warnings) == (max(sizes) > room)
    assert (told.groups, told.largest_group) == (len(sizes), max(sizes) / sum(sizes))
    assert told.share == len(sides[0].held_out) / sum(sizes)


def test_a_share_that_is_missed_is_said(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = of_sizes(walks, dataset_of, [8, 1, 1])
    split = composition_split(share=0.4)
    assert held_out.told([split.report(dataset, split.split(dataset), 0.4)]) == [
        "Split: 20.0% of the pairs (asked: 40%) held out; 3 groups, the largest has 80.0%.",
        "Warning: one group has 80.0% of the pairs, more than the share, so it always trains.",
        "Warning: all other groups fit into the share: every split.seed gives the same sides.",
        "Warning: 2 of 10 pairs are held out (20.0%), but 4 (40.0%) were asked for.",
    ]
    two = of_sizes(walks, dataset_of, [5, 4, 1])
    (told, *_) = split.report(two, split.split(two), 0.3).warnings
    assert told == "2 groups are larger than the share (up to 50.0% of the pairs): they train"


def test_a_tenth_of_the_share_may_be_missed() -> None:
    assert [bool(about_share(n, 20, 100)) for n in (17, 18, 22, 23)] == [True, False, False, True]


def test_a_moment_larger_than_the_share_is_said(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks(f"t1 s{k}", time=float(k == 0)) for k in range(5)])
    split = TemporalSplit(test_share=0.3, graph="train")
    sides = split.split(dataset)
    assert held_out.told([split.report(dataset, sides, 0.3)]) == [
        "Warning: 1 of 5 pairs are held out (20.0%), but 2 (40.0%) were asked for."
    ]


def test_pairs_that_are_held_out_one_by_one_need_no_word(tiny: Dataset) -> None:
    split = PaperSplit(test_share=0.3, graph="all", seed=0, **ONCE)
    assert held_out.told([split.report(tiny, split.split(tiny), 0.3)]) == []


@pytest.mark.real
def test_the_portal_s_compositions_are_chains_so_both_joins_give_the_same_sides(
    geoportal: Dataset, config: Callable[..., DictConfig]
) -> None:
    splits = [build(config("split", "composition", join=j), "split") for j in get_args(Join)[:2]]
    sides = [split.split(geoportal) for split in splits]
    assert all(map(np.array_equal, *sides))
    assert [len(rows) for rows in sides[0]] == [711, 305]
    for split, found in zip(splits, sides, strict=True):
        assert held_out.told([split.report(geoportal, found, 0.3)]) == [
            "Split: 30.0% of the pairs (asked: 30%) held out; 106 groups, the largest has 16.5%."
        ]


@pytest.mark.real
def test_seeds_hold_out_other_workflows_of_the_connection_table(
    config: Callable[..., DictConfig],
) -> None:
    data = build_dataset(build(config("data", "galaxy_connections", context="path"), "data"))
    for join, n_different in (("duplicates", 10), ("paths", 1)):
        splits = [composition_split(seed, join) for seed in range(10)]
        sides = [split.split(data) for split in splits]
        assert len({tuple(each.held_out) for each in sides}) == n_different
        told = splits[0].report(data, sides[0], 0.3)
        assert bool(told.warnings) == (join == "paths")
        assert told.share == pytest.approx(0.3 if join == "duplicates" else 0.183, abs=0.001)


def test_the_seed_decides_which_compositions_are_held_out(tiny: Dataset) -> None:
    held_out = {tuple(composition_split(seed).split(tiny).held_out) for seed in range(5)}
    assert len(held_out) > 1


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_what_started_last_is_held_out(tiny: Dataset, share: float) -> None:
    sides = temporal_split(share).split(tiny)
    kept, held_out = (tiny.start_time[tiny.pairs.composition[rows]] for rows in sides)
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
    groups = "2 compositions in 1 group, the largest has 100.0%"
    for split, told in ((composition_split(), groups), (temporal_split(), "2 compositions")):
        with pytest.raises(DataError, match=rf"hold out 30% of 4 pairs \({told}\): one side"):
            split.split(dataset)
        with pytest.raises(
            DataError,
            match=r"2 pairs for trainer\.validation_share \(1 composition.*, or trainer\.v",
        ):
            split.hold_out(dataset, np.array([0, 1]), 0.3)


@pytest.mark.parametrize("option", DRAWN)
def test_another_draw_of_validation_is_that_of_another_seed(
    tiny: Dataset, config: Callable[..., DictConfig], option: str
) -> None:
    seeds = [build(config("split", option, seed=k, graph="train"), "split") for k in range(3, 9)]
    rows = np.arange(len(tiny.pairs.context))
    draws = [tuple(seeds[0].hold_out(tiny, rows, 0.4, draw).held_out) for draw in range(6)]
    assert draws == [tuple(split.hold_out(tiny, rows, 0.4).held_out) for split in seeds]
    assert len(set(draws)) > 1


def test_a_split_that_draws_nothing_has_one_validation_side(tiny: Dataset) -> None:
    split = temporal_split()
    with pytest.raises(ConfigError, match=r"trainer.validation_draw is 1, but the split draws no"):
        split.hold_out(tiny, split.split(tiny).kept, 0.4, 1)


def test_leakage_by_hand(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks(each) for each in ("t1 s1 s2", "t1 s1 s2", "t1 s2", "t2 s1")])
    # rows: 0 2 (t1)->s1, 1 3 (t1 s1)->s2, 4 (t1)->s2, 5 (t2)->s1
    found = leakage(dataset, np.array([0, 1]), np.array([2, 4, 5]))
    assert found.pairs == pytest.approx(1 / 3)  # row 2
    assert found.contexts == pytest.approx(2 / 3)  # rows 2 and 4
    assert leakage(dataset, np.array([5]), np.array([0, 1, 4])) == Leakage(0, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"test_share": 0.0}, "split.test_share is 0.0"),
        ({"test_share": 1.0}, "split.test_share is 1.0"),
        ({"folds": 1}, "split.folds is 1; use a whole number of 2 or more, or null"),
        ({"repeats": 0}, "split.repeats is 0"),
        ({"graph": "test"}, "split.graph is 'test'; use one of all, train"),
        ({"seed": -1}, "split.seed is -1"),
        ({"join": "all"}, "split.join is 'all'; use one of duplicates, paths, none"),
    ],
)
def test_settings_out_of_range(
    config: Callable[..., DictConfig], setting: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config("split", "composition", **setting), "split")


def test_units_are_what_a_split_keeps_apart(walks: Walks, dataset_of: DatasetOf) -> None:
    drawn = [walks("t1 s1 s2", time=2.0), walks("t1 s2", time=1.0), walks("t1 s1 s2", time=2.0)]
    data = dataset_of(drawn)
    rows = PaperSplit(test_share=0.3, graph="all", seed=0, **ONCE).units(data)
    assert (rows.kind, rows.number.tolist()) == ("row", [0, 1, 2, 3, 4])
    groups, moments = composition_split().units(data), temporal_split().units(data)
    assert (groups.kind, groups.number.tolist()) == ("group", [0, 0, 1, 0, 0])
    assert (moments.kind, moments.number.tolist()) == ("time", [1, 1, 0, 1, 1])


def test_a_cold_service_is_in_no_training_step(walks: Walks, dataset_of: DatasetOf) -> None:
    """Twenty compositions, each there twice, with services of their own, and a, which all have."""
    drawn = [walks(f"t1 s{k} s{k + 1} sa", f"t2 s{k}") for k in range(1, 40, 2)] * 2
    dataset = dataset_of(drawn)
    names, group = dataset.vocabulary, dataset.group
    found = []
    for part in (0, 1):
        split = ColdSplit(test_share=0.3, graph="train", seed=part, repeats=1, part=None)
        sides = split.split(dataset)
        holding = [spelt(dataset, rows) for rows in sides]
        cold = (holding[1] - holding[0]) & set(names.services)
        kept, held_out = compositions_of(dataset, sides)
        assert not kept & held_out
        assert not {int(group[c]) for c in kept} & {int(group[c]) for c in held_out}
        assert "service_a" not in cold
        for number in held_out:  # each for a service that no kept one has
            rows = np.flatnonzero(dataset.pairs.composition == number)
            assert cold & spelt(dataset, rows)
        assert split.report(dataset, sides).cold == len(cold) == len(held_out)
        assert len(sides.held_out) == 0.3 * len(dataset.pairs.target)
        inner = split.hold_out(dataset, sides.kept, 0.25)
        assert 0.2 < len(inner.held_out) / len(sides.kept) <= 0.25
        assert spelt(dataset, inner.held_out) - spelt(dataset, inner.kept)
        found.append(sides.held_out.tolist())
    second = ColdSplit(test_share=0.3, graph="train", seed=0, repeats=2, part=1)
    assert found[0] != found[1] == second.split(dataset).held_out.tolist()


def spelt(dataset: Dataset, rows: np.ndarray[Any, Any]) -> set[str]:
    """Return all names in some steps."""
    pairs, names = dataset.pairs.take(rows), dataset.vocabulary
    contexts = [names.spell(dataset.contexts.spell(c)) for c in np.unique(pairs.context)]
    return {name for context in contexts for name in context} | {
        names.services[target] for target in pairs.target
    }


def test_a_service_that_too_many_hold_is_never_cold(walks: Walks, dataset_of: DatasetOf) -> None:
    dataset = dataset_of([walks("t1 s1 s2")] * 5)
    split = ColdSplit(test_share=0.3, graph="train", seed=0, repeats=1, part=None)
    with pytest.raises(DataError, match="cannot hold out 30% of 10 pairs"):
        split.split(dataset)
