"""Upper bounds on the test pairs: what no predictor, or none of a kind, can beat.

Source: PAPER §9, "Upper bounds on this test set".
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.evaluation.ranks import Outcomes, outcomes


@runtime_checkable
class Truth(Protocol):
    """The law that synthetic data is drawn from."""

    def probabilities(
        self, contexts: Sequence[tuple[str, ...]], services: Sequence[str]
    ) -> Float[np.ndarray, "contexts services"]:
        """Return the probability of each service after each context."""


def ceilings(dataset: Dataset, rows: Rows, truth: Truth | None) -> dict[str, Outcomes]:
    """Return the outcomes of the best predictors on the given pairs, by name.

    ``last_node`` and ``context`` are the best functions of a context's last node and of the whole
    context, chosen on these very pairs: no model that reads only so much ranks better (macro
    averages are another matter). ``law`` is the best predictor that does not see the pairs; only
    synthetic data tells its law.
    """
    pairs = dataset.pairs.take(rows)
    last = dataset.contexts.node[pairs.context]
    n_services = len(dataset.vocabulary.services)
    found = {
        "last_node": best_function(last, pairs.target, n_services),
        "context": best_function(pairs.context, pairs.target, n_services),
    }
    if truth is not None:
        found["law"] = true_outcomes(truth, dataset, rows)
    return found


def best_function(
    known: Int[np.ndarray, " pairs"], target: Int[np.ndarray, " pairs"], n_services: int
) -> Outcomes:
    """Return the outcomes of ranking services by their counts among pairs that look alike.

    Parameters
    ----------
    known
        What the function may look at: pairs with equal numbers look alike.
    """
    values, row = np.unique(known, return_inverse=True)
    counts = np.zeros((len(values), n_services), np.float32)
    np.add.at(counts, (row, target), 1)
    return outcomes(counts, row, target)


def true_outcomes(truth: Truth, dataset: Dataset, rows: Rows) -> Outcomes:
    """Return the outcomes on the given pairs of a predictor that knows the truth."""
    pairs, vocabulary = dataset.pairs.take(rows), dataset.vocabulary
    entries, row = np.unique(pairs.context, return_inverse=True)
    contexts = [tuple(vocabulary.spell(dataset.contexts.spell(entry))) for entry in entries]
    return outcomes(truth.probabilities(contexts, vocabulary.services), row, pairs.target)
