import numpy as np
import pytest
from scipy.stats import t as student_t

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import Outcomes, outcomes
from dagrec_cli.evaluation.uncertainty import (
    Items,
    Spread,
    items,
    metric_summaries,
    numbered,
    spread,
)
from hand_outcomes import first_or_second, grouped


def model(seed, n_pairs=60, n_services=5):
    """Outcomes of random scores with ties; every seed sees the same pairs."""
    pairs = np.random.default_rng(99)
    rows, target = pairs.integers(8, size=n_pairs), pairs.integers(n_services, size=n_pairs)
    scores = np.random.default_rng(seed).integers(0, 4, size=(8, n_services)).astype(float)
    return outcomes(scores, rows, target)


def bounds(runs, unit=None, metric="accuracy", **settings):
    found = metric_summaries(runs, grouped(unit), **settings)[metric]
    return found["low"], found["high"]


def width(*arguments, **settings):
    low, high = bounds(*arguments, **settings)
    return high - low


def test_accuracy_interval_is_as_wide_as_the_binomial_says():
    low, high = bounds([first_or_second([True, False] * 200)])
    error = 1.96 * np.sqrt(0.5 * 0.5 / 400)
    assert (low, high) == pytest.approx((0.5 - error, 0.5 + error), abs=0.003)


def test_equal_compositions_count_as_one():
    """The same outcomes, each of 20 compositions 15 times: as wide as of 20 compositions."""
    right = np.arange(20) < 12
    alone = bounds([first_or_second(right)])
    repeated = [first_or_second(np.repeat(right, 15))]
    assert bounds(repeated, np.repeat(np.arange(20), 15)) == pytest.approx(alone, abs=1e-9)
    assert width(repeated) < 0.3 * (alone[1] - alone[0])  # pairs taken for independent


def test_the_spread_of_three_groups_by_hand():
    """Four items of 1 in one group; its own squared deviation is more than what groups share."""
    whole = Items(np.array([[1.0, 1, 1, 1, 0, 0]]), np.array([0, 0, 0, 0, 1, 2]), 3)
    # shares 4/6, 1/6, 1/6, whose squares add up to 1/2; deviations 4/3, -2/3, -2/3, over 6 items
    of_groups = (2 / 9) ** 2 / (1 - 8 / 6 + 1 / 2) + 2 * (1 / 9) ** 2 / (1 - 2 / 6 + 1 / 2)
    assert spread([whole]) == pytest.approx(Spread(of_groups, 1, 0, 1, 2))


@pytest.mark.parametrize(
    ("two_seeds", "groups", "seeds"),
    [
        ([[1, 1, 1, 0], [0, 1, 0, 0]], 1 / 48, 1 / 16),  # 1/24 of the mean, less what is common
        ([[1, 0, 1, 0], [1, 1, 0, 0]], 1 / 24, 0),  # all is common, and none of it in the seeds
    ],
)
def test_what_seeds_and_groups_have_in_common_counts_once(two_seeds, groups, seeds):
    found = spread([Items(np.array(two_seeds, float), np.arange(4), 4)])
    assert found == pytest.approx(Spread(groups, 3, seeds, 1, 4))


def test_the_tails_of_groups_and_seeds_are_mixed_by_their_shares():
    tails = 2 * student_t.sf(2.0, [9, 2])
    assert Spread(1, 9, 3, 2, 10).two_sided(2.0) == pytest.approx(tails @ [1 / 4, 3 / 4])


def test_the_items_of_a_macro_average_are_pseudo_values_of_groups():
    """Recall is 1/2, and 1/3, 2/3, 1/6 without each group: 3 times the whole, less twice these."""
    zeros = np.zeros(4, int)
    pairs = Outcomes(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), zeros, zeros)
    found = items([pairs], numbered([pairs], grouped(np.array([0, 1, 2, 2]))), ["recall"])["recall"]
    assert found.value[0] == pytest.approx([5 / 6, 1 / 6, 7 / 6])
    assert (found.group.tolist(), found.most) == ([0, 1, 2], pytest.approx(16 / 6))


def test_pairs_that_do_not_resemble_each_other_within_groups_count_alone():
    right = first_or_second(np.random.default_rng(0).random(4000) < 0.4)
    alone, together = (width([right], unit) for unit in (None, np.arange(4000) // 10))
    assert together == pytest.approx(alone, rel=0.1)


def test_one_large_group_makes_the_interval_wide():
    """Half of the pairs are one group's: it is one draw, however many pairs it has."""
    unit = np.maximum(np.arange(300) - 149, 0)
    right = first_or_second((unit % 2 == 0) | (unit == 0))
    assert width([right], unit) > 5 * width([right])


def test_a_single_group_tells_nothing():
    assert bounds([model(1)], np.zeros(60, int)) == (0, 1)
    assert bounds([model(1)], np.zeros(60, int), metric="f1") == (0, 1)


def test_seeds_are_drawn_too():
    """Three seeds of .4, .5, .6 on 10,000 pairs: all but the seeds' t interval is nothing."""
    runs = [first_or_second(np.arange(10_000) % 100 < share) for share in (40, 50, 60)]
    half = student_t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    k = (half / 0.5) ** 2  # Wilson's correction
    assert width(runs) == pytest.approx(2 * half / np.sqrt(1 + k), rel=0.02)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "mrr"])
def test_seeds_that_are_equal_add_nothing(metric):
    alone, same = (bounds([model(1)] * n, metric=metric) for n in (1, 3))
    assert same == pytest.approx(alone)


def test_what_differs_between_seeds_pair_by_pair_counts_once():
    """Every seed is right on pairs of its own: groups and seeds see the same variance."""
    rng = np.random.default_rng(5)
    runs = [first_or_second(rng.random(400) < 0.5) for _ in range(30)]
    error = np.sqrt(0.25 / 400 / 30)
    assert width(runs) == pytest.approx(2 * 2.05 * error, rel=0.5)


def test_outcomes_that_are_all_alike_are_no_certainty():
    low, high = bounds([first_or_second([1] * 305)])
    assert high == 1
    assert low == pytest.approx(0.025 ** (1 / 305), abs=0.003)  # Clopper and Pearson
    assert bounds([first_or_second([0] * 305)]) == pytest.approx((0, 1 - low))
    assert bounds([first_or_second([1] * 300)], np.arange(300) // 100)[0] < 0.4  # three groups
    second = [first_or_second([0] * 305)]  # MRR is 1/2 in every pair
    assert 0.001 < width(second, metric="mrr") < 0.02


def test_classes_stay_fixed():
    """A constant predictor's recall is 1 / 11 on whatever pairs, if there are 11 classes."""
    target = np.repeat(np.arange(11), [50, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1])
    zeros = np.zeros(len(target), int)
    constant = Outcomes(target, zeros, (target > 0).astype(int), zeros)
    assert bounds([constant], metric="recall") == pytest.approx((1 / 11, 1 / 11))
    assert bounds([constant], metric="f1")[1] < 1.3 * evaluate(constant)["f1"]


@pytest.mark.parametrize("unit", [None, np.arange(60) // 3, np.minimum(np.arange(60), 9)])
def test_every_metric_is_inside_its_interval_and_between_0_and_1(unit):
    for name, found in metric_summaries([model(1), model(2)], grouped(unit)).items():
        assert 0 <= found["low"] <= found["mean"] <= found["high"] <= 1, name


def test_order_and_names_of_groups_do_not_matter():
    unit, order = np.random.default_rng(7).integers(12, size=60), np.random.default_rng(8)
    shuffled = order.permutation(60)
    run = model(1)
    other = grouped((100 - unit)[shuffled])
    found = metric_summaries([Outcomes(*(c[shuffled] for c in run))], other)
    for name, expected in metric_summaries([run], grouped(unit)).items():
        assert found[name] == pytest.approx(expected), name


def test_summary_holds_mean_and_deviation():
    runs = [first_or_second([1, 1, 1, 0]), first_or_second([1, 1, 0, 0])]
    accuracy = metric_summaries(runs)["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.625)
    assert accuracy["std"] == pytest.approx(0.125 * np.sqrt(2))  # sqrt((.125² + .125²) / 1)
    assert type(accuracy["mean"]) is type(accuracy["low"]) is float


def test_one_seed_has_no_deviation():
    summary = metric_summaries([model(1)])
    assert tuple(summary) == METRICS
    assert {metric["std"] for metric in summary.values()} == {None}


def test_seeds_of_other_pairs_are_refused():
    other = model(2)._replace(target=model(2).target[::-1])
    with pytest.raises(ValueError, match="same pairs"):
        metric_summaries([model(1), other])


def test_no_seeds_are_refused():
    with pytest.raises(ValueError, match="no outcomes"):
        metric_summaries([])
