import doctest
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrec_cli.evaluation import significance
from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.significance import holm, paired_difference


def first_or_second(right):
    """Two services, target 0: predicted where ``right``, otherwise ranked second."""
    right = np.asarray(right, dtype=bool)
    zeros = np.zeros(len(right), dtype=int)
    return Outcomes(zeros, (~right).astype(int), (~right).astype(int), zeros)


def draw(rng, share, n_pairs=100):
    return first_or_second(rng.random(n_pairs) < share)


def test_equal_models_do_not_differ():
    x, y, z = (draw(np.random.default_rng(seed), 0.6) for seed in range(3))
    found = paired_difference([x, y, z], [z, x, y], n_resamples=200)
    assert tuple(found) == METRICS
    for name in METRICS:
        assert found[name] == pytest.approx((0, 0, 0, 1), abs=1e-15)
        assert found[name].low == found[name].high == 0  # no residue of rounding
        assert found[name].p_value == 1


def test_a_model_that_is_always_better():
    found = paired_difference([first_or_second([1] * 20)], [first_or_second([0] * 20)])["accuracy"]
    assert found == pytest.approx((1, 1, 1, 1 / 1001))  # no resample is a whole 1 away from 1


def test_p_value_of_pairs_that_favour_both_sides():
    a = first_or_second([1] * 18 + [0] * 2)
    b = first_or_second([0] * 6 + [1] * 14)
    found = paired_difference([a], [b], n_resamples=5000)["accuracy"]
    assert found.difference == pytest.approx(0.2)
    of_sum = np.ones(1)  # of 20 draws of -1, 0 or 1, from -20 on
    for _ in range(20):
        of_sum = np.convolve(of_sum, [0.1, 0.6, 0.3])
    assert found.p_value == pytest.approx(of_sum[:21].sum() + of_sum[28:].sum(), abs=0.02)


@pytest.mark.parametrize("m", [1, 2, 3, 6])
def test_few_pairs_that_all_favour_one_side_are_no_proof(m):
    right = np.arange(305) < 165  # the published best row against the second: .5410, .5213 of 305
    a, b = first_or_second(right), first_or_second(right & (np.arange(305) >= m))
    found = paired_difference([a], [b])["accuracy"]
    assert found.p_value == 2 / 2**m  # an exact sign test's
    assert holm([found.p_value] * 5)[0] > 0.05


def test_one_composition_proves_nothing():
    a, b = first_or_second([1] * 90 + [0] * 10), first_or_second([0] * 95 + [1] * 5)
    assert paired_difference([a], [b], np.zeros(100, int))["accuracy"].p_value == 1


def test_one_unit_that_favours_one_side_is_no_proof():
    b = np.arange(200) % 2 == 0
    a = b | (np.arange(200) < 40)  # twenty more pairs right, all of one unit
    sides = [first_or_second(a)], [first_or_second(b)]
    alone, together = (
        paired_difference(*sides, unit)["accuracy"].p_value for unit in (None, np.arange(200) // 40)
    )
    assert alone < 0.01
    assert together > 0.3


def test_both_sides_share_each_resample():
    b = np.arange(200) % 2 == 0
    a = b | (np.arange(200) < 20)  # ten more pairs right: two independent samples would not tell
    found = paired_difference([first_or_second(a)], [first_or_second(b)])["accuracy"]
    assert found.difference == pytest.approx(0.05)
    assert found.low > 0.01
    assert found.p_value < 0.01


def test_swapping_the_sides_flips_the_sign():
    rng = np.random.default_rng(3)
    a, b = [draw(rng, 0.6), draw(rng, 0.7)], [draw(rng, 0.5)]
    there, back = paired_difference(a, b), paired_difference(b, a)
    for name in METRICS:
        difference, low, high, p_value = there[name]
        assert back[name] == pytest.approx((-difference, -high, -low, p_value))


def test_false_alarms_are_as_rare_as_the_level():
    rng = np.random.default_rng(0)
    alarms = sum(
        paired_difference([draw(rng, 0.5)], [draw(rng, 0.5)], n_resamples=200)["accuracy"].p_value
        <= 0.05
        for _ in range(100)
    )
    assert 1 <= alarms <= 13  # 5 expected; binomial(100, .05) is above 13 once in 3,000


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
