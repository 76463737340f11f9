"""Recency: what followed the context last comes first.

Source: Sleator & Tarjan, "Amortized Efficiency of List Update and Paging Rules", Communications of
the ACM 1985, §1 (move to front).
Differs from the source: a list for each truncation of a context, that of the deepest one first.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.models.backoff import Truncating
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import Before
from dagrec_cli.models.layers.interpolated_counts import View
from dagrec_cli.models.layers.truncated_counts import TruncatedCounts


class LastTimes(TruncatedCounts):
    """When each service followed a truncation last: one and the number of the latest unit."""

    def as_tested(self, pairs: WeightedPairs, contexts: Contexts) -> Contexts:
        """Return the contexts as they are: units are moments, which says nothing of nodes."""
        return contexts

    def tally(
        self,
        none: Float[Tensor, " cells"],
        cell: Int[Tensor, " pairs"],
        pairs: WeightedPairs,
        row: Int[Tensor, " pairs"],
    ) -> Float[Tensor, " cells"]:
        """Return the latest unit of each cell, the first one being 1."""
        unit = torch.zeros(len(row)) if pairs.unit is None else torch.from_numpy(pairs.unit)[row]
        return none.scatter_reduce(0, cell, 1 + unit.float(), "amax")


class LastBefore(Before):
    """The last time before a limit that each row has."""

    def seen(self, row: Int[Tensor, " pairs"], cell: Int[Tensor, " pairs"]) -> Tensor:
        """Return the latest unit of cells that rows see, the first one being 1; 0 for none."""
        keys, n_units = self.units.keys, self.units.n_units
        key = keys[torch.searchsorted(keys, cell * n_units + self.limit[row]) - 1]
        return torch.where((key // n_units == cell) & (key >= 0), 1 + key % n_units, 0).float()


class Recency(Truncating):
    """Score a service by minus the logarithm of its place, the last to follow having the first.

    Services that followed the deepest truncation of the context that was seen come first, by when
    they did so last; then those that followed one generation less, and so on; at last all others,
    which share a place. Times are those at which compositions ended; what ended at one moment
    shares a place, too.
    """

    table_of = LastTimes
    before = LastBefore
    in_order = True

    def scored(self, view: View) -> Float[Tensor, "rows services"]:
        """Return minus the logarithm of each service's place."""
        n_rows, n_services = view.entries.shape[1], self.facts.n_services
        worth = torch.zeros(n_rows, n_services, dtype=torch.double, device=view.entries.device)
        step = 1 + self.table.counts.max().double() if len(self.table.counts) else 1
        for generation, entry in enumerate(view.entries):
            row, cell = self.table.listed(entry)
            time = view.seen(row, cell).double()
            row, cell, time = (each[time > 0] for each in (row, cell, time))
            worth[row, self.table.cells[cell] % n_services] = generation * step + time
        n_below = torch.searchsorted(worth.sort(1).values, worth, right=True)
        return -torch.log1p((n_services - n_below).float())
