"""Whether one row of a table beats another by more than groups and seeds explain."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from dagrec_cli.config.metric_names import Average
from dagrec_cli.evaluation.ranks import Membership, Outcomes
from dagrec_cli.evaluation.uncertainty import LEVEL, NEGLIGIBLE, Spread, items, numbered, spread

POWER = 0.8
LEAST_P = 1e-4  # no table's data say more than this about the far tail of a distribution


class Difference(NamedTuple):
    """How much larger a metric is for ``a`` than for ``b``, its interval and two-sided p-value.

    Attributes
    ----------
    is_floor
        True if ``p_value`` is the least that these groups could show: it is that or less.
    detectable
        The smallest true difference that such a test sees in four cases of five; None if it could
        see none.
    """

    difference: float
    low: float
    high: float
    p_value: float
    is_floor: bool
    detectable: float | None


def paired_difference(
    a: Sequence[Outcomes],
    b: Sequence[Outcomes],
    membership: Membership | None = None,
    metric: str = "accuracy",
    average: Average = "step",
    *,
    n_tests: int = 1,
) -> Difference:
    """Compare two models on the same test pairs.

    The estimand is the difference of the two models' figures over new groups and new seeds, the
    training set fixed. Groups are paired, seeds are not: those of two models are drawn apart, even
    under the same number. The p-value is that of the difference over its standard error, by
    :mod:`~dagrec_cli.evaluation.uncertainty`, where one more outcome is added that differs by 1, so
    that models which agreed on all pairs are not taken for equal on all others.

    Where the sides differ in m groups, p is at least ``2 / 2^m``, the least that an exact test
    could give which swaps the sides within groups, and at least :data:`LEAST_P`. The interval
    excludes 0 only if p is below ``1 - LEVEL``.

    Models whose outcomes spread as these do, and whose figures differ by ``detectable``, have a p
    below ``(1 - LEVEL) / n_tests`` with a chance of :data:`POWER` (noncentral t; simulated: .72 to
    .84). Few groups cannot show a p so small, whatever the difference.

    Parameters
    ----------
    a, b
        Outcomes of each seed of the two models, all of the same test pairs in the same order; the
        number of seeds may differ. Of a single seed the spread is unknown: then the figures are
        about the models that were trained.
    metric
        What is compared.
    n_tests
        How many tests share the level ``1 - LEVEL`` (Bonferroni's share, Holm's strictest step).
    membership, average
        As in :func:`~dagrec_cli.evaluation.uncertainty.metric_summaries`.

    Raises
    ------
    ValueError
        If a side has no outcomes, or the targets are not the same in all of them.

    Source: Agresti and Min, "Simple Improved Confidence Intervals for Comparing Matched
    Proportions", 2005 (added outcomes).
    """
    if not a or not b:
        raise ValueError("a side has no outcomes")
    membership = numbered([*a, *b], membership)
    sides = [items(runs, membership, [metric], average)[metric] for runs in (a, b)]
    return judged(
        float(sides[0].value.mean() - sides[1].value.mean()),
        spread(sides),
        n_differ=len(groups_that_differ(a, b, membership.group)),
        n_groups=int(membership.group.max()) + 1,
        n_tests=n_tests,
    )


def judged(
    difference: float,
    uncertainty: Spread,
    *,
    n_differ: int,
    n_groups: int,
    n_tests: int = 1,
) -> Difference:
    """Return a difference with its interval and p-value, see :func:`paired_difference`.

    Parameters
    ----------
    uncertainty
        How far it would move.
    n_differ, n_groups
        In how many groups the sides differ, and of how many.
    """
    if abs(difference) < NEGLIGIBLE:
        difference = 0.0
    if np.isinf(uncertainty.variance):
        return Difference(difference, -1.0, 1.0, 1.0, False, None)
    error = math.sqrt(uncertainty.variance + 1 / (uncertainty.effective + 2) ** 2)
    p_value = float(uncertainty.two_sided(float(difference / error)))
    floor = _floor(n_differ)
    half = float(error * uncertainty.critical())
    if floor > 1 - LEVEL:
        half = max(half, abs(difference))
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    alpha = (1 - LEVEL) / n_tests
    is_blind = _floor(n_groups) > alpha  # whatever the difference
    detectable = np.inf if is_blind else error * uncertainty.detectable(alpha, POWER)
    return Difference(
        difference,
        *(low, high, max(p_value, floor), bool(p_value <= floor < 1)),
        float(detectable) if detectable <= 1 else None,
    )


def _floor(n_groups: int) -> float:
    """Return the least p that so many groups can show in which two sides differ."""
    return min(1.0, max(LEAST_P, 2.0 ** (1 - n_groups)))


def groups_that_differ(
    a: Sequence[Outcomes], b: Sequence[Outcomes], group: Int[np.ndarray, " pairs"]
) -> Int[np.ndarray, " groups"]:
    """Return the groups in which two sides differ."""
    sides = [
        np.mean([(run.predicted, run.better, run.tied) for run in side], axis=0) for side in (a, b)
    ]
    differ = np.flatnonzero(np.abs(sides[0] - sides[1]).max(axis=0) > NEGLIGIBLE)
    found: Int[np.ndarray, " groups"] = np.unique(group[differ])
    return found


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
