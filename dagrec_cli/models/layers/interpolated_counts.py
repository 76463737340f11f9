"""Probabilities that counts after ever deeper truncations leave the services, without a table.

Source: MacKay & Peto, "A Hierarchical Dirichlet Language Model", Natural Language Engineering 1995,
eq. 7. A service that was never seen after a context has its popularity times a factor of the
context, so only those that were seen are computed one by one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dagrec_cli.data.ragged import block_places
from dagrec_cli.models.layers.truncated_counts import TruncatedCounts

SeenCounts = Sequence[tuple[Tensor, Tensor, Tensor]]  # of a truncation: rows, places, counts


class Beliefs(NamedTuple):
    """What counts say of every service: its popularity, and what differs from it.

    ::

        service    0        1            2        3
        log p      P0 + s   P1 + s + e   P2 + s   P3 + s + e      P popularity, s shift of the row,
                            ^ cell                ^ cell          e extra of a cell

    Ways are one, or two: as counted, and as if one service of each row had never followed.

    Attributes
    ----------
    popularity
        Logarithm of each service's share, for each row or once for all.
    size
        How many cells each row has.
    service
        Of each cell; those of one row stand together, ascending.
    shift
        What a row adds to popularity, for log p and for log popularity as it sees it.
    extra
        What a cell adds to that: for log p, for whether the service was seen after the last node,
        which is 0 elsewhere, and for log popularity.
    """

    popularity: Float[Tensor, "_ services"]
    size: Int[Tensor, " rows"]
    service: Int[Tensor, " cells"]
    shift: Float[Tensor, "ways rows 2"]
    extra: Float[Tensor, "ways cells 3"]

    @property
    def row(self) -> Int[Tensor, " cells"]:
        """Row of each cell."""
        return torch.repeat_interleave(self.size)

    def weighed(self, weights: Float[Tensor, "3"]) -> Float[Tensor, "rows services"]:
        """Return ``a log p + b [seen after the last node] + c log popularity``, as counted."""
        everywhere = (weights[0] + weights[2]) * self.popularity
        everywhere = everywhere + (self.shift[0] @ weights[::2])[:, None]
        cell = self.row * everywhere.shape[1] + self.service
        return everywhere.flatten().index_add(0, cell, self.extra[0] @ weights).view_as(everywhere)

    def mixed(self, is_second: Bool[Tensor, " rows"]) -> "Beliefs":
        """Return one way: the second for the rows that are named."""
        shift = self.shift[1].where(is_second[:, None], self.shift[0])
        extra = self.extra[1].where(is_second[self.row, None], self.extra[0])
        return self._replace(shift=shift[None], extra=extra[None])

    def of(self, rows: Int[Tensor, " rows"]) -> "Beliefs":
        """Return those of some of the rows, in any order."""
        _, place = block_places(self.size, rows)
        is_shared = len(self.popularity) == 1
        return Beliefs(
            self.popularity if is_shared else self.popularity[rows],
            self.size[rows],
            self.service[place],
            self.shift[:, rows],
            self.extra[:, place],
        )

    @classmethod
    def joined(cls, parts: Sequence["Beliefs"]) -> "Beliefs":
        """Return the rows of all parts, one after the other."""
        popularity, size, service, shift, extra = zip(*parts, strict=True)
        is_shared = len(popularity[0]) == 1
        return cls(
            popularity[0] if is_shared else torch.cat(popularity),
            torch.cat(size),
            torch.cat(service),
            torch.cat(shift, dim=1),
            torch.cat(extra, dim=1),
        )

    def to(self, target: torch.device | torch.dtype) -> "Beliefs":
        """Return the same on a device, or with numbers of a kind."""
        numbers = (part.to(target) for part in (self.popularity, self.shift, self.extra))
        popularity, shift, extra = numbers
        if isinstance(target, torch.dtype):
            return self._replace(popularity=popularity, shift=shift, extra=extra)
        return Beliefs(popularity, self.size.to(target), self.service.to(target), shift, extra)


class View:
    """Which counts rows see; this one shows all there are.

    Parameters
    ----------
    table
        What was counted.
    entries
        Of each row's truncations, the empty one first, ``[generations + 1, rows]``.
    """

    def __init__(self, table: TruncatedCounts, entries: Int[Tensor, "_ rows"]) -> None:
        self.table = table
        self.entries = entries

    def seen(self, row: Int[Tensor, " pairs"], cell: Int[Tensor, " pairs"]) -> Tensor:
        """Return the counts of cells that rows see."""
        return self.table.counts[cell]

    def popularity(self) -> Float[Tensor, "_ services"]:
        """Return how often each service was counted, for each row or once for all."""
        return self.table.after(torch.zeros(1, dtype=torch.long, device=self.entries.device))

    def hidden(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return what rows do not see of that: row, service, weight; no pair twice."""
        none = self.entries[0, :0]
        return none, none, none.float()

    def keys(self, row: Int[Tensor, " pairs"], cell: Int[Tensor, " pairs"]) -> Tensor:
        """Return a number for a row and a cell's service, ascending as rows and cells are."""
        return row * self.table.n_services + self.table.cells[cell] % self.table.n_services


def interpolated(
    view: View, smoothing: float, dropped: Int[Tensor, " rows"] | None = None
) -> Beliefs:
    """Return what the counts that rows see say of the services, in 64 bits.

    ``p = (count + smoothing * p_before) / (total + smoothing)``, from the uniform distribution on,
    for one truncation after the other. Takes time by the counts after the rows' last nodes.

    Parameters
    ----------
    smoothing
        Occurrences that the opinion of one generation less is worth, above 0.
    dropped
        A service of each row which, in a second way, is taken never to have followed its last node.
    """
    n_services, uniform = view.table.n_services, smoothing / view.table.n_services
    lists = [view.table.listed(entry) for entry in view.entries[1:]]
    row_out, service_out, out = view.hidden()
    # A row's cells are the services that followed its last node, among which are all that followed
    # a deeper truncation, and those of which it does not see all.
    key_out = row_out * n_services + service_out
    key = torch.unique(torch.cat([key_out, *(view.keys(*pairs) for pairs in lists[:1])]))
    row, service = key // n_services, key % n_services

    counts = view.popularity().double()
    total = counts.sum(1)
    popularity = ((counts + uniform) / (total[:, None] + smoothing)).log()
    of_row = torch.zeros_like(row) if len(counts) == 1 else row
    left, left_total = counts[of_row, service], total.expand(view.entries.shape[1]).clone()
    left[torch.searchsorted(key, key_out)] -= out.double()
    left.clamp_(min=0)  # rounding
    left_total.index_add_(0, row_out, -out.double())
    seen_popularity = ((left + uniform) / (left_total + smoothing)[row]).log()
    shift = ((total + smoothing) / (left_total + smoothing)).log()
    elsewhere = popularity[of_row, service] + shift[row]

    seen = [
        (at, torch.searchsorted(key, view.keys(at, cell)), view.seen(at, cell).double())
        for at, cell in lists
    ]
    ways = [seen]
    if dropped is not None:
        ways.append(
            [
                (at, place, count.where(service[place] != dropped[at], 0.0))
                for at, place, count in seen
            ]
        )
    shifts, extras = [], []
    for way in ways:
        q, log_f = _deepened(seen_popularity, len(shift), way, smoothing)
        is_seen = torch.zeros_like(q)
        for _, place, count in way[:1]:
            is_seen[place] = (count > 0).double()
        shifts.append(torch.stack([shift + log_f, shift], dim=1))
        extras.append(torch.stack([q - elsewhere, is_seen, seen_popularity - elsewhere], dim=1))
    size = torch.bincount(row, minlength=len(shift))
    return Beliefs(popularity, size, service, torch.stack(shifts), torch.stack(extras))


def _deepened(
    popularity: Float[Tensor, " cells"], n_rows: int, seen: SeenCounts, smoothing: float
) -> tuple[Float[Tensor, " cells"], Float[Tensor, " rows"]]:
    """Return the logarithms of ``p / f`` in cells and of ``f`` in rows.

    ``f`` is the product of ``smoothing / (total + smoothing)``: what the steps to deeper
    truncations leave of ``p`` where nothing was counted. So ``p / f`` stays as it is there, and
    grows by ``count / (smoothing * f)`` elsewhere. Logarithms do not end at 0, however deep.
    """
    q, log_f = popularity.clone(), popularity.new_zeros(n_rows)
    for row, place, count in seen:
        q[place] = torch.logaddexp(q[place], (count / smoothing).log() - log_f[row])
        total = torch.zeros_like(log_f).index_add_(0, row, count)
        log_f = log_f - (total / smoothing).log1p()
    return q, log_f
