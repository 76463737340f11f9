"""A batch of contexts, the input of every model: each view of it is made when first asked for."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.ragged import block_starts
from dagrec_cli.data.vocabulary import PAD, UNKNOWN_OWNER, UnknownNames

CPU = torch.device("cpu")


class ContextRows(NamedTuple):
    """Contexts as rows of node indices, in topological order.

    Attributes
    ----------
    nodes
        The context's last node last, right-padded with 0 to the longest context of the batch.
    length
        Number of nodes in each context, 1 and up.
    """

    nodes: Int[Tensor, "contexts longest"]
    length: Int[Tensor, " contexts"]

    def at_last(
        self, states: Float[Tensor, "contexts longest width"]
    ) -> Float[Tensor, "contexts width"]:
        """Return, of a state per cell, those of the contexts' last nodes."""
        return states[torch.arange(states.shape[0], device=states.device), self.length - 1]

    def left_padded(self, width: int) -> Int[Tensor, "contexts width"]:
        """Return rows padded with 0 on the left; longer contexts keep their last nodes."""
        steps = torch.arange(width, device=self.length.device)
        column = steps - (width - self.length[:, None])
        rows = self.nodes.gather(1, column.clamp(min=0, max=self.nodes.shape[1] - 1))
        return rows.masked_fill(column < 0, PAD)


class ContextLevel(NamedTuple):
    """What leads to the entries of one level, which are those of one depth.

    Links come from the level before, or from what was kept of earlier ones. ``pool`` is both, end
    to end: first what was kept.

    Attributes
    ----------
    source
        Where in the pool each link comes from; links of one entry stand together.
    target
        Which entry of the level each link leads to; None where each has one.
    share
        One divided by the number of links that lead to the same entry.
    kept
        What of the pool later levels need: it is the beginning of the next pool.
    """

    source: Int[Tensor, " links"]
    target: Int[Tensor, " links"] | None
    share: Float[Tensor, " links"]
    kept: Int[Tensor, " kept"]


class Levels(NamedTuple):
    """Contexts and all that leads to them, each once, level by level: sources, then depth 2, ….

    Attributes
    ----------
    node
        Last node of each entry.
    sizes
        How many entries each level has.
    deeper
        What leads to the entries of each level but the first.
    context
        Which entry each context is.
    """

    node: Int[Tensor, " entries"]
    sizes: list[int]
    deeper: list[ContextLevel]
    context: Int[Tensor, " contexts"]

    def walk(
        self,
        first: Float[Tensor, "sources width"],
        step: Callable[[int, Tensor, ContextLevel], Tensor],
    ) -> Float[Tensor, "entries width"]:
        """Return the states of all entries, made level by level.

        Parameters
        ----------
        first
            States of the first level.
        step
            Function of a level's number, from 1, of the states sent along the links to it, and of
            the level; returns the level's states.
        """
        pool = first
        states = [pool]
        for number, level in enumerate(self.deeper, start=1):
            new = step(number, pool.index_select(0, level.source), level)
            states.append(new)
            kept = pool.index_select(0, level.kept) if len(level.kept) else None
            pool = new if kept is None else torch.cat([kept, new])
        return torch.cat(states)

    @property
    def merges(self) -> bool:
        """Whether more than one link leads to some entry."""
        return any(level.target is not None for level in self.deeper)

    @classmethod
    def of(cls, dag: ContextDag, contexts: NDArray[np.int32], device: torch.device) -> "Levels":
        """Return the levels of some contexts of a DAG."""
        every = dag.ancestors(contexts)
        place = np.empty(len(dag), np.int64)
        place[every] = np.arange(len(every))

        def tensor(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(values).to(device)

        sizes = np.bincount(dag.depth[every])[1:]
        return cls(
            tensor(dag.node[every].astype(np.int64)),
            sizes.tolist(),
            list(_deeper(dag, every, place, sizes, tensor)),
            tensor(place[contexts]),
        )


def _deeper(
    dag: ContextDag,
    every: NDArray[np.int32],
    place: NDArray[np.int64],
    sizes: NDArray[np.int64],
    tensor: Callable[[NDArray[np.generic]], Tensor],
) -> Iterator[ContextLevel]:
    """Yield each level but the first; ``place`` is the position of an entry in ``every``."""
    child, parent = dag.parents_of(every)
    source = place[parent]
    last_use = np.zeros(len(every), np.int32)  # depth of the deepest child
    np.maximum.at(last_use, source, dag.depth[every][child])
    n_parents = dag.n_parents[every]
    first, link = block_starts(sizes), n_parents.cumsum()
    in_pool = np.empty(len(every), np.int64)
    pool = np.arange(sizes[0]) if len(sizes) else first
    for depth, (start, size) in enumerate(zip(first[1:], sizes[1:], strict=True), start=2):
        links = slice(link[start - 1], link[start + size - 1])
        in_pool[pool] = np.arange(len(pool))
        n_above = n_parents[start : start + size]
        kept = np.flatnonzero(last_use[pool] > depth)
        is_single = links.stop - links.start == size
        yield ContextLevel(
            tensor(in_pool[source[links]]),
            None if is_single else tensor(child[links] - start),
            tensor(np.repeat((1 / n_above).astype(np.float32), n_above)),
            tensor(kept),
        )
        pool = np.concatenate([pool[kept], np.arange(start, start + size)])


class Contexts:
    """Some contexts of a DAG, on a device.

    Parameters
    ----------
    dag, entries
        The contexts, as entries of a DAG; they may repeat.
    device
        Where the views lie.
    owner
        Who asks after each, by the model's number of owners; None where that is not known.
    """

    def __init__(
        self,
        dag: ContextDag | None,
        entries: NDArray[np.int32],
        device: torch.device = CPU,
        owner: NDArray[np.int32] | None = None,
    ) -> None:
        self.dag = dag
        self.entries = entries
        self.device = device
        self.owner = np.full(len(entries), UNKNOWN_OWNER, np.int32) if owner is None else owner

    @classmethod
    def asked(
        cls, dag: ContextDag, context: NDArray[np.int32], owner: NDArray[np.int32] | None = None
    ) -> tuple["Contexts", NDArray[np.int64]]:
        """Return the contexts of pairs, each once per owner, and which of them each pair has.

        They are in the order of their entries, then of owners.
        """
        owner = np.full(len(context), UNKNOWN_OWNER, np.int32) if owner is None else owner
        n_owners = int(owner.max(initial=0)) + 1
        key = context.astype(np.int64) * n_owners + owner
        distinct, row = np.unique(key, return_inverse=True)
        entries, owner = (part.astype(np.int32) for part in np.divmod(distinct, n_owners))
        return cls(dag, entries, owner=owner), row

    @classmethod
    def of_pairs(cls, dataset: Dataset, rows: Rows) -> tuple["Contexts", Pairs]:
        """Return the contexts of some pairs as a model reads them, and the pairs in their places.

        See :meth:`asked`.
        """
        pairs = dataset.pairs.take(rows)
        owner = dataset.owner_as_read[pairs.composition]
        contexts, row = cls.asked(dataset.as_read, pairs.context, owner)
        return contexts, pairs._replace(context=row.astype(np.int32))

    def take(self, rows: slice | NDArray[np.int32]) -> "Contexts":
        """Return some of the contexts."""
        return Contexts(self.dag, self.entries[rows], self.device, self.owner[rows])

    @classmethod
    def of_rows(
        cls, nodes: Int[Tensor, "contexts longest"], length: Int[Tensor, " contexts"]
    ) -> "Contexts":
        """Return contexts of which nothing but the rows is known."""
        batch = cls(None, np.zeros(0, np.int32), nodes.device)
        batch.rows = ContextRows(nodes, length)
        batch.last = nodes.gather(1, length[:, None] - 1).squeeze(1)
        batch.owners = torch.full_like(length, UNKNOWN_OWNER)
        return batch

    def __len__(self) -> int:
        return len(self.last)

    def to(self, device: torch.device) -> "Contexts":
        """Return the same contexts on a device."""
        if device == self.device:
            return self
        return Contexts(self.dag, self.entries, device, self.owner)

    @cached_property
    def last(self) -> Int[Tensor, " contexts"]:
        """Index of each context's last node."""
        dag, entries = self.known
        return torch.from_numpy(dag.node[entries]).long().to(self.device)

    @cached_property
    def owners(self) -> Int[Tensor, " contexts"]:
        """Number of who asks after each context."""
        return torch.from_numpy(self.owner).long().to(self.device)

    @cached_property
    def rows(self) -> ContextRows:
        """The contexts as padded rows."""
        dag, entries = self.known
        nodes, length = map(torch.from_numpy, dag.padded(entries))
        return ContextRows(nodes.long().to(self.device), length.long().to(self.device))

    @cached_property
    def spelled(self) -> "Contexts":
        """The same with a node index of its own for each name, also for an unknown one."""
        dag, entries = self.known
        return Contexts(dag.spelled, entries, self.device, self.owner)

    @property
    def unknown(self) -> UnknownNames | None:
        """What nodes are called that the model does not know; None if it knows all."""
        return None if self.dag is None else self.dag.unknown

    def last_nodes(self, most: int) -> Int[Tensor, "contexts width"]:
        """Return the last nodes of each context, ``most`` or fewer, left-padded with 0."""
        if self.dag is None:
            return self.rows.left_padded(most)
        nodes, length = map(torch.from_numpy, self.dag.padded(self.entries, most))
        rows = ContextRows(nodes.long().to(self.device), length.long().to(self.device))
        return rows.left_padded(nodes.shape[1])

    @cached_property
    def levels(self) -> Levels:
        """The contexts and what leads to them, level by level."""
        return Levels.of(*self.known, self.device)

    @property
    def known(self) -> tuple[ContextDag, NDArray[np.int32]]:
        """The DAG and the contexts' entries in it."""
        if self.dag is None:
            raise TypeError("of these contexts nothing but the rows is known")
        return self.dag, self.entries
