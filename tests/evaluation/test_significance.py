import doctest
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.evaluation import significance
from dagrec_cli.evaluation.significance import LEAST_P, holm, paired_difference
from hand_outcomes import first_or_second, grouped


def draw(rng, share, n_pairs=100):
    return first_or_second(rng.random(n_pairs) < share)


def test_equal_models_do_not_differ_and_may_yet_on_other_pairs():
    x, y, z = (draw(np.random.default_rng(seed), 0.6) for seed in range(3))
    for a, b in (([x], [x]), ([x, y, z], [z, x, y])):
        for metric in METRICS:
            found = paired_difference(a, b, metric=metric)
            assert found.difference == 0  # no residue of rounding
            assert found.p_value == 1
            assert not found.is_floor
            assert -0.5 < found.low < 0 < found.high < 0.5


def test_a_model_that_is_always_better_is_so_at_the_floor():
    found = paired_difference([first_or_second([1] * 20)], [first_or_second([0] * 20)])
    assert found.difference == found.high == 1
    assert found.low > 0.8
    assert (found.p_value, found.is_floor) == (LEAST_P, True)


def test_equals_the_paired_t_test_where_seeds_are_one_and_pairs_are_groups():
    rng = np.random.default_rng(1)
    a, b = draw(rng, 0.6, 300), draw(rng, 0.5, 300)
    found = paired_difference([a], [b], metric="mrr")
    expected = ttest_rel(1 / a.mean_rank, 1 / b.mean_rank)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.05)  # one outcome is added
    assert not found.is_floor
    assert found.low == pytest.approx(expected.confidence_interval().low, abs=0.001)


@pytest.mark.parametrize("m", [1, 2, 3, 6])
def test_few_pairs_that_all_favour_one_side_are_no_proof(m):
    right = np.arange(305) < 165  # the published best row against the second: .5410, .5213 of 305
    a, b = first_or_second(right), first_or_second(right & (np.arange(305) >= m))
    found = paired_difference([a], [b])
    assert found.p_value >= 2 / 2**m  # an exact sign test's
    assert (found.low <= 0) == (found.p_value > 0.05)
    assert holm([found.p_value] * 5)[0] > 0.05


def test_the_floor_is_that_of_the_groups_that_differ():
    """Eight of ten groups favour one side strongly: the least that an exact test could give."""
    unit = np.arange(100) // 10
    a, b = first_or_second(unit < 8), first_or_second(unit > 10)
    found = paired_difference([a], [b], grouped(unit))
    assert found.p_value >= 2 / 2**8
    assert found.is_floor == (found.p_value == 2 / 2**8)


def test_one_composition_proves_nothing():
    a, b = first_or_second([1] * 90 + [0] * 10), first_or_second([0] * 95 + [1] * 5)
    found = paired_difference([a], [b], grouped(np.zeros(100, int)))
    assert found[1:] == (-1, 1, 1, False, None)


def test_one_group_that_favours_one_side_is_no_proof():
    b = np.arange(200) % 2 == 0
    a = b | (np.arange(200) < 40)  # twenty more pairs right, all of one group
    sides = [first_or_second(a)], [first_or_second(b)]
    alone, together = (
        paired_difference(*sides, grouped(unit)) for unit in (None, np.arange(200) // 40)
    )
    assert alone.p_value < 0.01
    assert together.p_value > 0.3
    assert together.low < 0


def test_both_sides_are_paired():
    b = np.arange(200) % 2 == 0
    a = b | (np.arange(200) < 20)  # ten more pairs right: two independent samples would not tell
    found = paired_difference([first_or_second(a)], [first_or_second(b)])
    assert found.difference == pytest.approx(0.05)
    assert found.low > 0.01
    assert found.p_value < 0.01


def test_three_seeds_that_spread_prove_nothing():
    """Seeds of .45, .55, .65 against .5 on 10,000 pairs: one in three is below."""
    place = np.arange(10_000) % 100
    a = [first_or_second(place < share) for share in (45, 55, 65)]
    found = paired_difference(a, [first_or_second(place < 50)])
    assert found.p_value > 0.3
    alone = paired_difference(a[1:2], [first_or_second(place < 50)])
    assert alone.p_value < 0.01  # about the one model that was trained


def test_swapping_the_sides_flips_the_sign():
    rng = np.random.default_rng(3)
    a, b = [draw(rng, 0.6), draw(rng, 0.7)], [draw(rng, 0.5)]
    for metric in METRICS:
        difference, low, high, *p = paired_difference(a, b, metric=metric)
        back = paired_difference(b, a, metric=metric)
        assert back == pytest.approx((-difference, -high, -low, *p))


def test_what_could_be_seen_shrinks_with_groups_and_grows_with_tests():
    rng = np.random.default_rng(4)
    a, b = ([draw(rng, 0.5, 400)] for _ in range(2))
    alone = paired_difference(a, b).detectable
    # a normal approximation: 1.96 + .84 standard errors of a difference of two coins
    assert alone == pytest.approx(2.8 * np.sqrt(0.5 / 400), rel=0.05)
    assert paired_difference(a, b, n_tests=5).detectable > 1.2 * alone
    grouped_by_40 = paired_difference(a, b, grouped(np.arange(400) // 40)).detectable
    assert grouped_by_40 > alone
    few = grouped(np.arange(400) // 80)  # the least p of five groups is 2 / 2^5
    assert paired_difference(a, b, few).detectable is None


def test_other_pairs_are_refused():
    other = first_or_second([1, 0])._replace(target=np.array([0, 1]))
    with pytest.raises(ValueError, match="same pairs"):
        paired_difference([first_or_second([1, 0])], [other])


def test_a_side_without_outcomes_is_refused():
    with pytest.raises(ValueError, match="no outcomes"):
        paired_difference([first_or_second([1, 0])], [])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_equals_closed_testing(p_values):
    """Holm is the closed test with Bonferroni: reject i if every set with i is rejected."""
    indices = range(len(p_values))
    sets = [s for size in indices for s in combinations(indices, size + 1)]
    expected = [
        max(min(1, len(s) * min(p_values[k] for k in s)) for s in sets if i in s) for i in indices
    ]
    assert holm(p_values) == pytest.approx(expected)


def test_examples_in_docstrings():
    result = doctest.testmod(significance)
    assert result.attempted > 0
    assert result.failed == 0
