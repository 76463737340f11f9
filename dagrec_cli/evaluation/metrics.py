"""The metrics, as functions of outcomes; no pairs at all raise ``ValueError``.

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
from jaxtyping import Float, Int

from dagrec_cli.config.kinds import OneOf
from dagrec_cli.evaluation.ranks import Outcomes

METRICS = ("accuracy", "precision", "recall", "f1", "ndcg", "mrr", "hr@1", "hr@3", "hr@5")
MACRO = ("precision", "recall", "f1")  # means over classes; all others are means over pairs
Metric = Annotated[str, OneOf(METRICS)]
BY_RANK = tuple(name for name in METRICS if name not in MACRO)

Gain: TypeAlias = Callable[[Float[np.ndarray, " ranks"]], Float[np.ndarray, " ranks"]]
GAIN_OF_RANK: dict[str, Gain] = {
    "ndcg": lambda rank: 1 / np.log2(1 + rank),
    "mrr": lambda rank: 1 / rank,
    "hr@1": lambda rank: (rank <= 1).astype(np.float64),
    "hr@3": lambda rank: (rank <= 3).astype(np.float64),
    "hr@5": lambda rank: (rank <= 5).astype(np.float64),
}


class MacroAverages(NamedTuple):
    """Precision, recall and F1, each the plain mean over the classes that occur."""

    precision: Float[np.ndarray, "*sets"]
    recall: Float[np.ndarray, "*sets"]
    f1: Float[np.ndarray, "*sets"]


def evaluate(pairs: Outcomes) -> dict[str, float]:
    """Return every metric as a plain number by its name in :data:`METRICS`.

    >>> evaluate(pairs)["accuracy"]
    0.5
    """
    macro = macro_averages(pairs)._asdict()
    return {n: float(macro[n] if n in MACRO else gains(pairs, n).mean()) for n in METRICS}


def gains(pairs: Outcomes, metric: str) -> Float[np.ndarray, " pairs"]:
    """Return what each pair adds to a metric that is their mean.

    ``accuracy``: 1 if the target is predicted; ties go to the lowest class. The others average a
    function of the rank over the tied ranks: ``ndcg`` ``1 / log2(1 + rank)``, the discounted gain
    of the full ranking, where the target is the one relevant service (scikit-learn,
    ``ndcg_score``); ``mrr`` ``1 / rank``; ``hr@k`` 1 if ``rank <= k``.

    >>> gains(pairs, "accuracy").tolist()
    [1.0, 0.0, 1.0, 0.0]
    >>> gains(pairs, "ndcg").round(4).tolist()  # 1/log2(4) at rank 3; (1 + 1/log2(3)) / 2
    [1.0, 0.5, 1.0, 0.8155]
    >>> gains(pairs, "mrr").round(4).tolist()
    [1.0, 0.3333, 1.0, 0.75]
    >>> gains(pairs, "hr@1").tolist(), gains(pairs, "hr@3").tolist()
    ([1.0, 0.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0])
    """
    if metric == "accuracy":
        is_right: Float[np.ndarray, " pairs"] = (pairs.predicted == pairs.target).astype(np.float64)
        return is_right
    first = np.where(pairs.is_ranked, pairs.better, 0)
    last = np.where(pairs.is_ranked, first + pairs.tied + 1, 0)  # no rank: an empty sum
    ranks = np.arange(1.0, last.max(initial=0) + 1)
    total = np.concatenate([[0.0], np.cumsum(GAIN_OF_RANK[metric](ranks))])
    average: Float[np.ndarray, " pairs"] = (total[last] - total[first]) / (pairs.tied + 1)
    return average


def macro_averages(pairs: Outcomes) -> MacroAverages:
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
    return MacroAverages(*(ratio.mean(axis=-1) for ratio in _ratios(_Counts.of(pairs).whole)))


def macro_without_each(
    pairs: Outcomes, group: Int[np.ndarray, " pairs"], n_groups: int
) -> MacroAverages:
    """Return the macro averages without each group, over the classes of all pairs, ``[groups]``.

    A class that only the left-out group has stays, with 0, so the number of classes is fixed.

    >>> without = macro_without_each(pairs, np.array([0, 1, 2, 2]), 3)
    >>> without.recall.round(4).tolist()  # (0 + 1 + 0) / 3, (1 + 1 + 0) / 3, (1/2 + 0 + 0) / 3
    [0.3333, 0.6667, 0.1667]
    """
    counts = _Counts.of(pairs)
    n_classes = counts.whole.shape[1]
    key = np.concatenate([group * n_classes + k for k in (counts.target, counts.predicted)])
    cells, cell = np.unique(key, return_inverse=True)
    is_right = np.concatenate([counts.target == counts.predicted, np.zeros(len(group), bool)])
    is_target = np.arange(len(key)) < len(group)
    of_cell = [
        np.bincount(cell, weights, len(cells)) for weights in (is_right, ~is_target, is_target)
    ]
    changes = []
    before = counts.whole[:, cells % n_classes]
    for whole, new, old in zip(
        _ratios(counts.whole), _ratios(before - of_cell), _ratios(before), strict=True
    ):
        change = np.bincount(cells // n_classes, new - old, n_groups)
        changes.append((whole.sum() + change) / n_classes)
    return MacroAverages(*changes)


class _Counts(NamedTuple):
    """Classes that occur, numbered from 0: of each pair, and pairs by class.

    ``whole`` has a row each for pairs rightly predicted as a class, predicted at all, and targets.
    """

    target: Int[np.ndarray, " pairs"]
    predicted: Int[np.ndarray, " pairs"]
    whole: Float[np.ndarray, "3 classes"]

    @classmethod
    def of(cls, pairs: Outcomes) -> "_Counts":
        if not len(pairs.target):
            raise ValueError("a metric needs one pair or more")
        occurs = np.zeros(1 + max(pairs.target.max(), pairs.predicted.max()), bool)
        occurs[pairs.target] = occurs[pairs.predicted] = True
        number, n = occurs.cumsum() - 1, int(occurs.sum())
        target, predicted = number[pairs.target], number[pairs.predicted]
        sets = (target[target == predicted], predicted, target)
        whole = np.stack([np.bincount(each, minlength=n) for each in sets]).astype(np.float64)
        return cls(target, predicted, whole)


def _ratios(counts: Float[np.ndarray, "3 classes"]) -> list[Float[np.ndarray, " classes"]]:
    """Return precision, recall and F1 of each class, 0 where the denominator is 0."""
    right, claimed, support = counts
    return [
        np.divide(part, of, out=np.zeros_like(part), where=of > 0)
        for part, of in ((right, claimed), (right, support), (2 * right, claimed + support))
    ]
