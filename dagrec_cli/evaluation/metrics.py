"""The metrics, as functions of outcomes and of a weight per pair.

Every function takes ``weights``, non-negative numbers of shape ``[*batch, pairs]``, and returns one
value per batch entry. A pair of weight 2 counts like two equal pairs and one of weight 0 like no
pair at all, so a bootstrap resample is a row of weights. Without weights each pair counts once.
A negative weight, a row of zeros or an empty set of pairs raises ``ValueError``.

Ranking metrics over equal scores give the expected value when ties are put in random order: a
model that scores all services alike is as good as chance, not perfect. With ``b`` services better
than the target and ``t`` tied with it, the target is at each rank ``b+1 .. b+t+1`` equally often.
A target that the model does not know has no rank: it gains 0 and stays a class of macro averages.

The examples share these four pairs; the last target ties with one other service at the top.

>>> pairs = Outcomes(
...     target=np.array([0, 0, 1, 2]),
...     predicted=np.array([0, 1, 1, 0]),
...     better=np.array([0, 2, 0, 0]),
...     tied=np.array([0, 0, 0, 1]),
... )
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num

from dagrec_cli.config.kinds import OneOf
from dagrec_cli.evaluation.ranks import Outcomes

METRICS = ("accuracy", "precision", "recall", "f1", "ndcg", "mrr", "hr@1", "hr@3", "hr@5")
Metric = Annotated[str, OneOf(METRICS)]
BY_RANK = tuple(name for name in METRICS if name not in ("precision", "recall", "f1"))

Weights: TypeAlias = Num[np.ndarray, "*batch pairs"] | None
Value: TypeAlias = np.float64 | Float[np.ndarray, "*batch"]


class MacroAverages(NamedTuple):
    """Precision, recall and F1, each the plain mean over the classes that occur."""

    precision: Value
    recall: Value
    f1: Value


def evaluate(pairs: Outcomes, weights: Num[np.ndarray, " pairs"] | None = None) -> dict[str, float]:
    """Return every metric as a plain number by its name in :data:`METRICS`.

    >>> evaluate(pairs)["accuracy"]
    0.5
    """
    return {name: float(value) for name, value in evaluate_batch(pairs, weights).items()}


def evaluate_batch(pairs: Outcomes, weights: Weights) -> dict[str, Value]:
    """Return every metric by its name in :data:`METRICS`, one value per batch entry of weights.

    >>> evaluate_batch(pairs, np.array([[1, 1, 1, 1], [0, 2, 2, 0]]))["hr@1"]
    array([0.625, 0.5  ])
    """
    macro = macro_averages(pairs, weights)
    return {
        "accuracy": accuracy(pairs, weights),
        "precision": macro.precision,
        "recall": macro.recall,
        "f1": macro.f1,
        "ndcg": ndcg(pairs, weights),
        "mrr": mrr(pairs, weights),
        "hr@1": hit_rate(pairs, 1, weights),
        "hr@3": hit_rate(pairs, 3, weights),
        "hr@5": hit_rate(pairs, 5, weights),
    }


def accuracy(pairs: Outcomes, weights: Weights = None) -> Value:
    """Share of pairs whose target is predicted; ties go to the lowest class.

    ``mean(predicted == target)``

    >>> float(accuracy(pairs))  # pairs 1 and 3 of 4
    0.5
    """
    return _mean((pairs.predicted == pairs.target).astype(np.float64), weights)


def macro_averages(pairs: Outcomes, weights: Weights = None) -> MacroAverages:
    """Precision, recall and F1, averaged over the classes in targets or predictions.

    With ``TP`` pairs rightly, ``P`` pairs at all predicted as a class and ``T`` pairs that have it
    as target: precision ``TP / P``, recall ``TP / T``, F1 ``2 TP / (P + T)``; 0 where the
    denominator is 0 (scikit-learn, ``zero_division=0``).

    >>> macro = macro_averages(pairs)  # TP = 1, 1, 0; P = 2, 2, 0; T = 2, 1, 1
    >>> float(macro.precision), float(macro.recall)  # (1/2 + 1/2 + 0) / 3, (1/2 + 1 + 0) / 3
    (0.3333333333333333, 0.5)
    >>> round(float(macro.f1), 4)  # (2/4 + 2/3 + 0) / 3
    0.3889
    """
    weights = _checked(weights, len(pairs.target))
    occurs = np.zeros(1 + max(pairs.target.max(), pairs.predicted.max()), bool)
    occurs[pairs.target] = occurs[pairs.predicted] = True
    number = occurs.cumsum() - 1  # of each class that occurs
    target, predicted, n_classes = number[pairs.target], number[pairs.predicted], int(occurs.sum())
    support = _class_weights(target, weights, n_classes)
    claimed = _class_weights(predicted, weights, n_classes)
    right = _class_weights(target, weights * (target == predicted), n_classes)
    n_occurring = np.count_nonzero(support + claimed, axis=-1)
    return MacroAverages(
        precision=_ratio(right, claimed).sum(axis=-1) / n_occurring,
        recall=_ratio(right, support).sum(axis=-1) / n_occurring,
        f1=_ratio(2 * right, support + claimed).sum(axis=-1) / n_occurring,
    )


def ndcg(pairs: Outcomes, weights: Weights = None) -> Value:
    """Discounted gain of the full ranking, where the target is the one relevant service.

    ``mean(1 / log2(1 + rank))``, the discount averaged over the tied ranks (scikit-learn,
    ``ndcg_score``).

    >>> round(float(ndcg(pairs)), 4)  # (1 + 1/log2(4) + 1 + (1 + 1/log2(3)) / 2) / 4
    0.8289
    """
    return _mean(_tie_average(pairs, lambda rank: 1 / np.log2(1 + rank)), weights)


def mrr(pairs: Outcomes, weights: Weights = None) -> Value:
    """Mean reciprocal rank, the reciprocal averaged over the tied ranks.

    ``mean(1 / rank)``

    >>> round(float(mrr(pairs)), 4)  # (1 + 1/3 + 1 + (1 + 1/2) / 2) / 4
    0.7708
    """
    return _mean(_tie_average(pairs, lambda rank: 1 / rank), weights)


def hit_rate(pairs: Outcomes, k: int, weights: Weights = None) -> Value:
    """Share of pairs whose target is among the first ``k``; a tie counts by its share of ranks.

    ``mean(rank <= k)``

    >>> float(hit_rate(pairs, 1))  # (1 + 0 + 1 + 1/2) / 4
    0.625
    >>> float(hit_rate(pairs, 3))
    1.0
    """
    return _mean(_tie_average(pairs, lambda rank: (rank <= k).astype(np.float64)), weights)


def _tie_average(
    pairs: Outcomes, gain: Callable[[Float[np.ndarray, " ranks"]], Float[np.ndarray, " ranks"]]
) -> Float[np.ndarray, " pairs"]:
    """Average ``gain(rank)`` over the ranks each target shares, by differences of running sums."""
    first = np.where(pairs.is_ranked, pairs.better, 0)
    last = np.where(pairs.is_ranked, first + pairs.tied + 1, 0)  # no rank: an empty sum
    ranks = np.arange(1.0, last.max(initial=0) + 1)
    total = np.concatenate([[0.0], np.cumsum(gain(ranks))])
    average: Float[np.ndarray, " pairs"] = (total[last] - total[first]) / (pairs.tied + 1)
    return average


def _mean(gain: Float[np.ndarray, " pairs"], weights: Weights) -> Value:
    weights = _checked(weights, len(gain))
    # BLAS would wake a thread per core for this, and wait ten times as long where cores are taken.
    total: Value = np.einsum("...p,p->...", weights, gain)
    value: Value = total / weights.sum(axis=-1)
    return value


def _checked(weights: Weights, n_pairs: int) -> Float[np.ndarray, "*batch pairs"]:
    """Return the weights as floats, ones if there are none."""
    weights = np.ones(n_pairs) if weights is None else weights.astype(np.float64, copy=False)
    if weights.shape[-1] != n_pairs:
        raise ValueError(f"{weights.shape[-1]} weights for {n_pairs} pairs")
    if weights.min(initial=0) < 0 or not weights.any(axis=-1).all():
        raise ValueError("weights must be 0 or more, and some pair must weigh more than 0")
    return weights


def _class_weights(
    ids: Int[np.ndarray, " pairs"], weights: Float[np.ndarray, "*batch pairs"], n_classes: int
) -> Float[np.ndarray, "*batch classes"]:
    """Add up the weights of each class."""
    sums: Float[np.ndarray, "*batch classes"] = np.apply_along_axis(
        lambda row: np.bincount(ids, row, n_classes), -1, weights
    )
    return sums


def _ratio(
    part: Float[np.ndarray, "*batch classes"], whole: Float[np.ndarray, "*batch classes"]
) -> Float[np.ndarray, "*batch classes"]:
    """Divide, with 0 where the whole is 0."""
    ratio: Float[np.ndarray, "*batch classes"] = np.zeros_like(part)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
