"""The DAG mask: services that never followed a context's last node are ruled out as the next.

Source: PAPER §3 ("DAG mask"). Scores become minus infinity, so probabilities are zero there and sum
to one over the valid services.
Differs from the source: where services are ranked, those that are ruled out do not tie but follow
the others by their own scores (:func:`~dagrec_cli.evaluation.ranks.outcomes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dagrec_cli.data.ragged import block_places, block_starts, find_sorted
from dagrec_cli.data.service_graph import ServiceGraph

SMALL_TABLE = 100_000  # scores of a table that take no longer than lists, however short
DENSE_PER_CHOICE = 5  # scores of a table that take the time of one of a list


class DagMask:
    """Which services the graph allows after a node.

    A node without known successors allows all services.
    """

    def __init__(self, graph: ServiceGraph, n_services: int) -> None:
        self.graph = graph
        self.n_services = n_services

    def choices(self, last: Int[Tensor, " contexts"]) -> "AllowedServices":
        """Return the services that may follow each of the given last nodes."""
        size, classes = self.graph.followers(last.cpu().numpy())
        allowed = AllowedServices(
            torch.from_numpy(size), torch.from_numpy(classes).long(), self.n_services
        )
        return allowed.to(last.device)

    def __call__(
        self, scores: Float[Tensor, "contexts services"], last: Int[Tensor, " contexts"]
    ) -> Float[Tensor, "contexts services"]:
        """Return scores with minus infinity where the service is forbidden."""
        return scores.masked_fill(self.choices(last).forbidden, -torch.inf)


class Shortlist(NamedTuple):
    """Candidates of those contexts of a batch that have about as many.

    Attributes
    ----------
    context
        Which contexts of the batch.
    classes
        Services that may follow each, ascending; then the size of the catalogue, as padding.
    """

    context: Int[Tensor, " listed"]
    classes: Int[Tensor, "listed longest"]

    def find(
        self, row: Int[Tensor, " pairs"], target: Int[Tensor, " pairs"]
    ) -> tuple[Int[Tensor, " pairs"], Bool[Tensor, " pairs"]]:
        """Return where in their rows targets stand, and whether they do (if not: anywhere)."""
        width = self.classes.shape[1]
        key = int(self.classes.max()) + 1  # more than any class, so that rows do not overlap
        rows = torch.arange(len(self.classes), device=row.device) * key
        keys = (self.classes + rows[:, None]).flatten()
        place, is_there = find_sorted(keys, target + row * key)
        return place % width, is_there


@dataclass(frozen=True)
class AllowedServices:
    """The services that may follow each context of a batch.

    Attributes
    ----------
    size
        How many are known for each context; 0 if none is, so that all services may follow.
    classes
        Their classes, ascending, one context after the other.
    n_services
        Size of the catalogue.
    """

    size: Int[Tensor, " contexts"]
    classes: Int[Tensor, " choices"]
    n_services: int

    def to(self, device: torch.device) -> "AllowedServices":
        """Return the same choices on a device."""
        return AllowedServices(self.size.to(device), self.classes.to(device), self.n_services)

    def of(self, rows: Int[Tensor, " rows"]) -> "AllowedServices":
        """Return the choices of some contexts, which may repeat."""
        _, place = block_places(self.size, rows)
        return AllowedServices(self.size[rows], self.classes[place], self.n_services)

    def split(
        self, row: Int[Tensor, " pairs"]
    ) -> Iterator[tuple[Shortlist, Int[Tensor, " mine"], Int[Tensor, " mine"]]]:
        """Yield each list, which pairs are of its contexts, and their rows in the list.

        Parameters
        ----------
        row
            Context of each pair.
        """
        place = torch.empty_like(self.size)
        for part in self.lists:
            place.fill_(-1)[part.context] = torch.arange(len(part.context), device=place.device)
            listed_rows = (place[row] >= 0).nonzero().squeeze(1)
            yield part, listed_rows, place[row[listed_rows]]

    @cached_property
    def is_dense(self) -> bool:
        """Whether a table of all services is quicker than lists.

        It is if it has no more than :data:`SMALL_TABLE` cells, or less than
        :data:`DENSE_PER_CHOICE` times as many as lists have.
        """
        every = len(self.size) * self.n_services
        listed = int(self.size.where(self.size > 0, self.n_services).sum())
        return every <= SMALL_TABLE or every < DENSE_PER_CHOICE * listed

    @cached_property
    def forbidden(self) -> Bool[Tensor, "contexts services"]:
        """True where a service may not follow."""
        shape = len(self.size), self.n_services
        table = torch.ones(shape, dtype=torch.bool, device=self.size.device)
        row = torch.arange(len(self.size), device=self.size.device).repeat_interleave(self.size)
        table[row, self.classes] = False
        table[self.size == 0] = False
        return table

    @cached_property
    def lists(self) -> list[Shortlist]:
        """The same as lists; together they hold each context once.

        Contexts go together whose number of choices has the same power of two above it, so that
        padding is less than half of a list.
        """
        start = block_starts(self.size)
        power = self.size.log2().ceil()
        lists = []
        for exponent in sorted(set(power.tolist())):
            context = (power == exponent).nonzero().squeeze(1)
            size = self.size[context]
            width = int(size.max()) or self.n_services
            column = torch.arange(width, device=size.device)
            if exponent < 0:  # the logarithm of none
                classes = column.expand(len(context), -1)
            else:
                place = (start[context, None] + column).clamp(max=len(self.classes) - 1)
                is_choice = column < size[:, None]
                classes = self.classes[place].where(is_choice, self.n_services)
            lists.append(Shortlist(context, classes))
        return lists
