"""A row's figures: mean over seeds, spread over seeds, and the interval of every metric.

The interval is about this model's figure over *new groups and new seeds*, the training set fixed: a
group is compositions that are equal, which have the same outcomes; a new training set is not in it.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from dagrec_cli.config.kinds import NotNegative, Probability
from dagrec_cli.evaluation.metrics import MACRO, METRICS, evaluate
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.uncertainty import Groups, Spread, Units, items, spread

LEVEL = 0.95


class MetricSummary(TypedDict):
    """One metric of a run: mean and sample standard deviation over seeds, and its interval."""

    mean: Probability
    std: NotNegative | None
    low: Probability
    high: Probability


def metric_summaries(
    per_seed: Sequence[Outcomes], unit: Units = None, *, level: float = LEVEL
) -> dict[str, MetricSummary]:
    """Return mean, spread over seeds (None for one seed) and interval of every metric.

    The estimand is this model's figure over new groups and new seeds, the training set fixed. With
    one seed nothing is known of others: the interval is then about the model that was trained.

    Parameters
    ----------
    per_seed
        Outcomes of each seed, of the same test pairs in the same order.
    unit
        Number of the group that each pair belongs to; None if every pair is one.
    level
        Share of intervals that are to hold the figure, in ``(0, 1)``.

    Raises
    ------
    ValueError
        If there is no outcome, or the seeds were not tested on the same targets.
    """
    groups = Groups.of(per_seed, unit)
    values = [evaluate(pairs) for pairs in per_seed]
    summaries = {}
    for name, parts in items(per_seed, groups).items():
        column = np.array([value[name] for value in values])
        mean = float(column.mean())
        low, high = _bounds(mean, spread([parts], groups, name), name, level)
        std = float(column.std(ddof=1)) if len(per_seed) > 1 else None
        summaries[name] = MetricSummary(mean=mean, std=std, low=low, high=high)
    return {name: summaries[name] for name in METRICS}


def _bounds(mean: float, spread: Spread, name: str, level: float) -> tuple[float, float]:
    """Return the figures between 0 and 1 that a mean is not too far from.

    A figure ``p`` is inside if ``(mean - p)² <= t² v(p)``, where the variance ``v`` shrinks towards
    0 and 1 as that of a share does. Outcomes that are all alike do not show how rare others are:
    a mean over pairs is given the variance of one more outcome, and all right or all wrong that of
    as many outcomes as there are in effect.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927;
    Korn and Graubard, "Confidence Intervals for Proportions with Small Expected Number of Positive
    Counts Estimated from Survey Data", 1998 (effective numbers).
    """
    if np.isinf(spread.variance):
        return 0.0, 1.0
    inside = mean * (1 - mean)
    relative = spread.variance / inside if inside > 0 else 1 / spread.effective
    if name not in MACRO:
        relative += 1 / (spread.effective + 2) ** 2
    k = spread.critical(level) ** 2 * relative
    middle, half = mean + k / 2, np.sqrt(k * inside + k * k / 4)
    low, high = (middle - half) / (1 + k), (middle + half) / (1 + k)
    return float(min(mean, max(low, 0.0))), float(max(mean, min(high, 1.0)))
