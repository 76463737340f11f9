"""Markov chain of order k: what followed the last k nodes, or generations of what branches.

Source: Rabiner, "A Tutorial on Hidden Markov Models and Selected Applications in Speech
Recognition", Proc. IEEE 1989, §II; PAPER §9 (first-order row).
Differs from the source: contexts never seen fall back to shorter ones.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.config.kinds import Natural, Positive
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.base import CountedOwner, CountingModel, Evidence, Facts, PlainMask
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.truncated_counts import UNSEEN, TruncatedCounts


class Markov(CountingModel):
    """Score a service by ``log((count + smoothing) / (total + smoothing * services))``.

    Counts are those after the context's last ``order`` generations, on a path its last nodes; a
    context of fewer uses all it has. What was never seen falls back to the most generations that
    were, at last to none, which is popularity.

    Parameters
    ----------
    order
        How many generations decide, the last node's included, 0 and up.
    smoothing
        Occurrences added to every service, above 0.
    mask
        See :class:`~dagrec_cli.models.base.Model`.
    owner
        With ``prior``, the most generations that were seen for the composition's owner decide.
    """

    is_probabilistic = True

    def __init__(
        self,
        facts: Facts,
        *,
        order: Natural,
        smoothing: Positive,
        mask: PlainMask,
        owner: CountedOwner,
    ) -> None:
        super().__init__(facts, mask=mask)
        self.order = order
        self.smoothing = smoothing
        self.table = TruncatedCounts(facts.vocabulary, order, by_owner=owner == "prior")

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count what followed truncations of up to ``order`` generations."""
        self.table.fill(pairs, contexts)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the log probability of every service."""
        deepest = torch.zeros(len(contexts), dtype=torch.long)
        for entry in self.table.entries(contexts):
            deepest = torch.where(entry == UNSEEN, deepest, entry)
        smoothed = self.table.after(deepest) + self.smoothing
        return (smoothed / smoothed.sum(dim=1, keepdim=True)).log()

    def evidence(self, context: Contexts) -> Evidence:
        """Return what was counted."""
        counts, of_owner = self.table.by_generation(context)
        return Evidence(counts, {}, [], of_owner)
