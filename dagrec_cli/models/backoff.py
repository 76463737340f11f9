"""Backoff: what followed the context cut off ever further up, deep cuts smoothed by shallow ones.

Source: MacKay & Peto, "A Hierarchical Dirichlet Language Model", Natural Language Engineering 1995,
eq. 7; PAPER §9 (the counting row to beat).
Differs from the source: one concentration for all lengths, set instead of inferred.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dagrec_cli.config.kinds import Natural, Positive
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.base import CountedOwner, CountingModel, Evidence, Facts, PlainMask
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import Before, UnitCounts
from dagrec_cli.models.layers.interpolated_counts import View, interpolated
from dagrec_cli.models.layers.truncated_counts import TruncatedCounts


class Truncating(CountingModel):
    """A model that looks up what followed ever more generations of a context.

    Parameters
    ----------
    order
        Generations that count, the last node's included, 0 and up.
    mask
        See :class:`~dagrec_cli.models.base.Model`.
    owner
        With ``prior``, what followed for the composition's owner comes last, and so counts first.
    """

    table_of: type[TruncatedCounts] = TruncatedCounts  # what it keeps
    before: type[Before] = Before  # what is seen of that at a moment

    def __init__(
        self, facts: Facts, *, order: Natural, mask: PlainMask, owner: CountedOwner
    ) -> None:
        super().__init__(facts, mask=mask)
        self.table = self.table_of(facts.vocabulary, order, by_owner=owner == "prior")

    @abstractmethod
    def scored(self, view: View) -> Float[Tensor, "rows services"]:
        """Return the score of every service, from what rows see of the table."""

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count what followed each truncation."""
        self.table.fill(pairs, contexts)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the score of every service."""
        return self.scored(View(self.table, self._entries(contexts)))

    def in_time(self, pairs: WeightedPairs, contexts: Contexts) -> "InTime":
        """Count, and return what is known when only some of the pairs' units are.

        Parameters
        ----------
        pairs
            With the unit of each; units are numbered from 0 as they get known.
        """
        self.count(pairs, contexts)
        units = UnitCounts(self.table, self.table.of_rows(pairs, contexts), pairs)
        return InTime(self, self._entries(contexts), units)

    def _entries(self, contexts: Contexts) -> Int[Tensor, "generations contexts"]:
        return torch.stack(list(self.table.entries(contexts)))


class Backoff(Truncating):
    """Score a service by its log probability, interpolated over truncations of the context.

    ``p = (count + smoothing * p_before) / (total + smoothing)``, from popularity, smoothed by the
    uniform distribution, over what followed the last node, the last node with its parents, and so
    on (:class:`~dagrec_cli.models.layers.truncated_counts.TruncatedCounts`): on a path, its
    suffixes. What was never seen has no counts and leaves ``p`` as it is.

    Parameters
    ----------
    smoothing
        Occurrences that the opinion of one generation less is worth, above 0.
    shared
        The settings of :class:`Truncating`.
    """

    is_probabilistic = True

    def __init__(self, facts: Facts, *, smoothing: Positive, **shared: Any) -> None:
        super().__init__(facts, **shared)
        self.smoothing = smoothing

    def scored(self, view: View) -> Float[Tensor, "rows services"]:
        """Return the log probability of every service."""
        beliefs = interpolated(view, self.smoothing)
        return beliefs.weighed(beliefs.popularity.new_tensor([1.0, 0.0, 0.0])).float()

    def evidence(self, context: Contexts) -> Evidence:
        """Return what was counted."""
        counts, of_owner = self.table.by_generation(context)
        return Evidence(counts, {}, [], of_owner)


class InTime(NamedTuple):
    """Counts of which rows see those before a limit of their own."""

    model: Truncating
    entries: Int[Tensor, "generations contexts"]
    units: UnitCounts

    def known(
        self, context: Int[Tensor, " rows"], limit: Int[Tensor, " rows"]
    ) -> tuple[Float[Tensor, "rows services"], Float[Tensor, "rows services"]]:
        """Return the score and the count of each service, for each row.

        Parameters
        ----------
        context
            Which context each row is asked about.
        limit
            The first unit that it does not see.
        """
        view = self.model.before(self.model.table, self.entries[:, context], self.units, limit)
        return self.model.scored(view), view.popularity()
