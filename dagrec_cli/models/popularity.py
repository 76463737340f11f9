"""Popularity: the most frequent training target, whatever the context.

Source: PAPER §7, "Popularity".
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER
from dagrec_cli.models.base import CountedOwner, CountingModel, Evidence, Facts, PlainMask
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
    owner
        With ``prior``, what the composition's owner has as targets counts, and one target more goes
        by what all have: those that he never had are ranked by it, and all for who is not known.
    """

    counts: Tensor
    of_owner: Tensor | None

    def __init__(
        self, facts: Facts, *, ranking: Ranking, mask: PlainMask, owner: CountedOwner
    ) -> None:
        super().__init__(facts, mask=mask)
        self.ranking = ranking
        self.register_buffer("counts", torch.zeros(facts.n_services))
        n_owners = 1 + len(facts.vocabulary.owners)
        of_owner = torch.zeros(n_owners, facts.n_services) if owner == "prior" else None
        self.register_buffer("of_owner", of_owner)

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count targets."""
        target, weight = torch.from_numpy(pairs.target).long(), torch.from_numpy(pairs.weight)
        self.counts.zero_().index_add_(0, target, weight)
        if self.of_owner is not None:
            owner = contexts.owners[torch.from_numpy(pairs.context).long()]
            self.of_owner.zero_().index_put_((owner, target), weight, accumulate=True)
            self.of_owner[UNKNOWN_OWNER] = 0

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the scores, which are the same for every context of an owner."""
        scores = self.counts[None]
        if self.of_owner is not None:
            scores = self.of_owner[contexts.owners] + scores / scores.sum()
        if self.ranking == "one_hot":
            scores = one_hot(scores.argmax(1), self.facts.n_services).float()
        return scores.expand(len(contexts), -1)

    def evidence(self, context: Contexts) -> Evidence:
        """Return the counts of targets, whatever they followed."""
        of_owner = None if self.of_owner is None else self.of_owner[context.owners]
        return Evidence(self.counts[None], {}, [], of_owner)
