"""How far a figure would move with new groups of test compositions and with new seeds; intervals.

Both are about this model, the training set fixed: a group is compositions that are equal, which
have the same outcomes; a new training set is not in it.

A metric of a run is written as a mean over items, so that two rows can be subtracted item by item.
Items are the pairs, next sets or compositions (:func:`~dagrec_cli.evaluation.metrics.gains`), or,
for macro averages, the groups with their jackknife pseudo-values, where the classes stay those of
the test pairs. With ``x`` the items averaged over ``S`` seeds:

- ``groups``: variance of the mean of ``x`` over new groups. With ``w`` the groups' shares of the
  items and ``rho`` the correlation of items within a group (one-way analysis of variance, which
  learns from small groups what a single large one cannot tell), ``phi = rho Σw² + (1 - rho) / N``
  is one over the *effective number* of items, and the variance is ``phi / (1 - phi)`` times that of
  an item; or the sum of the groups' own squared deviations, where that is larger.
- ``seeds``: ``s² / S``, the variance of the seeds' means.

What seeds and groups have in common (another pair is wrong in every seed) is in both, so it is
estimated from the deviations of each seed from ``x`` and taken off once. Each part has a t
distribution of its own degrees of freedom, the effective number less one and ``S - 1``; the whole
is taken to follow their mixture by shares of the variance, so that three seeds weigh like three.

Source: Searle, Casella and McCulloch, "Variance Components", 1992, chapter 3; Bell and McCaffrey,
"Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples", 2002 (squared
deviations); Cochran, "Approximate Significance Levels of the Behrens-Fisher Test", 1964 (mixing);
Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979 (pseudo-values).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, TypedDict

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.config.kinds import NotNegative, Probability
from dagrec_cli.config.metric_names import MACRO, METRICS, Average
from dagrec_cli.evaluation.metrics import evaluate, gains, macro_averages, macro_without_each
from dagrec_cli.evaluation.ranks import Membership, Outcomes
from dagrec_cli.evaluation.student import above, critical, two_sided

Values: TypeAlias = Float[np.ndarray, "_ items"]  # a row per seed; two sides may differ in theirs

LEVEL = 0.95  # share of intervals that are to hold the figure
NEGLIGIBLE = 1e-12  # a smaller part is a zero that the order of summation blurred


class Items(NamedTuple):
    """A metric of some seeds as a mean over items.

    Attributes
    ----------
    value
        What each item adds.
    group
        Number of its group, from 0.
    most
        The items tell no more than so many independent ones.
    """

    value: Values
    group: Int[np.ndarray, " items"]
    most: float


class Spread(NamedTuple):
    """Variance of a figure, in two parts with their degrees of freedom.

    Attributes
    ----------
    effective
        How many independent items would tell as much as those that there are.
    """

    groups: float
    groups_df: float
    seeds: float
    seeds_df: float
    effective: float

    @property
    def variance(self) -> float:
        """Of the figure over new groups and new seeds; infinite for a single group."""
        return self.groups + self.seeds

    def two_sided(self, t: float) -> float:
        """Return the chance of a figure ``t`` standard errors or more off, either way."""
        return self._mixed(lambda df: two_sided(t, df))

    def critical(self, level: float = LEVEL) -> float:
        """Return how many standard errors hold a share of ``level``."""
        return critical(self.two_sided, 1 - level)

    def detectable(self, alpha: float, power: float) -> float:
        """Return how many standard errors off a figure is, if tests see it as often as ``power``.

        Parameters
        ----------
        alpha
            Level of the two-sided test.
        """
        t = self.critical(1 - alpha)
        return critical(lambda shift: 1 - self._mixed(lambda df: above(t, shift, df)), 1 - power)

    def _mixed(self, chance: Callable[[float], float]) -> float:
        """Return a chance by degrees of freedom, mixed by the parts' shares of the variance."""
        share = self.seeds / self.variance if self.variance else 0.0
        of_groups = (1 - share) * chance(self.groups_df)
        return of_groups + (share * chance(self.seeds_df) if share else 0.0)


def numbered(runs: Sequence[Outcomes], membership: Membership | None) -> Membership:
    """Return what the pairs of runs belong to, groups numbered from 0; None: each to its own.

    Raises
    ------
    ValueError
        If there is no run, or they were not tested on the same targets.
    """
    if not runs:
        raise ValueError("a side has no outcomes")
    if any(not np.array_equal(run.target, runs[0].target) for run in runs):
        raise ValueError("runs were not tested on the same pairs in the same order")
    if membership is None:
        return Membership.alone(len(runs[0].target))
    return membership._replace(group=np.unique(membership.group, return_inverse=True)[1])


def items(
    runs: Sequence[Outcomes],
    membership: Membership,
    metrics: Sequence[str] = METRICS,
    average: Average = "step",
) -> dict[str, Items]:
    """Return metrics of runs as means over items; ``membership`` is from :func:`numbered`."""
    size = np.bincount(membership.group)
    n = len(size)
    figures = {}
    for metric in metrics:
        if metric not in MACRO:
            parts = [gains(run, metric, membership, average) for run in runs]
            value = np.stack([part.value for part in parts])
            figures[metric] = Items(value, parts[0].group, n)
    if macro := [metric for metric in metrics if metric in MACRO]:
        effective = float(size.sum()) ** 2 / float((size.astype(float) ** 2).sum())
        whole = [macro_averages(run)._asdict() for run in runs]
        without = [macro_without_each(run, membership.group, n)._asdict() for run in runs]
        for metric in macro:
            both = [np.stack([run[metric] for run in side]) for side in (whole, without)]
            value = n * both[0][:, None] - (n - 1) * both[1]
            figures[metric] = Items(value, np.arange(n), effective)
    return figures


def spread(sides: Sequence[Items]) -> Spread:
    """Return how far the first side's mean, less the second's if there is one, would move.

    Seeds of two sides are drawn apart, even where their numbers are the same: a seed that is lucky
    for one model is not for another.
    """
    group, most = sides[0].group, sides[0].most
    if not group.any():  # one group
        return Spread(np.inf, 1, 0, 1, 1)
    means = [side.value.mean(axis=0) for side in sides]
    (whole,), (effective,) = _of_means((means[0] - sum(means[1:]))[None], group)
    seeds, common, df = _over_seeds(sides, means)
    alone = max(whole - common, whole - seeds, 0.0)  # so that both together are no less than either
    return Spread(alone, max(1.0, min(effective, most) - 1), seeds, df, min(effective, most))


class MetricSummary(TypedDict):
    """One metric of a run: mean and sample standard deviation over seeds, and its interval."""

    mean: Probability
    std: NotNegative | None
    low: Probability
    high: Probability


def metric_summaries(
    per_seed: Sequence[Outcomes],
    membership: Membership | None = None,
    metrics: Sequence[str] = METRICS,
    average: Average = "step",
) -> dict[str, MetricSummary]:
    """Return mean, spread over seeds (None for one seed) and interval of metrics.

    The estimand is this model's figure over new groups and new seeds, the training set fixed. With
    one seed nothing is known of others: the interval is then about the model that was trained.
    Simulated (``tests/evaluation/test_coverage.py``), 95 % intervals of means over compositions, in
    43 groups of up to 18, cover .97 with one seed and .96 with three.

    Parameters
    ----------
    per_seed
        Outcomes of each seed, of the same test pairs in the same order.
    membership
        What the pairs belong to; None if every pair is a group.
    average
        Over what a figure is the mean, see :func:`~dagrec_cli.evaluation.metrics.gains`.

    Raises
    ------
    ValueError
        If there is no outcome, or the seeds were not tested on the same targets.
    """
    membership = numbered(per_seed, membership)
    values = [evaluate(pairs, metrics, membership, average) for pairs in per_seed]
    summaries = {}
    for name, parts in items(per_seed, membership, metrics, average).items():
        column = np.array([value[name] for value in values])
        mean = float(column.mean())
        low, high = bounds(mean, spread([parts]), name)
        std = float(column.std(ddof=1)) if len(per_seed) > 1 else None
        summaries[name] = MetricSummary(mean=mean, std=std, low=low, high=high)
    return {name: summaries[name] for name in metrics}


def bounds(mean: float, spread: Spread, name: str) -> tuple[float, float]:
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
    k = spread.critical() ** 2 * relative
    middle, half = mean + k / 2, np.sqrt(k * inside + k * k / 4)
    low, high = (middle - half) / (1 + k), (middle + half) / (1 + k)
    return float(min(mean, max(low, 0.0))), float(max(mean, min(high, 1.0)))


def _over_seeds(
    sides: Sequence[Items], means: Sequence[Float[np.ndarray, " items"]]
) -> tuple[float, float, float]:
    """Return the variance between seeds, what groups share in it, and the degrees of freedom."""
    between, common, squares = 0.0, 0.0, 0.0
    for side, mean in zip(sides, means, strict=True):
        n_seeds = len(side.value)
        if n_seeds > 1:
            part = float(side.value.mean(axis=1).var(ddof=1)) / n_seeds
            between, squares = between + part, squares + part**2 / (n_seeds - 1)
            common += (
                float(_of_means(side.value - mean, side.group)[0].sum()) / (n_seeds - 1) / n_seeds
            )
    return between, common, between**2 / squares if squares else 1.0


def _of_means(
    rows: Values, number: Int[np.ndarray, " items"]
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Return the variance over new groups of each row's mean, and the effective number of items."""
    n: Int[np.ndarray, " groups"] = np.bincount(number)
    n_items, n_groups, share = rows.shape[1], len(n), n / rows.shape[1]
    rest = rows - rows.mean(axis=1, keepdims=True)
    sums = np.stack([np.bincount(number, row, n_groups) for row in rest])
    total, between = (rest**2).sum(axis=1), (sums**2 / n).sum(axis=1)
    rho = _correlation(total, between, n)
    phi = rho * (share**2).sum() + (1 - rho) / n_items
    pooled = total / n_items * phi / (1 - phi)
    between = ((sums / n_items) ** 2 / (1 - 2 * share + (share**2).sum())).sum(axis=1)
    return np.maximum(pooled, between), 1 / phi


def _correlation(
    total: Float[np.ndarray, " rows"],
    between: Float[np.ndarray, " rows"],
    n: Int[np.ndarray, " groups"],
) -> Float[np.ndarray, " rows"]:
    """Return the correlation of items within a group; 1 where they do not differ at all."""
    n_items, n_groups = n.sum(), len(n)
    if n_items == n_groups:
        return np.ones_like(total)
    within = np.maximum(total - between, 0) / (n_items - n_groups)
    mean_size = (n_items - (n.astype(float) ** 2).sum() / n_items) / (n_groups - 1)
    extra = np.maximum(between / (n_groups - 1) - within, 0) / mean_size
    correlation = np.ones_like(total)
    is_told = within > NEGLIGIBLE * total
    correlation[is_told] = extra[is_told] / (extra + within)[is_told]
    return correlation
