"""Intervals and tests over the parts of a split: by hand, and in simulated data."""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.evaluation.parts import (
    PartOutcomes,
    difference,
    over_blocks,
    over_parts,
    pooled,
    summaries,
)
from dagrec_cli.evaluation.ranks import Membership, Outcomes

N = 40  # pairs of a part, each of a group of its own
RIGHT = (10, 20, 24, 12, 14)


def alike(group: np.ndarray) -> Membership:
    return Membership(group, group, np.arange(len(group)))


def part(number: int, n_right: int, share: float = 0.2) -> PartOutcomes:
    """Return a part of two classes with so many right predictions, the first ones."""
    target = np.arange(N) % 2
    wrong = (np.arange(N) >= n_right).astype(int)
    seed = Outcomes(target, (target + wrong) % 2, wrong, np.zeros(N, int))
    return PartOutcomes([seed], alike(np.arange(N) + N * number), share)


def parts(*n_right: int, share: float = 0.2) -> list[PartOutcomes]:
    return [part(number, n, share) for number, n in enumerate(n_right)]


def test_a_row_is_the_mean_over_its_parts_and_its_test_the_corrected_t() -> None:
    five, same = parts(*RIGHT), parts(8, 8, 8, 8, 8)
    figures = np.array(RIGHT) / N
    found = summaries(five)
    assert list(found) == list(METRICS)
    assert found["accuracy"]["mean"] == pytest.approx(figures.mean())
    assert found["accuracy"]["std"] == pytest.approx(figures.std(ddof=1))
    assert 0 < found["accuracy"]["low"] < figures.mean() < found["accuracy"]["high"] < 1
    error = np.sqrt(figures.var(ddof=1) * (1 / 5 + 1 / 4) + 1 / (5 * N + 2) ** 2)
    away = figures.mean() - 0.2
    told = difference(five, same, "accuracy")
    assert told.difference == pytest.approx(away)
    assert told.p_value == pytest.approx(2 * stats.t.sf(away / error, 4))
    assert told.high == pytest.approx(away + stats.t.ppf(0.975, 4) * error)
    same_again = difference(five, five, "accuracy")
    assert (same_again.difference, same_again.p_value) == (0, 1)


def test_seeds_of_a_part_count_once() -> None:
    one = parts(*RIGHT)
    two = [PartOutcomes([*each.outcomes] * 2, each.membership, each.share) for each in one]
    assert summaries(one) == summaries(two)


def test_repeats_tell_nothing_of_other_data() -> None:
    """The same five folds, ten times: as wide as once, but for what is known of the variance."""
    once, often = parts(*RIGHT), parts(*RIGHT) * 10
    same = parts(8, 8, 8, 8, 8)
    one, ten = difference(once, same, "accuracy"), difference(often, same * 10, "accuracy")
    error = np.sqrt(0.45 * (np.array(RIGHT * 10) / N).var(ddof=1) + 1 / (5 * N + 2) ** 2)
    assert ten.high - ten.difference == pytest.approx(stats.t.ppf(0.975, 9) * error)
    assert ten.high > 0.7 * one.high


def test_a_single_part_has_the_statistics_of_one_test() -> None:
    (alone,) = parts(14)
    assert summaries([alone])["accuracy"]["std"] is None
    assert difference([alone], [alone], "accuracy").p_value == 1
    best = summaries([alone])
    assert over_parts([best], [alone]) == best


def test_a_ceiling_is_the_mean_over_parts() -> None:
    five = parts(*RIGHT)
    best = [summaries([each]) for each in parts(30, 40, 40, 30, 35)]
    found = over_parts(best, five)["accuracy"]
    assert found["mean"] == pytest.approx(35 / N)
    assert 35 / N < found["high"] <= 1


def test_blocks_of_one_test_weigh_as_many_as_they_have() -> None:
    long, whole = part(0, 10, share=0.1), part(1, 20, share=0.6)
    some = np.arange(10)  # all right
    short = PartOutcomes([whole.outcomes[0].take(some)], whole.membership.take(some), 0.6)
    found = pooled([long, short])
    assert found.figures(["accuracy"], "step") == {"accuracy": 20 / 50}
    assert found.membership.group.tolist() == [*range(N), *range(N, N + 10)]
    assert found.share == pytest.approx((40 * 0.1 + 10 * 0.6) / 50)
    best = [{"accuracy": {"mean": mean}} for mean in (0.5, 1.0)]
    assert over_blocks(best, [40, 10]) == {"accuracy": {"mean": pytest.approx(0.6)}}


CONTEXTS, SERVICES = 8, 6
LAW = np.random.default_rng(5).dirichlet(np.full(SERVICES, 0.4), CONTEXTS)


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return group, two features and target of the pairs of thirty groups of unequal size.

    Either feature decides a group's targets equally often, so that counting after the one is as
    good as counting after the other; a share of the targets is each group's own habit.
    """
    sizes = np.maximum(1, rng.lognormal(1.0, 1.0, 30).round()).astype(int)
    group = np.repeat(np.arange(30), sizes)
    features, targets = [], []
    for size in sizes:
        liked = rng.dirichlet(np.full(CONTEXTS, 0.3), 2)
        seen = np.array([rng.choice(CONTEXTS, size, p=each) for each in liked])
        habit = rng.dirichlet(np.full(SERVICES, 0.5))
        laws = np.where(rng.random((size, 1)) < 0.4, habit, LAW[seen[rng.integers(2)]])
        features.append(seen)
        targets += [int(rng.choice(SERVICES, p=law)) for law in laws]
    return group, np.concatenate(features, axis=1), np.array(targets)


def dealt(rng: np.random.Generator, group: np.ndarray, folds: int) -> Iterator[np.ndarray]:
    """Yield the test rows of folds that hold whole groups."""
    fold = rng.permutation(np.arange(30) % folds)
    yield from (fold[group] == k for k in range(folds))


def counted(
    feature: np.ndarray, target: np.ndarray, group: np.ndarray, test: np.ndarray
) -> PartOutcomes:
    """Return what counting after a feature makes of a part."""
    counts = np.tile(np.bincount(target[~test], minlength=SERVICES) / len(target), (CONTEXTS, 1))
    np.add.at(counts, (feature[~test], target[~test]), 1)
    chosen = counts.argmax(axis=1)[feature[test]]
    zeros = np.zeros(test.sum(), int)
    outcomes = Outcomes(target[test], chosen, (chosen != target[test]).astype(int), zeros)
    return PartOutcomes([outcomes], alike(group[test]), float(test.mean()))


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [1, 4])
def test_intervals_cover_and_equal_models_are_seldom_told_apart(repeats: int) -> None:
    """Over new data sets: a new training set and new groups."""
    rng = np.random.default_rng(repeats)
    inside, n_alarms, means = [], 0, []
    for _ in range(150):
        group, features, target = drawn(rng)
        tests = [test for _ in range(repeats) for test in dealt(rng, group, 5)]
        a, b = ([counted(f, target, group, test) for test in tests] for f in features)
        summary = summaries(a)["accuracy"]
        means.append(summary["mean"])
        inside.append((summary["low"], summary["high"]))
        n_alarms += difference(a, b, "accuracy").p_value < 0.05
    low, high = np.array(inside).T
    covered = np.mean((low <= np.mean(means)) & (np.mean(means) <= high))
    assert covered > 0.88
    assert n_alarms / 150 < 0.12
