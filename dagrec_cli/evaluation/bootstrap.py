"""How far a metric would move with other test data: percentile bootstrap intervals.

A resample draws as many units as there are, with replacement, each with all of its pairs. A unit is
a composition: pairs of one are alike, and intervals that took them for independent would be too
narrow. Runs of several seeds saw the same pairs, so they share each resample and a metric is
averaged over the seeds: the interval speaks of the mean that a table shows.

Pairs with equal outcomes in all runs are interchangeable, so a resample is a count per *distinct*
outcome, and all resamples together are one matrix of weights for the metrics.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8 (units drawn whole).
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypedDict

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.evaluation.metrics import METRICS, Weights, evaluate_batch
from dagrec_cli.evaluation.ranks import Outcomes

Units: TypeAlias = Int[np.ndarray, " pairs"] | None

CELLS = 2_000_000  # largest matrix of weights that is held at a time


class Summary(TypedDict):
    """One metric of a run: mean and sample standard deviation over seeds, and its interval."""

    mean: float
    std: float | None
    low: float
    high: float


def summarise(
    per_seed: Sequence[Outcomes],
    unit: Units = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Summary]:
    """Return mean, spread over seeds (None for one seed) and interval of every metric.

    Parameters are those of :func:`intervals`.
    """
    bounds = intervals(per_seed, unit, n_resamples=n_resamples, seed=seed, level=level)
    values = seed_values(per_seed)
    return {
        name: Summary(
            mean=float(column.mean()),
            std=float(column.std(ddof=1)) if len(per_seed) > 1 else None,
            low=bounds[name][0],
            high=bounds[name][1],
        )
        for name, column in zip(METRICS, values.T, strict=True)
    }


def intervals(
    per_seed: Sequence[Outcomes],
    unit: Units = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Return the percentile interval ``(low, high)`` of every metric's mean over seeds.

    Parameters
    ----------
    per_seed
        Outcomes of each seed, of the same test pairs in the same order.
    unit
        Number of the unit that each pair belongs to; None if every pair is one.
    n_resamples
        Resamples of the units, 1 or more.
    seed
        Seed of the resampling.
    level
        Share of resamples inside the interval, in ``(0, 1)``.

    Raises
    ------
    ValueError
        If there is no outcome, or the seeds were not tested on the same targets.
    """
    (means,) = resampled_means([per_seed], unit, n_resamples=n_resamples, seed=seed)
    return percentile_bounds(means, level)


def seed_values(per_seed: Sequence[Outcomes]) -> Float[np.ndarray, "seeds metrics"]:
    """Return the metrics of each seed on the test pairs as they are."""
    return np.stack([_table(pairs) for pairs in per_seed])


def resampled_means(
    groups: Sequence[Sequence[Outcomes]], unit: Units, *, n_resamples: int, seed: int
) -> Float[np.ndarray, "groups resamples metrics"]:
    """Return the metrics, averaged within each group, on resamples that all groups share."""
    if not all(groups):
        raise ValueError("a group has no outcomes")
    runs = [run for group in groups for run in group]
    distinct, outcome_of_pair = _compress(runs)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    if unit is None:
        unit = np.arange(len(outcome_of_pair))
    chunks = []
    for counts in _resamples(outcome_of_pair, unit, n_resamples, np.random.default_rng(seed)):
        tables = np.stack([_table(pairs, counts) for pairs in distinct])
        chunks.append(np.stack([part.mean(axis=0) for part in np.split(tables, ends)]))
    return np.concatenate(chunks, axis=1)


def percentile_bounds(
    values: Float[np.ndarray, "resamples metrics"], level: float
) -> dict[str, tuple[float, float]]:
    """Return the bounds between which the middle ``level`` of each metric's resamples lies."""
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return dict(zip(METRICS, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _table(pairs: Outcomes, weights: Weights = None) -> Float[np.ndarray, "*batch metrics"]:
    values = evaluate_batch(pairs, weights)
    return np.stack([values[name] for name in METRICS], axis=-1)


def _compress(runs: Sequence[Outcomes]) -> tuple[list[Outcomes], Int[np.ndarray, " pairs"]]:
    """Return each run's distinct outcomes (those of one position in all runs go together).

    The second result is the position that each pair's outcome has among them.
    """
    if any(not np.array_equal(run.target, runs[0].target) for run in runs):
        raise ValueError("runs were not tested on the same pairs in the same order")
    columns = np.stack([column for run in runs for column in run])
    distinct, position = np.unique(columns, axis=1, return_inverse=True)
    return [Outcomes(*four) for four in distinct.reshape(len(runs), 4, -1)], position.reshape(-1)


def _resamples(
    outcome_of_pair: Int[np.ndarray, " pairs"],
    unit: Int[np.ndarray, " pairs"],
    n_resamples: int,
    rng: np.random.Generator,
) -> Iterator[Float[np.ndarray, "resamples outcomes"]]:
    """Yield how often each distinct outcome is drawn, in chunks of bounded size."""
    units, unit_of_pair = np.unique(unit, return_inverse=True)
    n_units, n_outcomes = len(units), outcome_of_pair.max() + 1
    rows = max(1, CELLS // n_outcomes)
    for start in range(0, n_resamples, rows):
        counts = np.empty((min(rows, n_resamples - start), n_outcomes))
        for row in counts:
            times = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
            row[:] = np.bincount(outcome_of_pair, times[unit_of_pair], n_outcomes)
        yield counts
