"""Backoff: what followed each suffix of the context, long suffixes smoothed by shorter ones.

Source: MacKay & Peto, "A Hierarchical Dirichlet Language Model", Natural Language Engineering 1995,
eq. 7; PAPER §9 (the counting row to beat).
Differs from the source: one concentration for all lengths, set instead of inferred.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.config.kinds import Positive
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.base import CountingModel, Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.suffix_counts import SuffixCounts


class Backoff(CountingModel):
    """Score a service by its log probability, interpolated over all suffixes of the context.

    ``p = (count + smoothing * p_shorter) / (total + smoothing)``, from the empty suffix
    (popularity, smoothed by the uniform distribution) to the whole context. A suffix never seen has
    no counts and leaves ``p`` as it is.

    Parameters
    ----------
    smoothing
        Occurrences that the shorter suffix's opinion is worth, above 0.
    dag_mask
        See :class:`~dagrec_cli.models.base.Model`.
    """

    def __init__(self, facts: Facts, *, smoothing: Positive, dag_mask: bool) -> None:
        super().__init__(facts, dag_mask=dag_mask)
        self.smoothing = smoothing
        self.table = SuffixCounts(facts.n_nodes, facts.n_services)

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count what followed each suffix."""
        self.table.fill(pairs, contexts, longest=contexts.nodes.shape[1])

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the log probability of every service."""
        n = self.facts.n_services
        p = torch.full((len(contexts.length), n), 1 / n, dtype=torch.float64)
        for entry in self.table.suffixes(contexts):
            counts = self.table.after(entry)
            p = (counts + self.smoothing * p) / (counts.sum(1, keepdim=True) + self.smoothing)
        return p.clamp(min=torch.finfo(p.dtype).tiny).log().float()
