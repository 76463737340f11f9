"""Where the target of each test pair stands among the scores of all services."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from dagrec_cli.errors import TrainingError

SCORES = 250_000  # compared at a time
UNRANKED = np.iinfo(np.int32).max  # services better than a target that the model does not know


class Outcomes(NamedTuple):
    """What a model made of each test pair; every metric is a function of these four columns.

    Attributes
    ----------
    target
        Class of the true next service.
    predicted
        Class with the highest score, the lowest such class if several share it.
    better
        How many services score strictly higher than the target; :data:`UNRANKED` if the target is
        none that the model knows, so that it has no rank and gains 0 in every metric.
    tied
        How many *other* services have exactly the target's score.
    """

    target: Int[np.ndarray, " pairs"]
    predicted: Int[np.ndarray, " pairs"]
    better: Int[np.ndarray, " pairs"]
    tied: Int[np.ndarray, " pairs"]

    @property
    def mean_rank(self) -> Float[np.ndarray, " pairs"]:
        """The target's rank, from 1, in the middle of the services it ties with; else infinite."""
        rank: Float[np.ndarray, " pairs"] = 1 + self.better + self.tied / 2
        return np.where(self.is_ranked, rank, np.inf)

    @property
    def is_ranked(self) -> Bool[np.ndarray, " pairs"]:
        """Whether the target is a service that the model knows."""
        is_ranked: Bool[np.ndarray, " pairs"] = self.better != UNRANKED
        return is_ranked


def outcomes(
    scores: Float[np.ndarray, "contexts services"],
    context_row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
    chunk: int | None = None,
) -> Outcomes:
    """Compare each pair's target with all services; equal pairs are compared once.

    Parameters
    ----------
    scores
        One row per distinct context. ``-inf`` (a masked service) is allowed: masked services tie
        with each other at the bottom.
    context_row
        Row of ``scores`` that holds the pair's context.
    target
        Class of the true next service, a column of ``scores``.
    chunk
        Distinct pairs compared at a time, so that memory is bounded; None for as many as have
        :data:`SCORES` scores.

    Raises
    ------
    TrainingError
        If a score is NaN.
    ValueError
        If a row or a target lies outside ``scores``.
    """
    n_contexts, n_services = scores.shape
    _check_range("context_row", context_row, n_contexts)
    _check_range("target", target, n_services)
    best = scores.argmax(axis=1)
    # argmax takes NaN for the maximum, so a row holds one exactly if its best score is NaN.
    if np.isnan(scores[np.arange(n_contexts), best]).any():
        raise TrainingError(
            "scores hold NaN: training has run away; try a smaller trainer.learning_rate."
        )

    key = context_row.astype(np.int64) * n_services + target
    distinct, pair = np.unique(key, return_inverse=True)
    rows, columns = np.divmod(distinct, n_services)
    better, tied = np.empty_like(distinct), np.empty_like(distinct)
    chunk = chunk or max(1, SCORES // n_services)
    for start in range(0, len(distinct), chunk):
        part = slice(start, start + chunk)
        block = scores[rows[part]]
        own = scores[rows[part], columns[part]][:, None]
        better[part] = np.count_nonzero(block > own, axis=1)
        tied[part] = np.count_nonzero(block == own, axis=1) - 1
    return Outcomes(target, best[context_row], better[pair], tied[pair])


def _check_range(name: str, values: Int[np.ndarray, " pairs"], size: int) -> None:
    if len(values) and (values.min() < 0 or values.max() >= size):
        raise ValueError(f"{name} spans {values.min()}..{values.max()}; scores have 0..{size - 1}")
