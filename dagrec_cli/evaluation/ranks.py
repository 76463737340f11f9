"""Where the target of each test pair stands among all services.

Services that the mask allows come first, by score; those that it rules out follow, by their own
scores. So every known service has a rank. Adding a large negative number to a score would say the
same, but for its rounding: at -1e9 a float of 32 bits has steps of 64, and all would tie.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from dagrec_cli.config.metric_names import Average
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import TrainingError

CHUNK_SCORES = 250_000  # compared at a time
RAN_AWAY = (
    "scores hold NaN, or an infinite one is best: training has run away; train it again "
    "with a smaller trainer.learning_rate."
)
UNRANKED = np.iinfo(np.int32).max  # services better than a target that the model does not know

RuledOut: TypeAlias = Bool[np.ndarray, "contexts services"] | None


class Outcomes(NamedTuple):
    """What a model made of each test pair; every metric is a function of these four columns.

    Attributes
    ----------
    target
        Class of the true next service.
    predicted
        Class of the first service, the lowest such class if several share that place.
    better
        How many services stand before the target; :data:`UNRANKED` if the target is none that the
        model knows, so that it has no rank and gains 0 in every metric.
    tied
        How many *other* services share the target's place.
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

    def take(self, rows: Int[np.ndarray, " rows"] | Bool[np.ndarray, " pairs"]) -> "Outcomes":
        """Return those of some pairs."""
        return Outcomes(*(column[rows] for column in self))

    @property
    def is_ranked(self) -> Bool[np.ndarray, " pairs"]:
        """Whether the target is a service that the model knows."""
        is_ranked: Bool[np.ndarray, " pairs"] = self.better != UNRANKED
        return is_ranked


class Membership(NamedTuple):
    """What each test pair belongs to, by number.

    Attributes
    ----------
    group
        Of equal compositions, whose outcomes are no news to each other.
    composition
        That the pair is a step of.
    context
        What leads to that step. The pairs of one context in one composition are its next set: all
        services that follow there, as far as they are tested.
    """

    group: Int[np.ndarray, " pairs"]
    composition: Int[np.ndarray, " pairs"]
    context: Int[np.ndarray, " pairs"]

    @classmethod
    def of(cls, dataset: Dataset, rows: Rows) -> "Membership":
        """Return what some pairs of a data set belong to."""
        pairs = dataset.pairs.take(rows)
        return cls(dataset.group[pairs.composition], pairs.composition, pairs.context)

    @classmethod
    def alone(cls, n_pairs: int) -> "Membership":
        """Return the membership of pairs that have nothing in common."""
        return cls(*[np.arange(n_pairs)] * 3)

    def weights(self, average: Average) -> Float[np.ndarray, " pairs"]:
        """Return what each pair counts, where steps count one each, or compositions do."""
        if average == "step":
            return np.ones(len(self.composition))
        _, number, n = np.unique(self.composition, return_inverse=True, return_counts=True)
        weight: Float[np.ndarray, " pairs"] = (1 / n)[number]
        return weight

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Membership":
        """Return that of some pairs."""
        return Membership(*(column[rows] for column in self))


def better_than(
    mean_rank: Float[np.ndarray, " pairs"], tied: Int[np.ndarray, " pairs"]
) -> Int[np.ndarray, " pairs"]:
    """Return the column ``better`` that a mean rank, which may be infinite, came from."""
    has_none = mean_rank == np.inf
    better = np.rint(np.where(has_none, 1, mean_rank) - 1 - tied / 2).astype(np.int64)
    return np.where(has_none, UNRANKED, better)


def outcomes(
    scores: Float[np.ndarray, "contexts services"],
    context_row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
    ruled_out: RuledOut = None,
    chunk: int | None = None,
) -> Outcomes:
    """Compare each pair's target with all services; equal pairs are compared once.

    Parameters
    ----------
    scores
        One row per distinct context, unmasked; infinities are scores like others.
    context_row
        Row of ``scores`` that holds the pair's context.
    target
        Class of the true next service, a column of ``scores``.
    ruled_out
        True where the mask rules a service out; None if there is no mask.
    chunk
        Distinct pairs compared at a time, so that memory is bounded; None for as many as have
        :data:`CHUNK_SCORES` scores.

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
    best = _best_service(scores, ruled_out)

    key = context_row.astype(np.int64) * n_services + target
    distinct, pair = np.unique(key, return_inverse=True)
    rows, columns = np.divmod(distinct, n_services)
    better, tied = np.empty_like(distinct), np.empty_like(distinct)
    if ruled_out is None:
        sides, side, above = scores[None], np.zeros_like(rows), np.zeros_like(rows)
    else:  # A target is compared with its own side; NaN is neither more than it nor equal to it.
        sides = np.stack(
            [np.where(ruled_out == is_out, scores, np.nan) for is_out in (False, True)]
        )
        side = ruled_out[rows, columns].astype(np.int64)
        above = side * np.count_nonzero(~ruled_out, axis=1)[rows]
    chunk = chunk or max(1, CHUNK_SCORES // n_services)
    for start in range(0, len(distinct), chunk):
        part = slice(start, start + chunk)
        block = sides[side[part], rows[part]]
        target_score = scores[rows[part], columns[part]][:, None]
        better[part] = np.count_nonzero(block > target_score, axis=1)
        tied[part] = np.count_nonzero(block == target_score, axis=1) - 1
    return Outcomes(target, best[context_row], (above + better)[pair], tied[pair])


def _best_service(
    scores: Float[np.ndarray, "contexts services"], ruled_out: RuledOut
) -> Int[np.ndarray, " contexts"]:
    """Return the class that comes first after each context."""
    every = np.arange(len(scores))
    best: Int[np.ndarray, " contexts"] = scores.argmax(axis=1)
    # argmax takes NaN for the maximum, so a row holds one exactly if its best score is NaN.
    if np.isnan(scores[every, best]).any():
        raise TrainingError(RAN_AWAY)
    if ruled_out is not None:
        best = np.where(ruled_out, -np.inf, scores).argmax(axis=1)
        # Where all that are allowed score minus infinity too, that may be one that is ruled out.
        best = np.where(ruled_out[every, best], ruled_out.argmin(axis=1), best)
    return best


def _check_range(name: str, values: Int[np.ndarray, " pairs"], size: int) -> None:
    if len(values) and (values.min() < 0 or values.max() >= size):
        raise ValueError(f"{name} spans {values.min()}..{values.max()}; scores have 0..{size - 1}")
