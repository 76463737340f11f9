"""Mean ranks over data sets against published tables, and against all permutations."""

from itertools import permutations, product

import numpy as np
import pytest

from dagrec_cli.evaluation.mean_ranks import alike, compare_ranks, critical_range, ranks_within

# Of the studentised range, infinite degrees of freedom (Pearson and Hartley 1954, table 29).
RANGES = [2.772, 3.314, 3.633, 3.858, 4.030, 4.170, 4.286, 4.387, 4.474]


def test_the_range_has_the_quantiles_of_the_published_table() -> None:
    ours = [critical_range(n, 0.05) for n in range(2, 11)]
    assert ours == pytest.approx(RANGES, abs=6e-4)
    assert critical_range(3, 0.01) == pytest.approx(4.120, abs=6e-4)


def test_friedman_s_p_is_that_of_all_permutations() -> None:
    figures = -np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [2, 3, 1.0]])
    found = compare_ranks(figures, 0.05)
    sums = np.array(
        [sum(rows) for rows in product(map(np.array, permutations([1, 2, 3])), repeat=4)]
    )
    statistic = 12 * (sums**2).sum(axis=1) / (4 * 3 * 4) - 3 * 4 * 4  # Demšar 2006, eq. 1
    assert found.statistic == pytest.approx(3.5)
    assert found.p_value == pytest.approx((statistic >= 3.5 - 1e-9).mean(), abs=0.005)
    assert found.critical_difference == pytest.approx(2.343 * np.sqrt(12 / 24), abs=1e-3)


@pytest.mark.parametrize(
    # Exact upper tails (Hollander and Wolfe 1973, table A.15): k, N, χ², p.
    ("k", "n", "statistic", "p"),
    [(3, 3, 6.0, 0.028), (3, 4, 6.5, 0.042), (3, 5, 6.4, 0.039), (4, 3, 7.4, 0.033)],
)
def test_small_tables(k: int, n: int, statistic: float, p: float) -> None:
    orders = [np.array(order) for order in permutations(range(k))]
    for rows in product(orders, repeat=n - 1):
        figures = -np.array([range(k), *rows], dtype=float)
        found = ((ranks_within(figures).sum(axis=0) - n * (k + 1) / 2) ** 2).sum()
        if found * 12 / (n * k * (k + 1)) == pytest.approx(statistic):
            break
    compared = compare_ranks(figures, 0.05)
    assert (compared.statistic, compared.p_value) == pytest.approx((statistic, p), abs=2e-3)


def test_equal_figures_share_their_rank_and_tell_nothing() -> None:
    figures = np.array([[0.3, 0.1 + 0.2, 0.1], [0.5, 0.5, 0.5]])
    assert ranks_within(figures).tolist() == [[1.5, 1.5, 3], [2, 2, 2]]
    same = compare_ranks(np.ones((4, 3)), 0.05)
    assert (same.statistic, same.p_value, *same.mean_rank) == (0, 1, 2, 2, 2)


def test_more_data_sets_tell_more() -> None:
    order = np.arange(5.0)
    few, many = (compare_ranks(np.tile(order, (n, 1)), 0.05) for n in (2, 8))
    assert many.critical_difference == pytest.approx(few.critical_difference / 2)
    assert many.p_value < few.p_value < 0.05
    assert few.mean_rank.tolist() == [5, 4, 3, 2, 1]


def test_groups_are_as_large_as_can_be() -> None:
    ranks = np.array([1.0, 2.0, 2.5, 5.0, 5.0, 9.0])
    assert alike(ranks, 1.2) == [(1, 2), (2, 2.5), (5, 5)]
    assert alike(ranks, 2.0) == [(1, 2.5), (5, 5)]
    assert alike(ranks, np.inf) == [(1, 9)]
