"""A prior for a network's scores: what counting believes, weighed by numbers that are learnt.

Source: Mikolov et al., "Strategies for Training Large Scale Neural Network Language Models", ASRU
2011, §3.2 (a network trained jointly with n-gram features).
Differs from the source: three features, the counts' log probability among them, instead of a weight
per n-gram, and a training row does not see its own occurrence in the counts.
"""

from copy import deepcopy
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Share
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.ragged import block_places, find_sorted, gather_places
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.interpolated_counts import Beliefs, View, interpolated
from dagrec_cli.models.layers.truncated_counts import UNSEEN, TruncatedCounts, summed

GENERATIONS, SMOOTHING = 8, 4.0  # with less, log p is too sure of itself
FIRST_WEIGHTS = (1.0, 1.0, 0.0)  # weights of log p, of whether it was seen there, of log popularity
MOST_KEPT = 2**25  # services after all rows' last nodes that take a gigabyte at most
ROWS_LOOKED_UP = 2**13

Hidden = Literal["row", "group", "time"]


class CountPrior(nn.Module):
    """Score a service by ``a log p + b [seen after the last node] + c log popularity``.

    ``p`` interpolates the counts of truncated contexts, as ``model=backoff`` does; ``a``, ``b`` and
    ``c`` are learnt with the network whose scores the prior is added to.

    Parameters
    ----------
    vocabulary
        What the model knows.
    edge_dropout
        Probability, in ``[0, 1)``, that a training row's target has never followed its last node.
    by_owner
        Whether what followed for the composition's owner counts first.
    """

    def __init__(self, vocabulary: Vocabulary, edge_dropout: Share, by_owner: bool = False) -> None:
        super().__init__()
        self.edge_dropout = edge_dropout
        self.table = TruncatedCounts(vocabulary, GENERATIONS, by_owner=by_owner)
        self.weights = nn.Parameter(torch.tensor(FIRST_WEIGHTS))

    def fill(self, pairs: WeightedPairs, contexts: Contexts, hidden: Hidden) -> "RowCounts":
        """Count the rows to train on, and return what each of them sees of that."""
        return RowCounts(self, pairs, contexts, hidden)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the prior after each context, from all that was counted."""
        view = View(self.table, torch.stack(list(self.table.entries(contexts))))
        return interpolated(view, SMOOTHING).to(torch.float32).weighed(self.weights)

    def of_rows(self, beliefs: Beliefs) -> Float[Tensor, "rows services"]:
        """Return the prior of training rows, of some without their edge: see :class:`RowCounts`."""
        if self.training and len(beliefs.shift) > 1:
            drawn = torch.rand(len(beliefs.size), device=beliefs.size.device)
            beliefs = beliefs.mixed(drawn < self.edge_dropout)
        return beliefs.weighed(self.weights)


class RowCounts:
    """The counts that each training row sees: those that a test row in its place would see.

    They lack what is hidden from it. Looking up takes time and memory by the services that were
    seen after the rows' last nodes; it is done once if these are few enough (:data:`MOST_KEPT`),
    and for each batch otherwise.

    Parameters
    ----------
    prior
        Its table is filled here with the rows, which is what test rows see.
    pairs
        The rows; ``pairs.context`` are positions in ``contexts``.
    hidden
        From a row ``row`` hides one occurrence of its own, ``group`` all of its unit, ``time`` all
        that is not of an earlier unit.
    """

    def __init__(
        self, prior: CountPrior, pairs: WeightedPairs, contexts: Contexts, hidden: Hidden
    ) -> None:
        prior.table.fill(pairs, contexts)
        self.table = deepcopy(prior.table)  # which stays where it is, wherever the model goes
        self.drops_edges = prior.edge_dropout > 0
        self.entries = self.table.of_rows(pairs, self.table.as_tested(pairs, contexts))
        self.target = torch.from_numpy(pairs.target).long()
        self.view = {"row": WithoutOwn, "group": WithoutGroup, "time": Earlier}[hidden]
        if hidden != "row":
            self.units = UnitCounts(self.table, self.entries, pairs)

    def beliefs(self, rows: Int[Tensor, " rows"]) -> Beliefs:
        """Return what the prior weighs of some rows: in one way, or in two if edges are dropped."""
        return self._look_up(rows) if self._kept is None else self._kept.of(rows)

    @cached_property
    def _kept(self) -> Beliefs | None:
        """What is weighed of all rows; None if that is too much."""
        size = int(self.table.sizes(self.entries[:2][-1]).sum())
        if self.view is WithoutGroup:
            size += int(self.units.size[self.units.unit].sum())
        if self.view is Earlier:
            size += len(self.target) * self.table.n_services
        if size > MOST_KEPT:
            return None
        rows = torch.split(torch.arange(len(self.target)), ROWS_LOOKED_UP)
        return Beliefs.joined([self._look_up(some) for some in rows])

    def _look_up(self, rows: Int[Tensor, " rows"]) -> Beliefs:
        dropped = self.target[rows] if self.drops_edges else None
        return interpolated(self.view(self, rows), SMOOTHING, dropped).to(torch.float32)


class UnitCounts:
    """A table's counts by unit: one number for each cell and unit that occur together.

    ::

        keys        cell 0: unit 1   cell 0: unit 4   cell 1: unit 1      sorted
        weight            2                1                3
        up_to       0           2                3                6       so that those of a range
                                                                          of units are a difference

    Attributes
    ----------
    unit
        Of each row, numbered from 0 in their order.
    size, service, weight
        How many services each unit has as targets, these, one unit after the other, and how often.
    """

    def __init__(
        self, table: TruncatedCounts, entries: Int[Tensor, "_ rows"], pairs: WeightedPairs
    ) -> None:
        unit = np.zeros_like(pairs.target) if pairs.unit is None else pairs.unit
        self.unit = torch.from_numpy(np.unique(unit, return_inverse=True)[1])
        self.n_units = int(self.unit.max()) + 1
        target = torch.from_numpy(pairs.target).long()
        weight = torch.from_numpy(pairs.weight).double()
        cell, _ = find_sorted(table.cells, entries * table.n_services + target)
        is_there = entries != UNSEEN
        keys = (cell * self.n_units + self.unit)[is_there]
        self.keys, each = summed(keys, weight.expand_as(cell)[is_there])
        each = each**pairs.repeat_alpha
        self.up_to = torch.cat([each.new_zeros(1), each.cumsum(0)])

        self.n_services = table.n_services
        keys, weight = summed(self.unit * self.n_services + target, weight)
        self.weight = weight**pairs.repeat_alpha
        self.size = torch.bincount(keys // self.n_services, minlength=self.n_units)
        self.service = keys % self.n_services

    def between(
        self, cell: Int[Tensor, " pairs"], start: Tensor, end: Tensor
    ) -> Float[Tensor, " pairs"]:
        """Return the weight in cells of the units from ``start`` up to, not including, ``end``."""
        low, high = (torch.searchsorted(self.keys, cell * self.n_units + u) for u in (start, end))
        return (self.up_to[high] - self.up_to[low]).float()

    @cached_property
    def _milestones(self) -> tuple[int, Float[Tensor, "stones services"]]:
        """How many units lie between two milestones, and the counts of services before each."""
        apart = -(-self.n_units * self.n_services // MOST_KEPT)
        stone = torch.repeat_interleave(self.size) // apart
        shape = self.n_units // apart + 2, self.n_services
        counts = self.weight.new_zeros(shape[0] * shape[1])
        counts.index_add_(0, (stone + 1) * self.n_services + self.service, self.weight)
        return apart, counts.view(shape).cumsum(0)

    def before(self, limit: Int[Tensor, " limits"]) -> Float[Tensor, "limits services"]:
        """Return how often each service was counted in the units before each limit."""
        #   unit        0  1  2  3  4  5  6  7         milestones 3 apart, limit 5:
        #               |________|                     what the milestone at 3 has counted,
        #                        |__|                  and units 3 and 4 one by one
        apart, counts = self._milestones
        stone = limit // apart
        start = torch.cat([self.size.new_zeros(1), self.size.cumsum(0)])
        first = start[stone * apart]
        row, place = gather_places(first, start[limit] - first)
        whole = counts[stone]
        cell = row * self.n_services + self.service[place]
        whole.view(-1).index_add_(0, cell, self.weight[place])
        return whole


class RowView(View):
    """What some training rows see of the counts."""

    def __init__(self, counts: RowCounts, rows: Int[Tensor, " rows"]) -> None:
        super().__init__(counts.table, counts.entries[:, rows])
        self.counts = counts
        self.rows = rows


class WithoutOwn(RowView):
    """All but one occurrence of the row itself."""

    def seen(self, row: Int[Tensor, " pairs"], cell: Int[Tensor, " pairs"]) -> Tensor:
        """Return the counts of cells that rows see."""
        service = self.table.cells[cell] % self.table.n_services
        is_own = service == self.counts.target[self.rows[row]]
        return super().seen(row, cell) - is_own.float()

    def hidden(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return each row's target, once."""
        row = torch.arange(len(self.rows))
        return row, self.counts.target[self.rows], torch.ones(len(row))


class WithoutGroup(RowView):
    """All but what is of the row's unit."""

    def seen(self, row: Int[Tensor, " pairs"], cell: Int[Tensor, " pairs"]) -> Tensor:
        """Return the counts of cells that rows see."""
        units = self.counts.units
        unit = units.unit[self.rows[row]]
        left = super().seen(row, cell) - units.between(cell, unit, unit + 1)
        return left.where(left > 0.5, 0.0)  # a unit counts 1 or more, what is less is rounding

    def hidden(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the targets of each row's unit."""
        units = self.counts.units
        row, place = block_places(units.size, units.unit[self.rows])
        return row, units.service[place], units.weight[place]


class Before(View):
    """What is of units before a limit that each row has.

    Parameters
    ----------
    limit
        The first unit that a row does not see, ``[rows]``.
    """

    def __init__(
        self,
        table: TruncatedCounts,
        entries: Int[Tensor, "_ rows"],
        units: UnitCounts,
        limit: Int[Tensor, " rows"],
    ) -> None:
        super().__init__(table, entries)
        self.units = units
        self.limit = limit

    def seen(self, row: Int[Tensor, " pairs"], cell: Int[Tensor, " pairs"]) -> Tensor:
        """Return the counts of cells that rows see."""
        limit = self.limit[row]
        return self.units.between(cell, torch.zeros_like(limit), limit)

    def popularity(self) -> Float[Tensor, "rows services"]:
        """Return how often each service was counted before each row's limit."""
        # Once per limit: rows of one moment see the same.
        limit, of_row = torch.unique(self.limit, return_inverse=True)
        return self.units.before(limit)[of_row]


class Earlier(Before):
    """What is of units before the row's own."""

    def __init__(self, counts: RowCounts, rows: Int[Tensor, " rows"]) -> None:
        units = counts.units
        super().__init__(counts.table, counts.entries[:, rows], units, units.unit[rows])
