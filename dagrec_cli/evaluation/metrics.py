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

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.config.metric_names import MACRO, METRICS, OF_SETS, Average
from dagrec_cli.evaluation.ranks import Membership, Outcomes

Gain: TypeAlias = Callable[[Float[np.ndarray, " ranks"]], Float[np.ndarray, " ranks"]]
GAIN_OF_RANK: dict[str, Gain] = {
    "ndcg": lambda rank: 1 / np.log2(1 + rank),
    "mrr": lambda rank: 1 / rank,
    "hr": np.ones_like,
}


class MacroAverages(NamedTuple):
    """Precision, recall and F1, each the plain mean over the classes that occur."""

    precision: Float[np.ndarray, "*sets"]
    recall: Float[np.ndarray, "*sets"]
    f1: Float[np.ndarray, "*sets"]


class Gains(NamedTuple):
    """What each item adds to a metric that is their mean, and which group the item is of."""

    value: Float[np.ndarray, " items"]
    group: Int[np.ndarray, " items"]


def evaluate(
    pairs: Outcomes,
    metrics: Sequence[str] = METRICS,
    membership: Membership | None = None,
    average: Average = "step",
) -> dict[str, float]:
    """Return metrics as plain numbers by their names.

    Parameters
    ----------
    membership
        What the pairs belong to; None if they have nothing in common.
    average
        See :func:`gains`; macro averages are over classes, whatever it is.

    >>> evaluate(pairs)["accuracy"]
    0.5
    """
    macro = macro_averages(pairs)._asdict()

    def value(name: str) -> Float[np.ndarray, " items"]:
        return gains(pairs, name, membership, average).value

    return {name: float(macro[name] if name in MACRO else value(name).mean()) for name in metrics}


def gains(
    pairs: Outcomes,
    metric: str,
    membership: Membership | None = None,
    average: Average = "step",
) -> Gains:
    """Return what each item adds to a metric that is their mean.

    ``accuracy``: 1 if the target is predicted; ties go to the lowest class. The others average a
    function of the rank over the tied ranks: ``ndcg`` ``1 / log2(1 + rank)``, the discounted gain
    of the full ranking, where the target is the one relevant service (scikit-learn,
    ``ndcg_score``); ``mrr`` ``1 / rank``; ``hr`` 1; each, as ``ndcg@k``, 0 where ``rank > k``.

    Their items are pairs. Those of ``hit@k`` and ``recall@k`` are the contexts of a composition:
    whether any of the services that follow there is among the first k, and what share of them is.

    Parameters
    ----------
    average
        ``composition`` makes each composition an item, with the mean of its own items.

    >>> gains(pairs, "accuracy").value.tolist()
    [1.0, 0.0, 1.0, 0.0]
    >>> gains(pairs, "ndcg").value.round(4).tolist()  # 1/log2(4) at rank 3; (1 + 1/log2(3)) / 2
    [1.0, 0.5, 1.0, 0.8155]
    >>> gains(pairs, "mrr").value.round(4).tolist()
    [1.0, 0.3333, 1.0, 0.75]
    >>> gains(pairs, "ndcg@2").value.round(4).tolist()
    [1.0, 0.0, 1.0, 0.8155]
    >>> two = np.array([7, 8, 8, 8])  # the last three follow one context, so are one set
    >>> gains(pairs, "recall@1", Membership(two, two, two)).value.tolist()  # (0 + 1 + 1/2) / 3
    [1.0, 0.5]
    """
    membership = membership or Membership.alone(len(pairs.target))
    kind, _, k = metric.partition("@")
    most = int(k) if k else math.inf
    if kind in OF_SETS:
        value, membership = _of_sets(pairs, kind, most, membership)
    elif kind == "accuracy":
        value = (pairs.predicted == pairs.target).astype(np.float64)
    else:
        value = _of_ranks(pairs, GAIN_OF_RANK[kind], most)
    if average == "composition":
        _, first, number, n = np.unique(
            membership.composition, return_index=True, return_inverse=True, return_counts=True
        )
        value, membership = np.bincount(number, value) / n, membership.take(first)
    return Gains(value, membership.group)


def _of_ranks(pairs: Outcomes, gain: Gain, most: float) -> Float[np.ndarray, " pairs"]:
    """Return the mean gain over the ranks that a target shares; none above ``most``."""
    first = np.where(pairs.is_ranked, pairs.better, 0)
    last = np.where(pairs.is_ranked, first + pairs.tied + 1, 0)  # no rank: an empty sum
    ranks = np.arange(1.0, last.max(initial=0) + 1)
    total = np.concatenate([[0.0], np.cumsum(np.where(ranks <= most, gain(ranks), 0))])
    average: Float[np.ndarray, " pairs"] = (total[last] - total[first]) / (pairs.tied + 1)
    return average


def _of_sets(
    pairs: Outcomes, kind: str, k: float, membership: Membership
) -> tuple[Float[np.ndarray, " sets"], Membership]:
    """Return ``hit`` or ``recall`` of each next set, and what the sets belong to.

    Of T tied services of which the first k have room for s, m in the set are all left out with
    probability ``C(T - m, s) / C(T, s) = (T - s)/T · (T - s - 1)/(T - 1) · …``, m factors.
    """
    of_pair = _numbered(membership.composition, membership.context)
    _, once = np.unique(_numbered(of_pair, pairs.target), return_index=True)  # each service
    pairs, number = Outcomes(*(column[once] for column in pairs)), of_pair[once]  # set by set
    first = np.flatnonzero(np.diff(number, prepend=-1))
    inside = _of_ranks(pairs, np.ones_like, k)
    if kind == "recall":
        value = np.bincount(number, inside) / np.bincount(number)
    else:
        is_open = (inside > 0) & (inside < 1)  # tied, with room for some of them
        before: Int[np.ndarray, " pairs"] = np.cumsum(is_open) - is_open
        nth = np.where(is_open, before - before[first][number], 0)  # of those of its set
        tied = pairs.tied + 1
        out = np.maximum(tied * (1 - inside) - nth, 0) / np.maximum(tied - nth, 1)
        value = 1 - np.multiply.reduceat(out, first)
    return value, membership.take(once[first])


def _numbered(*columns: Int[np.ndarray, " pairs"]) -> Int[np.ndarray, " pairs"]:
    """Return numbers from 0 that are equal where two columns are, in the columns' order."""
    a, b = (np.unique(column, return_inverse=True)[1] for column in columns)
    number: Int[np.ndarray, " pairs"] = np.unique(a * (b.max() + 1) + b, return_inverse=True)[1]
    return number


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
