"""A prior for a network's scores: what counting believes, weighed by numbers that are learnt.

Source: Mikolov et al., "Strategies for Training Large Scale Neural Network Language Models", ASRU
2011, §3.2 (a network trained jointly with n-gram features).
Differs from the source: three features, the counts' log probability among them, instead of a weight
per n-gram, and a training row does not see its own occurrence in the counts.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Share
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.ragged import find_sorted
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.truncated_counts import UNSEEN, TruncatedCounts, interpolated

GENERATIONS, SMOOTHING = 8, 1.0  # as configs/model/backoff.yaml has them
FIRST_WEIGHTS = (1.0, 1.0, 0.0)  # weights of log p, of whether it was seen there, of log popularity

Hidden = Literal["row", "group", "time"]


class CountPrior(nn.Module):
    """Score a service by ``a log p + b [seen after the last node] + c log popularity``.

    ``p`` interpolates the counts of truncated contexts, as ``model=backoff`` does; ``a``, ``b`` and
    ``c`` are learnt with the network whose scores the prior is added to.

    Parameters
    ----------
    n_services
        Size of the catalogue.
    edge_dropout
        Probability, in ``[0, 1)``, that a training row's target has never followed its last node.
    """

    def __init__(self, n_services: int, edge_dropout: Share) -> None:
        super().__init__()
        self.edge_dropout = edge_dropout
        self.table = TruncatedCounts(n_services, GENERATIONS)
        self.weights = nn.Parameter(torch.tensor(FIRST_WEIGHTS))

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the prior after each context, from all that was counted."""
        counts = (self.table.after(entry) for entry in self.table.entries(contexts))
        return self.weigh(_beliefs(counts))

    def of_rows(
        self, beliefs: Float[Tensor, "ways rows services 3"]
    ) -> Float[Tensor, "rows services"]:
        """Return the prior of training rows, of some without their edge: see :class:`RowCounts`."""
        if not (self.training and self.edge_dropout):
            return self.weigh(beliefs[0])
        known, new = beliefs
        is_new = torch.rand(len(known), 1, device=known.device) < self.edge_dropout
        return self.weigh(new).where(is_new, self.weigh(known))

    def weigh(self, beliefs: Float[Tensor, "*rows 3"]) -> Float[Tensor, "*rows"]:
        """Return the prior that features make."""
        return beliefs @ self.weights


class RowCounts:
    """The counts that each training row sees: those that a test row in its place would see.

    They lack what is hidden from it. Looking up takes time by the counts that there are after its
    truncations; memory is one number per truncation, service and unit that occur together.

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
        self.hidden = hidden
        self.entries = torch.stack(list(self.table.entries(contexts)))
        self.context = torch.from_numpy(pairs.context).long()
        self.target = torch.from_numpy(pairs.target).long()
        unit = torch.zeros_like(self.target)
        if hidden != "row" and pairs.unit is not None:
            unit = torch.from_numpy(pairs.unit).long()
            self._count_units(unit, torch.from_numpy(pairs.weight))
        self.unit = unit

    def beliefs(self, rows: Int[Tensor, " rows"]) -> Float[Tensor, "ways rows services 3"]:
        """Return what the prior weighs, for some of the rows.

        Ways are one, or, with edge dropout, two: as counted, and as if the target had never
        followed the last node.
        """
        counts = [
            self.table.after(entry, lambda row, cell: self._seen(rows[row], cell))
            for entry in self.entries[:, self.context[rows]]
        ]
        ways = [_beliefs(counts)]
        if self.drops_edges:
            row = torch.arange(len(rows))
            for after in counts[1:]:
                after[row, self.target[rows]] = 0
            ways.append(_beliefs(counts))
        return torch.stack(ways)

    def _count_units(self, unit: Tensor, weight: Tensor) -> None:
        """Sum the weights of each unit's rows in each cell, from the first cell's first unit on."""
        #   keys        cell 0: unit 1   cell 0: unit 4   cell 1: unit 1    sorted
        #   weight            2                1                3
        #   up_to       0           2                3                6     so that any range of
        #                                                                   units is a difference
        entry = self.entries[:, self.context]
        is_there = entry != UNSEEN
        cell, _ = find_sorted(self.table.cells, entry * self.table.n_services + self.target)
        self.n_units = int(unit.max()) + 1
        keys, place = torch.unique((cell * self.n_units + unit)[is_there], return_inverse=True)
        total = torch.zeros(len(keys) + 1, dtype=torch.float64)
        total.index_add_(0, place + 1, weight.expand_as(entry)[is_there].double())
        self.keys, self.up_to = keys, total.cumsum(0)

    def _seen(self, rows: Tensor, cell: Tensor) -> Tensor:
        """Return the counts of cells that rows see."""
        every = self.table.counts[cell]
        if self.hidden == "row":
            is_own = self.table.cells[cell] % self.table.n_services == self.target[rows]
            return every - is_own.to(every.dtype)
        first, own = cell * self.n_units, cell * self.n_units + self.unit[rows]
        if self.hidden == "time":
            return self._between(first, own)
        return every - self._between(own, own + 1)

    def _between(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the weight of the keys from ``start`` up to, not including, ``end``."""
        low, high = (torch.searchsorted(self.keys, key) for key in (start, end))
        return (self.up_to[high] - self.up_to[low]).float()


def _beliefs(counts: Iterable[Tensor]) -> Float[Tensor, "rows services 3"]:
    """Return log p, whether a service was seen after the last node, and log popularity.

    Parameters
    ----------
    counts
        Of each truncation, the empty one first, ``[rows, services]``.
    """
    (_, popularity), (after_last, p), *deeper = interpolated(counts, SMOOTHING)
    if deeper:
        p = deeper[-1][1]
    return torch.stack([p.log(), (after_last > 0).to(p.dtype), popularity.log()], dim=2).float()
