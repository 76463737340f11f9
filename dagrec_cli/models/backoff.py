"""Backoff: what followed the context cut off ever further up, deep cuts smoothed by shallow ones.

Source: MacKay & Peto, "A Hierarchical Dirichlet Language Model", Natural Language Engineering 1995,
eq. 7; PAPER §9 (the counting row to beat).
Differs from the source: one concentration for all lengths, set instead of inferred.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.config.kinds import Natural, Positive
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.base import CountingModel, Facts, PlainMask
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.interpolated_counts import View, interpolated
from dagrec_cli.models.layers.truncated_counts import TruncatedCounts


class Backoff(CountingModel):
    """Score a service by its log probability, interpolated over truncations of the context.

    ``p = (count + smoothing * p_before) / (total + smoothing)``, from popularity, smoothed by the
    uniform distribution, over what followed the last node, the last node with its parents, and so
    on (:class:`~dagrec_cli.models.layers.truncated_counts.TruncatedCounts`): on a path, its
    suffixes. What was never seen has no counts and leaves ``p`` as it is.

    Parameters
    ----------
    order
        Generations that count, the last node's included, 0 and up.
    smoothing
        Occurrences that the opinion of one generation less is worth, above 0.
    mask
        See :class:`~dagrec_cli.models.base.Model`.
    """

    def __init__(
        self, facts: Facts, *, order: Natural, smoothing: Positive, mask: PlainMask
    ) -> None:
        super().__init__(facts, mask=mask)
        self.smoothing = smoothing
        self.table = TruncatedCounts(facts.n_services, order)

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count what followed each truncation."""
        self.table.fill(pairs, contexts)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the log probability of every service."""
        view = View(self.table, torch.stack(list(self.table.entries(contexts))))
        beliefs = interpolated(view, self.smoothing)
        return beliefs.weighed(beliefs.popularity.new_tensor([1.0, 0.0, 0.0])).float()
