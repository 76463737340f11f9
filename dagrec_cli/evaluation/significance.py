"""Whether one row of a table beats another by more than the choice of test pairs explains."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dagrec_cli.evaluation.bootstrap import Units, percentile_bounds, resampled_means, seed_values
from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.evaluation.ranks import Outcomes

ROUNDING = 1e-12  # a smaller difference is a zero that the order of summation blurred


class Difference(NamedTuple):
    """How much larger a metric is for ``a`` than for ``b``, its interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def paired_difference(
    a: Sequence[Outcomes],
    b: Sequence[Outcomes],
    unit: Units = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Compare two models on the same resamples of the test data, metric by metric.

    With d the observed difference and d* the R resampled ones, the interval is the percentiles of
    d*, and ``p = (1 + #{|d* - d| >= |d|}) / (1 + R)``: how often a difference as large arises when
    resamples are centred on "no difference". (The share of d* beyond 0 would be no test: six pairs
    of 305, all in favour of one side, would give p = .005, where an exact sign test gives .031.)
    Where the sides differ in m units only, p is at least ``2 / 2^m``, the least that an exact test
    which swaps the sides within units could give: resamples of a few units know too little.

    Parameters
    ----------
    a, b
        Outcomes of each seed of the two models, all of the same test pairs in the same order; the
        number of seeds may differ.
    unit, n_resamples, seed, level
        As in :func:`~dagrec_cli.evaluation.bootstrap.intervals`.

    Raises
    ------
    ValueError
        If a side has no outcomes, or the targets are not the same in all of them.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 16.4; Berg-
    Kirkpatrick et al., "An Empirical Investigation of Statistical Significance in NLP", 2012, §2.
    """
    means = resampled_means([a, b], unit, n_resamples=n_resamples, seed=seed)
    resampled = means[0] - means[1]
    resampled[np.abs(resampled) < ROUNDING] = 0
    observed = seed_values(a).mean(axis=0) - seed_values(b).mean(axis=0)
    is_as_large = np.abs(resampled - observed) >= np.abs(observed) - ROUNDING
    p_values = (1 + np.count_nonzero(is_as_large, axis=0)) / (1 + n_resamples)
    p_values = np.maximum(p_values, min(1, 2.0 ** (1 - _n_units_that_differ(a, b, unit))))
    bounds = percentile_bounds(resampled, level)
    return {
        name: Difference(float(difference), *bounds[name], float(p_value))
        for name, difference, p_value in zip(METRICS, observed, p_values, strict=True)
    }


def _n_units_that_differ(a: Sequence[Outcomes], b: Sequence[Outcomes], unit: Units) -> int:
    sides = [
        np.mean([(run.predicted, run.better, run.tied) for run in side], axis=0) for side in (a, b)
    ]
    differ = np.flatnonzero(np.abs(sides[0] - sides[1]).max(axis=0) > ROUNDING)
    return len(differ if unit is None else np.unique(unit[differ]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several tests so that the chance of any false alarm stays at the level.

    The k-th smallest of m is multiplied by ``m - k + 1``; no adjusted value falls below that of a
    smaller p-value or exceeds 1.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.sort(p_values) * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return adjusted.tolist()
