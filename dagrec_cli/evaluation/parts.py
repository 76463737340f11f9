"""Figures of a row whose split has several parts: folds, and repeats of them or of one test.

A row's figure is the mean over its parts of a part's figure, which is the mean over its seeds. Its
interval, and its test against another row, are about *a new training set and new groups*: other
data of this size, drawn like these. (Those of a single part keep the training set.) With ``s²`` the
variance between the figures of ``n`` parts (of two rows: between their differences, part by part),
each of which tests on ``share`` of the pairs and trains on the rest, the variance of their mean is

    ``s² (max(1 / n, share) + share / (1 - share))``

The second term is for what the training sets of the parts have in common. The first is ``1 / n``
until every pair was tested once: what is drawn again is the same data, so more repeats tell more of
``s²`` and nothing of other data. For the same reason ``t`` has ``n - 1`` degrees of freedom, but no
more than ``2 / share - 1``, nor than the effective number of groups less one.

In simulated data (30 and 100 groups of log-normal sizes, 600 data sets; a counting model and
popularity; 5 folds, 4 times that, 20 times 30 %) 95 % intervals hold the figure .91 to .99 of the
times, and of two models that are equally good one seems better at the 5 % level in 3 to 9 %. As
published (``1 / n``, ``n - 1``) these are .78 to .96 and 5 to 20 %; without the second term, 14 to
66 % (``tests/evaluation/test_parts.py``).

Source: Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 2003, §3 (the
corrected resampled t); Bouckaert and Frank, "Evaluating the Replicability of Significance Tests for
Comparing Learning Algorithms", PAKDD 2004 (of folds that are drawn repeatedly).
Differs from the source: the first term is no less than the share of a test, and the degrees of
freedom are bounded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dagrec_cli.config.metric_names import METRICS, Average
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import Membership, Outcomes
from dagrec_cli.evaluation.significance import (
    Difference,
    groups_that_differ,
    judged,
    paired_difference,
)
from dagrec_cli.evaluation.uncertainty import MetricSummary, Spread, bounds, metric_summaries


class PartOutcomes(NamedTuple):
    """What a model made of one part of a split.

    Attributes
    ----------
    outcomes
        Of each seed.
    membership
        What the pairs belong to.
    share
        Pairs tested on, of those and the ones trained on, in ``(0, 1)``.
    """

    outcomes: Sequence[Outcomes]
    membership: Membership
    share: float

    def figures(self, metrics: Sequence[str], average: Average) -> dict[str, float]:
        """Return metrics, each the mean over the seeds."""
        seeds = [evaluate(seed, metrics, self.membership, average) for seed in self.outcomes]
        return {metric: float(np.mean([seed[metric] for seed in seeds])) for metric in metrics}


def pooled(parts: Sequence[PartOutcomes]) -> PartOutcomes:
    """Return parts that share no pair as one, seed by seed; one alone stays as it is."""
    if len(parts) == 1:
        return parts[0]
    seeds = zip(*(part.outcomes for part in parts), strict=False)
    joined = [Outcomes(*map(np.concatenate, zip(*of_seed, strict=True))) for of_seed in seeds]
    membership = zip(*(part.membership for part in parts), strict=True)
    n_tested = [len(part.membership.group) for part in parts]
    share = float(np.average([part.share for part in parts], weights=n_tested))
    return PartOutcomes(joined, Membership(*map(np.concatenate, membership)), share)


def summaries(
    parts: Sequence[PartOutcomes],
    metrics: Sequence[str] = METRICS,
    average: Average = "step",
) -> dict[str, MetricSummary]:
    """Return mean, spread and interval of metrics, over the parts if there are several.

    Raises
    ------
    ValueError
        As :func:`~dagrec_cli.evaluation.uncertainty.metric_summaries`, which a single part has.
    """
    if len(parts) == 1:
        return metric_summaries(parts[0].outcomes, parts[0].membership, metrics, average)
    figures = [part.figures(metrics, average) for part in parts]
    return {
        metric: _summary([each[metric] for each in figures], parts, metric) for metric in metrics
    }


def over_parts(
    ceilings: Sequence[Mapping[str, Any]], parts: Sequence[PartOutcomes]
) -> dict[str, Mapping[str, Any]]:
    """Return a ceiling's metrics over parts, each of which has its own.

    Parameters
    ----------
    parts
        What a model made of them, for the interval.
    """
    if len(parts) == 1:
        return dict(ceilings[0])
    return {
        metric: _summary([each[metric]["mean"] for each in ceilings], parts, metric)
        for metric in ceilings[0]
    }


def over_blocks(
    ceilings: Sequence[Mapping[str, Any]], weights: Sequence[float]
) -> dict[str, Mapping[str, Any]]:
    """Return a ceiling's metrics over parts that are one test, without intervals.

    Parameters
    ----------
    weights
        What each part counts: its test pairs, or compositions.
    """
    return {
        metric: {"mean": float(np.average([c[metric]["mean"] for c in ceilings], weights=weights))}
        for metric in ceilings[0]
    }


def difference(
    a: Sequence[PartOutcomes],
    b: Sequence[PartOutcomes],
    metric: str,
    average: Average = "step",
    n_tests: int = 1,
) -> Difference:
    """Compare two models on the same parts, in the same order.

    A single part has :func:`~dagrec_cli.evaluation.significance.paired_difference`, which says what
    ``n_tests`` is.

    Raises
    ------
    ValueError
        If a side has no outcomes, or the targets are not the same in all of them.
    """
    if len(a) == 1:
        sides = (a[0].outcomes, b[0].outcomes)
        return paired_difference(*sides, a[0].membership, metric, average, n_tests=n_tests)
    pairs = list(zip(a, b, strict=True))
    differ = {
        group
        for one, other in pairs
        for group in groups_that_differ(one.outcomes, other.outcomes, one.membership.group).tolist()
    }
    one, other = ([part.figures([metric], average)[metric] for part in side] for side in (a, b))
    figures = np.subtract(one, other).tolist()
    return judged(
        float(np.mean(figures)),
        _spread_over_parts(figures, a),
        n_differ=len(differ),
        n_groups=len(np.unique(np.concatenate([part.membership.group for part in a]))),
        n_tests=n_tests,
    )


def _summary(figures: Sequence[float], parts: Sequence[PartOutcomes], metric: str) -> MetricSummary:
    mean = float(np.mean(figures))
    low, high = bounds(mean, _spread_over_parts(figures, parts), metric)
    return MetricSummary(mean=mean, std=float(np.std(figures, ddof=1)), low=low, high=high)


def _spread_over_parts(figures: Sequence[float], parts: Sequence[PartOutcomes]) -> Spread:
    """Return how far the mean of the parts' figures would move with other data."""
    n, share = len(parts), float(np.mean([part.share for part in parts]))
    variance = float(np.var(figures, ddof=1)) * (max(1 / n, share) + share / (1 - share))
    group = np.concatenate([part.membership.group for part in parts])
    size = np.unique(group, return_counts=True)[1].astype(float)
    effective = float(size.sum() ** 2 / (size**2).sum())
    df = max(1.0, min(n, effective, 2 / share) - 1)
    return Spread(variance, df, seeds=0.0, seeds_df=1.0, effective=effective)
