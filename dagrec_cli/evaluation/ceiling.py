"""Upper bounds on the test pairs: what no predictor, or none of a kind, can beat.

Source: PAPER §9, "Upper bounds on this test set".
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.config.metric_names import MACRO, OF_SETS
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.evaluation.ranks import Outcomes, outcomes

WEIGHT_DIGITS = 9  # of a sum of weights; others are of the order of summation
CEILINGS = {  # what the row of each is called, and what it is
    "last_node": (
        "static ceiling of the last node",
        "the best function of the last node, chosen on these pairs",
    ),
    "context": (
        "static ceiling of the context",
        "the best function of the whole context, chosen on these pairs",
    ),
    "owner": (
        "static ceiling of the context and the owner",
        "the best function of the whole context and whose it is, chosen on these pairs",
    ),
    "law": (
        "ceiling of the law",
        "the best predictor in expectation, which knows the data's law; on these pairs a model may "
        "be luckier",
    ),
}
STATIC = ("last_node", "context", "owner")


@runtime_checkable
class KnownTruth(Protocol):
    """The law that synthetic data is drawn from."""

    def probabilities(
        self, contexts: Sequence[tuple[str, ...]], services: Sequence[str]
    ) -> Float[np.ndarray, "contexts services"]:
        """Return the probability of each service after each context."""


def ceilings(dataset: Dataset, rows: Rows, truth: KnownTruth | None) -> dict[str, Outcomes]:
    """Return the outcomes of the best predictors on the given pairs, by name.

    ``law`` is the best predictor that does not see the pairs; only synthetic data tells its law.
    """
    pairs = dataset.pairs.take(rows)
    last, n_services = dataset.contexts.node[pairs.context], len(dataset.vocabulary.services)
    owner = dataset.owner[pairs.composition] if dataset.vocabulary.owners else None
    bounds = static_ceilings(last, pairs.context, pairs.target, n_services, owner=owner)
    if truth is not None:
        bounds["law"] = true_outcomes(truth, dataset, rows)
    return bounds


def static_ceilings(
    last_node: Int[np.ndarray, " pairs"],
    context: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
    n_services: int,
    weight: Float[np.ndarray, " pairs"] | None = None,
    owner: Int[np.ndarray, " pairs"] | None = None,
) -> dict[str, Outcomes]:
    """Return the outcomes of the best functions of a context's last node and of the whole context.

    And of the context and its owner, if these are given.

    They are chosen on these very pairs: no model that reads only so much, and learns nothing while
    it is tested, ranks better by a metric that :func:`has_ceiling`.

    Parameters
    ----------
    weight
        What each pair counts in the mean; None for pairs that count alike.
    owner
        Number of whose composition each pair is of, -1 where unknown; None if models read none.
    """
    known = {"last_node": last_node, "context": context}
    if owner is not None:
        known["owner"] = np.unique([context, owner], axis=1, return_inverse=True)[1].ravel()
    return {name: best_function(each, target, n_services, weight) for name, each in known.items()}


def has_ceiling(metric: str) -> bool:
    """Return whether no function of the context beats that which ranks services by their counts.

    It does not hold for means over classes, nor for next sets, whose services count less where they
    are many.
    """
    return metric not in MACRO and metric.partition("@")[0] not in OF_SETS


def best_function(
    known: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
    n_services: int,
    weight: Float[np.ndarray, " pairs"] | None = None,
) -> Outcomes:
    """Return the outcomes of ranking services by their counts among pairs that look alike.

    Parameters
    ----------
    known
        What the function may look at: pairs with equal numbers look alike.
    weight
        What each pair counts; None for pairs that count alike.
    """
    key = known.astype(np.int64) * n_services + target
    distinct, row = np.unique(key, return_inverse=True)
    count = np.bincount(row, weight).round(WEIGHT_DIGITS)
    look, service = np.divmod(distinct, n_services)
    # Only what occurs is counted: a target always does, so all that never do rank below it.
    order = np.lexsort((service, -count, look))  # alike together, frequent ones first
    look, service, count = look[order], service[order], count[order]
    is_first = np.diff(look, prepend=-1) != 0
    begins = is_first | (np.diff(count, prepend=0) != 0)  # a block of equal counts
    here = np.arange(len(order))
    first, start = (np.maximum.accumulate(np.where(at, here, 0)) for at in (is_first, begins))
    block = np.cumsum(begins) - 1
    place = np.empty_like(here)
    place[order] = here
    at = place[row]  # of each pair
    tied = np.bincount(block)[block] - 1
    return Outcomes(target, service[first][at], (start - first)[at], tied[at])


def true_outcomes(truth: KnownTruth, dataset: Dataset, rows: Rows) -> Outcomes:
    """Return the outcomes on the given pairs of a predictor that knows the truth."""
    pairs, vocabulary = dataset.pairs.take(rows), dataset.vocabulary
    entries, row = np.unique(pairs.context, return_inverse=True)
    contexts = [tuple(vocabulary.spell(nodes)) for nodes in dataset.contexts.padded(entries)[0]]
    return outcomes(truth.probabilities(contexts, vocabulary.services), row, pairs.target)
