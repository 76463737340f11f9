"""How far a figure would move with new groups of test compositions and with new seeds.

A metric of a run is written as a mean over items, so that two rows can be subtracted item by item.
Items are the pairs, or, for macro averages, the groups with their jackknife pseudo-values, where
the classes stay those of the test pairs. With ``x`` the items averaged over ``S`` seeds:

- ``groups``: variance of the mean of ``x`` over new groups. With ``w`` the groups' shares of the
  pairs and ``rho`` the correlation of pairs within a group (one-way analysis of variance, which
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

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.evaluation.metrics import (
    MACRO,
    METRICS,
    gains,
    macro_averages,
    macro_without_each,
)
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.student import critical, two_sided

Units: TypeAlias = Int[np.ndarray, " pairs"] | None
Items: TypeAlias = Float[np.ndarray, "_ items"]  # a row per seed; two sides may differ in theirs

NEGLIGIBLE = 1e-12  # a smaller part is a zero that the order of summation blurred


class Groups(NamedTuple):
    """The groups of test pairs, numbered from 0, and how many pairs each has."""

    number: Int[np.ndarray, " pairs"]
    size: Int[np.ndarray, " groups"]

    @classmethod
    def of(cls, runs: Sequence[Outcomes], unit: Units) -> "Groups":
        """Return the groups of what runs were tested on; without units each pair is one.

        Raises
        ------
        ValueError
            If there is no run, or they were not tested on the same targets.
        """
        if not runs:
            raise ValueError("a side has no outcomes")
        if any(not np.array_equal(run.target, runs[0].target) for run in runs):
            raise ValueError("runs were not tested on the same pairs in the same order")
        unit = np.arange(len(runs[0].target)) if unit is None else unit
        _, number, size = np.unique(unit, return_inverse=True, return_counts=True)
        return cls(number, size)

    @property
    def effective(self) -> float:
        """How many groups of one size would tell as much as these: ``(Σn)² / Σn²``."""
        return float(self.size.sum()) ** 2 / float((self.size.astype(float) ** 2).sum())


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
        share = self.seeds / self.variance if self.variance else 0.0
        chance = (1 - share) * two_sided(t, self.groups_df)
        return chance + (share * two_sided(t, self.seeds_df) if share else 0.0)

    def critical(self, level: float) -> float:
        """Return how many standard errors hold a share of ``level``."""
        return critical(self.two_sided, 1 - level)


def items(
    runs: Sequence[Outcomes], groups: Groups, metrics: Sequence[str] = METRICS
) -> dict[str, Items]:
    """Return metrics of each run, each written as a mean over pairs or over groups."""
    figures = {
        metric: np.stack([gains(run, metric) for run in runs])
        for metric in metrics
        if metric not in MACRO
    }
    if macro := [metric for metric in metrics if metric in MACRO]:
        n = len(groups.size)
        whole = [macro_averages(run)._asdict() for run in runs]
        without = [macro_without_each(run, groups.number, n)._asdict() for run in runs]
        for metric in macro:
            both = [np.stack([run[metric] for run in side]) for side in (whole, without)]
            figures[metric] = n * both[0][:, None] - (n - 1) * both[1]
    return figures


def spread(sides: Sequence[Items], groups: Groups, metric: str) -> Spread:
    """Return how far the first side's mean, less the second's if there is one, would move.

    Seeds of two sides are drawn apart, even where their numbers are the same: a seed that is lucky
    for one model is not for another.
    """
    n_groups = len(groups.size)
    if n_groups == 1:
        return Spread(np.inf, 1, 0, 1, 1)
    number, most = groups.number, float(n_groups)
    if metric in MACRO:
        number, most = np.arange(n_groups), groups.effective
    means = [side.mean(axis=0) for side in sides]
    (whole,), (effective,) = _of_means((means[0] - sum(means[1:]))[None], number)
    seeds, common, df = _over_seeds(sides, means, number)
    alone = max(whole - common, whole - seeds, 0.0)  # so that both together are no less than either
    return Spread(alone, max(1.0, min(effective, most) - 1), seeds, df, min(effective, most))


def _over_seeds(
    sides: Sequence[Items], means: Sequence[Float[np.ndarray, " items"]], number: np.ndarray
) -> tuple[float, float, float]:
    """Return the variance between seeds, what groups share in it, and the degrees of freedom."""
    between, common, squares = 0.0, 0.0, 0.0
    for side, mean in zip(sides, means, strict=True):
        n_seeds = len(side)
        if n_seeds > 1:
            part = float(side.mean(axis=1).var(ddof=1)) / n_seeds
            between, squares = between + part, squares + part**2 / (n_seeds - 1)
            common += float(_of_means(side - mean, number)[0].sum()) / (n_seeds - 1) / n_seeds
    return between, common, between**2 / squares if squares else 1.0


def _of_means(
    rows: Items, number: Int[np.ndarray, " items"]
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
