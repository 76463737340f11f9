"""Contexts as a hash-consed DAG: what is equal is there once, under one number.

The context of a step from a node is that node and all that leads to it. An entry is such a context:
the name of its last node, and the entries of what leads there, one for each link. Equal contexts
have one entry, whatever composition they are from. On a chain an entry is the path walked so far,
so the entries of chains are a prefix trie; the paper's 1,016 pairs have 51 different contexts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.ragged import block_starts, gather_places
from dagrec_cli.data.vocabulary import PAD, UnknownNames, Vocabulary
from dagrec_cli.errors import DataError

MOST_CELLS = 2**28  # of contexts written out as rows, 1 GiB
ROWS_AT_ONCE = 256  # written out to be measured

Int32 = NDArray[np.int32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class ContextDag:
    """Entries and what leads to them; parents have smaller numbers than their children.

    Attributes
    ----------
    node
        Node index of each context's last node, ``[entries]``.
    n_parents
        Links into that node, 0 and up, ``[entries]``.
    parents
        Entries of what leads there, ascending, an equal input as often as it is linked; those of
        one entry after those of the other, ``[links]``.
    depth
        Nodes on the longest path to the last node, it included, 1 and up, ``[entries]``. On a
        chain that is the number of nodes.
    unknown
        What those are called that are UNKNOWN to the model whose node indices these are, if any is.
    """

    node: Int32
    n_parents: Int32
    parents: Int32
    depth: Int32
    unknown: UnknownNames | None = None

    def __len__(self) -> int:
        return len(self.node)

    @cached_property
    def start(self) -> Places:
        """Where the parents of each entry begin in ``parents``, ``[entries]``."""
        return block_starts(self.n_parents)

    def parents_of(self, entries: Int32) -> tuple[Places, Int32]:
        """Return the parents of some entries, and which of these each is a parent of."""
        which, place = gather_places(self.start[entries], self.n_parents[entries])
        return which, self.parents[place]

    def items(self) -> Iterator[tuple[int, list[int]]]:
        """Yield the node and the parents of each entry, in order."""
        end, parents = 0, self.parents.tolist()
        for node, size in zip(self.node.tolist(), self.n_parents.tolist(), strict=True):
            start, end = end, end + size
            yield node, parents[start:end]

    def ancestors(self, entries: Int32, generations: int | None = None) -> Int32:
        """Return the entries and all that leads to them, each once: by depth, then by number.

        Parameters
        ----------
        generations
            How many links to go up, 0 and up; None for all there are.
        """
        is_met = np.zeros(len(self), bool)
        new = np.unique(entries)
        while len(new):
            is_met[new] = True
            if generations is not None:
                if not generations:
                    break
                generations -= 1
            new = np.unique(self.parents_of(new)[1])
            new = new[~is_met[new]]
        met = np.flatnonzero(is_met).astype(np.int32)
        return met[np.argsort(self.depth[met], kind="stable")]

    def within(self, entries: Int32, generations: int) -> tuple[Places, Int32, Places]:
        """Return what leads to each entry by few links, and the entry itself, each once.

        Parameters
        ----------
        generations
            How many generations to go up, that of the entry included, 1 and up.

        Returns
        -------
        which, ancestor, links
            Position in ``entries``, the entry that leads to it, and the least links from there;
            by position, then by ancestor, ``[pairs]`` each.
        """
        which, now = np.arange(len(entries)), entries
        met = [which * len(self) + now]
        while len(now) and len(met) < generations:
            child, parent = self.parents_of(now)
            met.append(np.unique(which[child] * len(self) + parent))
            which, now = met[-1] // len(self), (met[-1] % len(self)).astype(np.int32)
        pair, first = np.unique(np.concatenate(met), return_index=True)  # first: by fewest links
        links = np.repeat(np.arange(len(met)), [len(each) for each in met])[first]
        return pair // len(self), (pair % len(self)).astype(np.int32), links

    @cached_property
    def longest(self) -> int:
        """Number of nodes in the longest padded row; 0 without entries."""
        if (self.n_parents <= 1).all():
            return int(self.depth.max(initial=0))
        parts = range(0, len(self), ROWS_AT_ONCE)
        every = np.arange(len(self), dtype=np.int32)
        lengths = [self.padded(every[at : at + ROWS_AT_ONCE])[1] for at in parts]
        return max(int(length.max()) for length in lengths)

    def read_by(self, model: Vocabulary) -> "ContextDag":
        """Return the contexts as a model reads them: nodes that it does not know are UNKNOWN."""
        names = model.nodes[len(model.of_model.nodes) :]
        if not names or model.unknown is None:
            return self
        unknown = UnknownNames(names, self.node, model.as_read)
        return replace(self, node=model.as_read[self.node], unknown=unknown)

    @property
    def spelled(self) -> "ContextDag":
        """The same with the node indices of :class:`UnknownNames`."""
        return self if self.unknown is None else replace(self, node=self.unknown.node)

    def first(self, n: int) -> "ContextDag":
        """Return the first ``n`` entries; nothing else leads to them."""
        n_links = int(self.n_parents[:n].sum())
        return ContextDag(self.node[:n], self.n_parents[:n], self.parents[:n_links], self.depth[:n])

    def spell(self, context: int | np.int32) -> list[int]:
        """Return a context's node indices as a padded row has them."""
        nodes: list[int] = self.padded(np.array([context], np.int32))[0][0].tolist()
        return nodes

    def padded(self, contexts: Int32, most: int = MOST_CELLS) -> tuple[Int32, Int32]:
        """Return contexts as rows of node indices, and how many nodes each has.

        A row is in topological order: by depth, and by node where that is equal, so the context's
        last node is the row's last, and a path is the path. Equal ancestors are there once.

        Parameters
        ----------
        most
            How many of its last nodes a row keeps, 1 and up.

        Returns
        -------
        nodes, length
            ``[contexts, longest]``, right-padded with 0, and ``[contexts]``.

        Raises
        ------
        DataError
            If that takes more than 1 GiB.
        """
        row, entry = np.arange(len(contexts)), contexts
        length = np.zeros(len(contexts), np.int32)
        self._check_cells(self.depth[contexts].clip(max=most))  # a row is as long at least
        found = []
        # From each row's deepest nodes up: all ways to one are walked before, so it is met once.
        while len(row):
            deepest = np.zeros(len(contexts), np.int32)
            np.maximum.at(deepest, row, self.depth[entry])
            is_next = self.depth[entry] == deepest[row]
            row_now, now = row[is_next], entry[is_next]
            order = np.lexsort((-self.node[now], row_now))
            row_now, now = row_now[order], now[order]
            n_now = np.bincount(row_now, minlength=len(contexts))
            back = np.arange(len(now)) - block_starts(n_now)[row_now]  # in this row, at this depth
            found.append((row_now, length[row_now] + back, self.node[now]))
            length += n_now.astype(np.int32)
            self._check_cells(length.clip(max=most))
            child, parent = self.parents_of(now)
            key = np.concatenate([row_now[child], row[~is_next]]).astype(np.int64) * len(self)
            key = np.unique(key + np.concatenate([parent, entry[~is_next]]))
            row, entry = key // len(self), (key % len(self)).astype(np.int32)
            is_short = length[row] < most
            row, entry = row[is_short], entry[is_short]
        length = length.clip(max=most)
        nodes = np.full((len(contexts), int(length.max(initial=0))), PAD, np.int32)
        for row_now, back, node in found:
            is_kept = back < length[row_now]
            row_now, back = row_now[is_kept], back[is_kept]
            nodes[row_now, length[row_now] - 1 - back] = node[is_kept]
        return nodes, length

    def _check_cells(self, length: Int32) -> None:
        if (cells := len(length) * int(length.max(initial=0))) > MOST_CELLS:
            raise DataError(
                f"{len(length):,} contexts of {length.max():,} nodes or more take {cells:,} cells; "
                f"{MOST_CELLS:,} is the most: leave out compositions with long contexts."
            )

    def depth_first(self, contexts: Int32) -> Places:
        """Return the order in which contexts that share much are neighbours: those of a tree.

        It is the tree of each entry's last parent; on chains the order is that of a dictionary.
        """
        return np.argsort(self._depth_first[contexts], kind="stable")

    @cached_property
    def _depth_first(self) -> Places:
        """Place of each entry where every entry stands before those below it, then its sister."""
        above = np.full(len(self), -1, np.int32)
        has_parent = self.n_parents > 0
        above[has_parent] = self.parents[(self.start + self.n_parents - 1)[has_parent]]
        children = np.lexsort((-self.node, above))
        ends = np.bincount(above + 1, minlength=len(self) + 1).cumsum().tolist()
        below, stack, place = children.tolist(), children[: ends[0]].tolist(), []
        while stack:
            entry = stack.pop()
            place.append(entry)
            stack += below[ends[entry] : ends[entry + 1]]
        order = np.empty(len(self), np.int64)
        order[place] = np.arange(len(self))
        return order


class Numbering:
    """Gives equal contexts one number, when they are first met.

    >>> number = Numbering()
    >>> first, second = number(7), number(8)
    >>> number(9, [second, first]) == number(9, [first, second])
    True
    >>> number.dag().depth.tolist()
    [1, 1, 2]
    """

    def __init__(self) -> None:
        self.keys: dict[tuple[int, ...], int] = {}

    def __call__(self, node: int, parents: Iterable[int] = ()) -> int:
        """Return the number of a context, given its last node and the numbers of the parents."""
        return self.keys.setdefault((node, *sorted(parents)), len(self.keys))

    def context(self, nodes: Iterable[tuple[int, ...]]) -> int:
        """Return the number of the last of some nodes, each with the positions of its parents."""
        numbers: list[int] = []
        for node, *parents in nodes:
            numbers.append(self(node, [numbers[parent] for parent in parents]))
        return numbers[-1]

    def dag(self) -> ContextDag:
        """Return what was numbered."""
        depth: list[int] = []
        for _, *parents in self.keys:
            depth.append(1 + max([depth[parent] for parent in parents], default=0))
        flat = np.fromiter(chain.from_iterable(self.keys), np.int32)
        n_parents = np.fromiter(map(len, self.keys), np.int32, len(self.keys)) - np.int32(1)
        is_node = np.zeros(len(flat), bool)
        is_node[np.arange(len(n_parents)) + n_parents.cumsum() - n_parents] = True
        return ContextDag(flat[is_node], n_parents, flat[~is_node], np.array(depth, np.int32))


def paths(sequences: Sequence[Sequence[int]]) -> tuple[ContextDag, Int32]:
    """Return the entries of some non-empty paths (node indices), and which one each path is."""
    number = Numbering()
    entries = [
        number.context((node, *([k - 1] if k else [])) for k, node in enumerate(nodes))
        for nodes in sequences
    ]
    return number.dag(), np.array(entries, np.int32)
