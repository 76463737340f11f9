"""Markov chain of order k: what followed the last k nodes.

Source: Rabiner, "A Tutorial on Hidden Markov Models and Selected Applications in Speech
Recognition", Proc. IEEE 1989, §II; PAPER §9 (first-order row).
Differs from the source: contexts never seen fall back to shorter ones.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.config.kinds import Natural, Positive
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.base import CountingModel, Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.suffix_counts import UNSEEN, SuffixCounts


class Markov(CountingModel):
    """Score a service by ``log((count + smoothing) / (total + smoothing * services))``.

    Counts are those after the context's last ``order`` nodes; a shorter context uses all it has.
    Nodes that were never seen in that order fall back to the longest suffix that was, at last to
    the empty one, which is popularity.

    Parameters
    ----------
    order
        How many last nodes decide, 0 and up.
    smoothing
        Occurrences added to every service, above 0.
    dag_mask
        See :class:`~dagrec_cli.models.base.Model`.
    """

    def __init__(
        self, facts: Facts, *, order: Natural, smoothing: Positive, dag_mask: bool
    ) -> None:
        super().__init__(facts, dag_mask=dag_mask)
        self.order = order
        self.smoothing = smoothing
        self.table = SuffixCounts(facts.n_nodes, facts.n_services)

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count what followed each suffix of up to ``order`` nodes."""
        self.table.fill(pairs, contexts, longest=self.order)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the log probability of every service."""
        deepest = torch.zeros_like(contexts.length)
        for entry in self.table.suffixes(contexts):
            deepest = torch.where(entry == UNSEEN, deepest, entry)
        smoothed = self.table.after(deepest) + self.smoothing
        return (smoothed / smoothed.sum(dim=1, keepdim=True)).log()
