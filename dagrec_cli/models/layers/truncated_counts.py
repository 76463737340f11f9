"""How often each service followed contexts cut off some generations up, looked up for many at once.

Source: Weisfeiler & Leman, "The reduction of a graph to canonical form", NTI 1968 (refinement).
Differs from the source: a node is refined by the set of what leads to it, not by the multiset, so
that three equal inputs and two are alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.ragged import find_sorted, gather_places
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER, Vocabulary
from dagrec_cli.models.context_batch import Contexts

UNSEEN = -1
MOST_PAIRS = 2**31  # that are numbered, so no cell has more, and no sum of cells is infinite

UInt64 = NDArray[np.uint64]


class CountTables(nn.Module, ABC):
    """Buffers that are empty at first; one that is loaded brings its size and is checked.

    Parameters
    ----------
    tables
        Kind of number of each buffer.
    """

    def __init__(self, **tables: torch.dtype) -> None:
        super().__init__()
        for name, kind in tables.items():
            self.register_buffer(name, torch.zeros(0, dtype=kind))

    @abstractmethod
    def is_sound(self) -> bool:
        """Return whether the buffers' numbers may be used, whoever wrote them."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Give the buffers the sizes they were saved with, then load and check them."""
        for name, buffer in self.named_buffers(recurse=False):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape != buffer.shape:
                setattr(self, name, torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        if not self.is_sound():
            *_, messages = rest
            messages.append(f"{prefix.rstrip('.')} holds no table of contexts")


def is_sparse(cells: Tensor, values: Tensor) -> bool:
    """Return whether cells are sorted and none of them is there twice, each with a value."""
    return (
        (cells.dim(), values.dim(), len(cells)) == (1, 1, len(values))
        and bool((cells >= 0).all() and ((values >= 0) & (values <= MOST_PAIRS)).all())
        and bool((cells[1:] > cells[:-1]).all())  # a difference may overflow
    )


class TruncatedCounts(CountTables):
    """Counts of the next service after contexts truncated to 0, 1, 2, … generations.

    ``trunc_0`` is empty, ``trunc_1`` the last node, ``trunc_k`` the last node and the set of its
    parents' ``trunc_(k-1)``. A context of fewer generations has no ``trunc_k``: the one before says
    all. On a path ``trunc_k`` are the last k nodes. By owner, ``trunc_1``, … follow once more, of
    the owner who asks alone; of one that is not known there are none.

    Entry 0 is the empty one, entry ``e`` the one with ``hashes[e - 1]``, which are sorted. Hashes
    have 64 bits: that two of a million truncations are taken for one has a chance of 3e-8. Counts
    are a sparse table of non-empty cells, sorted too: cell ``entry * services + class``.

    What occurs ``k`` times in one unit counts ``k ** repeat_alpha``, after each truncation.

    A node that one unit alone has is an UNKNOWN one to the test of that unit. So its rows count
    once more, as that test would read them, after the truncations that are others then: that is
    what follows UNKNOWN nodes. What occurs both ways after one truncation has its ``k`` in sum.

    Parameters
    ----------
    vocabulary
        What the model knows.
    generations
        The most to count, 0 and up.
    by_owner
        Whether to count by owner, too.
    """

    hashes: Tensor
    cells: Tensor
    counts: Tensor

    def __init__(self, vocabulary: Vocabulary, generations: int, *, by_owner: bool = False) -> None:
        super().__init__(hashes=torch.long, cells=torch.long, counts=torch.float)
        self.vocabulary = vocabulary
        self.n_services = len(vocabulary.services)
        self.generations = generations
        self.by_owner = by_owner

    def fill(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Count weighted pairs; ``pairs.context`` are positions in ``contexts``."""
        tested = self.as_tested(pairs, contexts)
        ways = {contexts, tested}  # often one
        hashes = [hashed[is_there] for way in ways for hashed, is_there in self._hashes(way)]
        self.hashes = torch.from_numpy(np.unique(np.concatenate([np.zeros(0, np.int64), *hashes])))
        entries_of = {way: torch.stack(list(self.entries(way))) for way in ways}
        first, second = entries_of[contexts], entries_of[tested]
        second = second.masked_fill(second == first, UNSEEN)  # what reads the same counts once
        context, target = torch.from_numpy(pairs.context).long(), torch.from_numpy(pairs.target)
        again = (second != UNSEEN).any(0)[context].nonzero()[:, 0]
        row = torch.cat([torch.arange(len(context)), again])
        entries = torch.cat([first[:, context], second[:, context[again]]], 1)
        is_there = entries != UNSEEN
        cell = (entries * self.n_services + target[row])[is_there]
        self.cells, place = torch.unique(cell, return_inverse=True)
        which = row.expand_as(entries)[is_there]
        self.counts = self.tally(torch.zeros(len(self.cells)), place, pairs, which)

    def tally(
        self,
        none: Float[Tensor, " cells"],
        cell: Int[Tensor, " pairs"],
        pairs: WeightedPairs,
        row: Int[Tensor, " pairs"],
    ) -> Float[Tensor, " cells"]:
        """Return what to keep of cells of which some rows are, from 0 on: how often they occur."""
        weight = torch.from_numpy(pairs.weight)[row]
        if pairs.unit is not None and pairs.repeat_alpha != 1:
            unit = torch.from_numpy(pairs.unit).long()[row]
            n_units = int(unit.max()) + 1
            both, weight = summed(cell * n_units + unit, weight)
            cell, weight = both // n_units, weight**pairs.repeat_alpha
        return none.index_add(0, cell, weight)

    def as_tested(self, pairs: WeightedPairs, contexts: Contexts) -> Contexts:
        """Return contexts as the test of their unit reads them: what it alone has is UNKNOWN."""
        unknown = self.vocabulary.unknown
        if unknown is None or pairs.unit is None:
            return contexts
        dag, entries = contexts.known
        n_units = int(pairs.unit.max(initial=0)) + 1
        nodes, units = [self.vocabulary.service_nodes[pairs.target]], [pairs.unit]
        key = entries[pairs.context].astype(np.int64) * n_units + pairs.unit
        while len(key):
            entry, in_unit = np.divmod(np.unique(key), n_units)
            nodes.append(dag.node[entry])
            units.append(in_unit)
            # A link into a target is a row: its context is here already. One into a table is none.
            is_table = self.vocabulary.service_class[nodes[-1]] < 0
            child, parent = dag.parents_of(entry[is_table].astype(np.int32))
            key = parent.astype(np.int64) * n_units + in_unit[is_table][child]
        node, unit = np.concatenate(nodes), np.concatenate(units)
        one_of = np.zeros(len(unknown), np.int32)
        one_of[node] = unit
        is_own = np.zeros(len(unknown), bool)
        is_own[node] = True
        is_own[node[one_of[node] != unit]] = False
        read = np.where(is_own, unknown, np.arange(len(unknown), dtype=np.int32))
        if not is_own.any():
            return contexts
        return Contexts(replace(dag, node=read[dag.node]), entries, owner=contexts.owner)

    def of_rows(self, pairs: WeightedPairs, contexts: Contexts) -> Int[Tensor, "generations rows"]:
        """Return the entries of each row's 0, 1, 2, … generations, -1 where never counted."""
        return torch.stack(list(self.entries(contexts)))[:, torch.from_numpy(pairs.context).long()]

    def entries(self, contexts: Contexts) -> Iterator[Int[Tensor, " contexts"]]:
        """Yield each context's entry of 0, 1, 2, … generations, -1 where never counted.

        By owner, those of 1, 2, … generations follow once more.
        """
        device = self.hashes.device
        yield torch.zeros(len(contexts), dtype=torch.long, device=device)
        for hashed, is_there in self._hashes(contexts):
            place, is_known = find_sorted(self.hashes, torch.from_numpy(hashed).to(device))
            is_known &= torch.from_numpy(is_there).to(device)
            yield torch.where(is_known, place + 1, UNSEEN)

    def _hashes(
        self, contexts: Contexts
    ) -> Iterator[tuple[Int[np.ndarray, " contexts"], Bool[np.ndarray, " contexts"]]]:
        """Yield the hash of each context's ``trunc_1``, …, and whether it has one."""
        dag, entries = contexts.known
        deepest = int(dag.depth[entries].max(initial=0))
        truncations = [*truncated(dag, entries, min(self.generations, deepest))]
        for generation, hashed in enumerate(truncations, start=1):
            yield hashed.view(np.int64), dag.depth[entries] >= generation
        owner = contexts.owner.astype(np.uint64)
        for generation, hashed in enumerate(truncations if self.by_owner else (), start=1):
            is_there = (dag.depth[entries] >= generation) & (owner != UNKNOWN_OWNER)
            yield _mixed(hashed + _mixed(owner)).view(np.int64), is_there

    def listed(
        self, entry: Int[Tensor, " rows"]
    ) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
        """Return the cells of each row's entry as pairs of row and cell, in order; -1 has none."""
        start = torch.searchsorted(self.cells, entry * self.n_services)
        return gather_places(start, self.sizes(entry))

    def sizes(self, entry: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        """Return how many services followed each row's entry."""
        start, end = (
            torch.searchsorted(self.cells, e * self.n_services) for e in (entry, entry + 1)
        )
        return end - start

    def after(self, entry: Int[Tensor, " rows"]) -> Float[Tensor, "rows services"]:
        """Return how often each service followed each row's entry; 0 throughout for entry -1."""
        row, cell = self.listed(entry)
        counts = torch.zeros(len(entry), self.n_services, device=entry.device)
        counts[row, self.cells[cell] % self.n_services] = self.counts[cell]
        return counts

    def by_generation(self, context: Contexts) -> tuple[Tensor, Tensor]:
        """Return how often each service followed one context's truncations, and for who asks.

        First whoever asked, ``[generations + 1, services]``; by owner, 1, 2, … generations follow.
        """
        counts = self.after(torch.cat(list(self.entries(context))))
        n_own = len(counts) // 2 if self.by_owner else 0
        return counts[: len(counts) - n_own], counts[len(counts) - n_own :]

    def is_sound(self) -> bool:
        """Return whether these may be hashes, and cells of their truncations."""
        n_cells = (self.hashes.numel() + 1) * self.n_services
        return (
            self.hashes.dim() == 1
            and bool((self.hashes[1:] > self.hashes[:-1]).all())  # a difference may overflow
            and is_sparse(self.cells, self.counts)
            and bool((self.cells < n_cells).all())
        )


def truncated(dag: ContextDag, entries: NDArray[np.int32], generations: int) -> Iterator[UInt64]:
    """Yield a hash of each entry's ``trunc_1``, ``trunc_2``, … as unsigned 64 bits.

    Takes time by the links of so many generations, whatever the number of paths along them.
    """
    if not generations:
        return
    every = dag.ancestors(entries, generations - 1)
    place = np.full(len(dag), -1)
    place[every] = np.arange(len(every))
    child, parent = dag.parents_of(every)
    source = place[parent]
    child, source = child[source >= 0], source[source >= 0]
    node = _mixed(dag.node[every].astype(np.uint64))
    value = node
    for generation in range(1, generations + 1):
        yield _mixed(value[place[entries]] + np.uint64(generation))
        order = np.lexsort((value[source], child))
        to, sent = child[order], value[source[order]]
        is_first = np.ones(len(to), bool)  # of its like among what leads to one entry
        is_first[1:] = (np.diff(to) != 0) | (sent[1:] != sent[:-1])
        gathered = np.zeros(len(every), np.uint64)
        np.add.at(gathered, to[is_first], _mixed(sent[is_first]))
        value = _mixed(node + gathered)


def _mixed(values: UInt64) -> UInt64:
    """Return values whose bits all depend on all bits (splitmix64; Steele et al., OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def summed(keys: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct keys, ascending, and the weight of each."""
    distinct, place = torch.unique(keys, return_inverse=True)
    return distinct, weight.new_zeros(len(distinct)).index_add_(0, place, weight)
