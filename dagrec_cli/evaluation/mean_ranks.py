"""Models over several data sets: their mean ranks, and how far apart these must be.

On each data set the best of ``k`` models has rank 1, and equals share the mean of theirs.
Friedman's test asks whether mean ranks over ``N`` data sets could be those of models all alike:

    ``χ² = (k - 1) Σ_j (R_j - N (k + 1) / 2)² / Σ_ij (r_ij - (k + 1) / 2)²``

with ``R_j`` the sum of a model's ranks; without ties that is the usual form. For few data sets the
chi-squared distribution is no good one, so p counts how often ranks that are permuted within each
data set give as much. Of two models the mean ranks differ significantly (Nemenyi) from

    ``q sqrt(k (k + 1) / (6 N))``

on, with ``q`` the quantile of the range of ``k`` normal variables, over √2. Data sets are the
units: how well each is measured does not count, and five of them tell little.

Source: Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", Journal of Machine
Learning Research 2006, §3.2.2; Phipson and Smyth, "Permutation P-values Should Never Be Zero",
Statistical Applications in Genetics and Molecular Biology 2010.
Differs from the source: p is that of permutations, not of chi-squared or F.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dagrec_cli.evaluation.student import critical

PERMUTATIONS = 99_999
AT_ONCE = 20_000  # permutations in memory
PERMUTATION_SEED = 0
RANKED_DIGITS = 12  # of a figure that count: what rounding tells apart is equal
GRID = np.linspace(-9.0, 9.0, 1801)  # of a sum over a normal variable: exact to 12 digits


class RankComparison(NamedTuple):
    """Mean ranks, and what they can tell.

    Attributes
    ----------
    mean_rank
        Of each model, 1 is best, ``[models]``.
    statistic
        Friedman's χ².
    p_value
        The chance of as much, if all models are alike, in ``(0, 1]``.
    critical_difference
        Between two mean ranks, at the level asked for.
    """

    mean_rank: Float[np.ndarray, " models"]
    statistic: float
    p_value: float
    critical_difference: float


def compare_ranks(figures: Float[np.ndarray, "data models"], alpha: float) -> RankComparison:
    """Compare two models or more on two data sets or more; higher figures are better.

    Parameters
    ----------
    alpha
        The level, in ``(0, 1)``.
    """
    n_data, n_models = figures.shape
    ranks = ranks_within(figures)
    centred = ranks - (n_models + 1) / 2
    scale = (centred**2).sum() / (n_models - 1) or 1.0
    statistic = float((centred.sum(axis=0) ** 2).sum() / scale)
    generator, n_as_much = np.random.default_rng(PERMUTATION_SEED), 0
    for begin in range(0, PERMUTATIONS, AT_ONCE):
        n = min(AT_ONCE, PERMUTATIONS - begin)
        drawn = generator.permuted(np.broadcast_to(centred, (n, *centred.shape)), axis=2)
        drawn_statistic = (drawn.sum(axis=1) ** 2).sum(axis=1) / scale
        n_as_much += int((drawn_statistic >= statistic - 1e-9).sum())
    error = math.sqrt(n_models * (n_models + 1) / (6 * n_data))
    return RankComparison(
        ranks.mean(axis=0),
        statistic,
        (1 + n_as_much) / (1 + PERMUTATIONS),
        critical_range(n_models, alpha) / math.sqrt(2) * error,
    )


def ranks_within(figures: Float[np.ndarray, "data models"]) -> Float[np.ndarray, "data models"]:
    """Return each model's rank on each data set.

    >>> ranks_within(np.array([[0.5, 0.7, 0.5]]))
    array([[2.5, 1. , 2.5]])
    """
    rounded = np.round(figures, RANKED_DIGITS)
    better = (rounded[:, None, :] > rounded[:, :, None]).sum(axis=2)
    equal = (rounded[:, None, :] == rounded[:, :, None]).sum(axis=2)
    ranks: Float[np.ndarray, "data models"] = better + (equal + 1) / 2
    return ranks


def critical_range(n: int, alpha: float) -> float:
    """Return what the range of ``n`` normal variables exceeds with chance ``alpha``.

    >>> round(critical_range(6, 0.05) / 2**0.5, 3)  # Demšar 2006, table 5a
    2.85
    """
    density = np.exp(-(GRID**2) / 2) / math.sqrt(2 * math.pi) * (GRID[1] - GRID[0])
    below = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in GRID])

    def above(width: float) -> float:
        """Return the chance of a larger range: the largest is at x, no other below x - width."""
        least = np.array([math.erfc((width - x) / math.sqrt(2)) / 2 for x in GRID])
        return float(1 - n * (density * (below - least) ** (n - 1)).sum())

    return critical(above, alpha)


def alike(
    mean_rank: Float[np.ndarray, " models"], critical_difference: float
) -> list[tuple[float, float]]:
    """Return the lowest and the highest mean rank of each group that cannot be told apart.

    Groups are as large as can be, have two models or more, and may overlap.
    """
    ordered = sorted(mean_rank.tolist())
    spans = [(low, max(r for r in ordered if r - low < critical_difference)) for low in ordered]
    is_several = [low < high or ordered.count(low) > 1 for low, high in spans]
    groups: list[tuple[float, float]] = []
    for span, several in zip(spans, is_several, strict=True):
        if several and (not groups or span[1] > groups[-1][1]):
            groups.append(span)
    return groups
