"""Popularity: the most frequent training target, whatever the context.

Source: PAPER §7, "Popularity".
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.base import CountingModel, Evidence, Facts, PlainMask
from dagrec_cli.models.context_batch import Contexts

Ranking = Literal["one_hot", "counts"]


class Popularity(CountingModel):
    """Score a service by how often it is the target of a training pair.

    Parameters
    ----------
    ranking
        ``one_hot``: 1 for the most frequent target and 0 for all others, as the paper has it;
        ``counts``: the counts themselves, which rank the rest too (nDCG .7217 instead of .6597).
    mask
        See :class:`~dagrec_cli.models.base.Model`. With ``one_hot`` a masked favourite leaves ties
        only.
    """

    counts: Tensor

    def __init__(self, facts: Facts, *, ranking: Ranking, mask: PlainMask) -> None:
        super().__init__(facts, mask=mask)
        self.ranking = ranking
        self.register_buffer("counts", torch.zeros(facts.n_services))

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count targets."""
        target = torch.from_numpy(pairs.target).long()
        self.counts.zero_().index_add_(0, target, torch.from_numpy(pairs.weight))

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the same scores for every context."""
        scores = self.counts
        if self.ranking == "one_hot":
            scores = torch.zeros_like(scores)
            scores[self.counts.argmax()] = 1
        return scores.expand(len(contexts), -1)

    def evidence(self, context: Contexts) -> Evidence:
        """Return the counts of targets, whatever they followed."""
        return Evidence(self.counts[None], {}, [])
