"""Calibration: whether a model is right as often as it believes.

Source: Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, eq. 2
and 3; Nguyen & O'Connor, "Posterior Calibration and Exploratory Analysis for Natural Language
Processing Models", EMNLP 2015 (bins of equal counts).
Differs from the sources: each bin has an interval, over groups of equal compositions.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from dagrec_cli.evaluation.uncertainty import Items, bounds, spread

BINS = 10
LEAST_PAIRS = 20  # of a bin, where there are so many


class Bin(NamedTuple):
    """Pairs whose first service has a like probability.

    Attributes
    ----------
    confidence
        Mean probability.
    accuracy, low, high
        Share of pairs that are right, and its 95 % interval over groups.
    n
        How many pairs there are.
    """

    confidence: float
    accuracy: float
    low: float
    high: float
    n: int


def reliability(
    confidence: Float[np.ndarray, " pairs"],
    is_right: Bool[np.ndarray, " pairs"],
    group: Int[np.ndarray, " pairs"],
) -> list[Bin]:
    """Return up to :data:`BINS` bins of about as many pairs each; equal probabilities share one.

    Parameters
    ----------
    confidence
        Probability of the first service; of several seeds one after another.
    group
        Of equal compositions, whose outcomes are no news to each other.
    """
    n_bins = max(1, min(BINS, len(confidence) // LEAST_PAIRS))
    cuts = np.quantile(confidence, np.arange(1, n_bins) / n_bins)
    number = np.searchsorted(cuts, confidence, side="right")
    bins = []
    for k in np.unique(number):
        right = is_right[number == k].astype(float)
        names, of_group = np.unique(group[number == k], return_inverse=True)
        mean = float(right.mean())
        of_means = spread([Items(right[None], of_group, len(names))])
        low, high = bounds(mean, of_means, "accuracy")
        bins.append(Bin(float(confidence[number == k].mean()), mean, low, high, len(right)))
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: how far off a bin is, in the mean over pairs."""
    off = [abs(each.confidence - each.accuracy) for each in bins]
    return float(np.average(off, weights=[each.n for each in bins]))
