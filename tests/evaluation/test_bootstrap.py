import tracemalloc

import numpy as np
import pytest

from dagrec_cli.evaluation import bootstrap
from dagrec_cli.evaluation.bootstrap import intervals, summarise
from dagrec_cli.evaluation.metrics import METRICS, evaluate
from dagrec_cli.evaluation.ranks import Outcomes, outcomes


def model(seed, n_pairs=60, n_services=5):
    """Outcomes of random scores with ties; every seed sees the same pairs."""
    pairs = np.random.default_rng(99)
    rows, target = pairs.integers(8, size=n_pairs), pairs.integers(n_services, size=n_pairs)
    scores = np.random.default_rng(seed).integers(0, 4, size=(8, n_services)).astype(float)
    return outcomes(scores, rows, target)


def first_or_second(right):
    """Two services, target 0: predicted where ``right``, otherwise ranked second."""
    right = np.asarray(right, dtype=bool)
    zeros = np.zeros(len(right), dtype=int)
    return Outcomes(zeros, (~right).astype(int), (~right).astype(int), zeros)


def test_equals_resampling_pair_by_pair():
    seeds = [model(1), model(2), model(3)]
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(40):
        drawn = rng.integers(60, size=60)
        values = [evaluate(Outcomes(*(column[drawn] for column in run))) for run in seeds]
        rows.append([np.mean([value[name] for value in values]) for name in METRICS])
    low, high = np.quantile(rows, [0.05, 0.95], axis=0)

    found = intervals(seeds, n_resamples=40, seed=5, level=0.9)

    assert tuple(found) == METRICS
    np.testing.assert_allclose(list(found.values()), np.stack([low, high], axis=1), atol=1e-12)


def test_equals_resampling_whole_units():
    run, unit = model(1), np.random.default_rng(7).integers(100, 112, size=60)
    units, rng = np.unique(unit), np.random.default_rng(5)
    rows = []
    for _ in range(40):
        drawn = units[rng.integers(len(units), size=len(units))]
        pairs = np.concatenate([np.flatnonzero(unit == each) for each in drawn])
        value = evaluate(Outcomes(*(column[pairs] for column in run)))
        rows.append([value[name] for name in METRICS])
    expected = np.quantile(rows, [0.05, 0.95], axis=0).T
    found = intervals([run], unit, n_resamples=40, seed=5, level=0.9)
    np.testing.assert_allclose(list(found.values()), expected, atol=1e-12)


def test_pairs_that_are_alike_within_units_make_wider_intervals():
    right = first_or_second(np.arange(400) % 40 < 20)  # right in every pair of half the units
    alone, together = (
        intervals([right], unit, n_resamples=2000)["accuracy"]
        for unit in (None, np.arange(400) // 20)
    )
    error = 1.96 * np.sqrt(0.5 * 0.5 / 20)  # as few as there are units
    assert together == pytest.approx((0.5 - error, 0.5 + error), abs=0.04)
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_accuracy_interval_is_as_wide_as_the_binomial_says():
    low, high = intervals([first_or_second([True, False] * 200)], n_resamples=4000)["accuracy"]
    error = 1.96 * np.sqrt(0.5 * 0.5 / 400)
    assert (low, high) == pytest.approx((0.5 - error, 0.5 + error), abs=0.006)


def test_seeds_share_each_resample():
    right = np.arange(50) % 3 == 0
    opposite = [first_or_second(right), first_or_second(~right)]
    assert intervals(opposite, n_resamples=100)["accuracy"] == pytest.approx((0.5, 0.5))
    low, high = intervals(opposite[:1], n_resamples=100)["accuracy"]
    assert high - low > 0.1


def test_chunks_do_not_change_the_result(monkeypatch):
    whole = intervals([model(1)], n_resamples=30)
    monkeypatch.setattr(bootstrap, "CELLS", 1)
    one_by_one = intervals([model(1)], n_resamples=30)
    np.testing.assert_allclose(list(one_by_one.values()), list(whole.values()), atol=1e-12)


def test_same_seed_same_interval():
    assert intervals([model(1)], seed=1) == intervals([model(1)], seed=1)
    assert intervals([model(1)], seed=1) != intervals([model(1)], seed=2)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(bootstrap, "CELLS", 20_000)
    column = np.arange(2000)
    all_distinct = Outcomes(column, column[::-1], column, column * 0)
    tracemalloc.start()
    try:
        intervals([all_distinct], n_resamples=300)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300 * 2000 * 8 / 2  # the counts of all resamples together would take twice this


def test_summary_holds_mean_deviation_and_interval():
    runs = [first_or_second([1, 1, 1, 0]), first_or_second([1, 1, 0, 0])]
    accuracy = summarise(runs, n_resamples=50)["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.625)
    assert accuracy["std"] == pytest.approx(0.125 * np.sqrt(2))  # sqrt((.125² + .125²) / 1)
    assert (accuracy["low"], accuracy["high"]) == intervals(runs, n_resamples=50)["accuracy"]
    assert type(accuracy["mean"]) is type(accuracy["low"]) is float


def test_one_seed_has_no_deviation():
    summary = summarise([model(1)], n_resamples=20)
    assert tuple(summary) == METRICS
    assert {metric["std"] for metric in summary.values()} == {None}


def test_seeds_of_other_pairs_are_refused():
    other = model(2)._replace(target=model(2).target[::-1])
    with pytest.raises(ValueError, match="same pairs"):
        intervals([model(1), other])


def test_no_seeds_are_refused():
    with pytest.raises(ValueError, match="no outcomes"):
        intervals([])
