"""The best possible predictor of data whose true probabilities are known."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

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


def true_outcomes(truth: Truth, dataset: Dataset, rows: Rows) -> Outcomes:
    """Return the outcomes on the given pairs of a predictor that knows the truth."""
    pairs, vocabulary = dataset.pairs.take(rows), dataset.vocabulary
    entries, row = np.unique(pairs.context, return_inverse=True)
    contexts = [tuple(vocabulary.spell(dataset.contexts.spell(entry))) for entry in entries]
    return outcomes(truth.probabilities(contexts, vocabulary.services), row, pairs.target)
