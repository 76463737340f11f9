"""Contexts as a prefix trie; padded sequences are a view of it.

A context is the path walked so far. Every context is a path prefix, so contexts form a trie, and a
context is one number: its trie entry. The paper's 1,016 pairs hold 51 distinct contexts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.vocabulary import PAD
from dagrec_cli.errors import DataError

ROOT = -1
MOST_DEPTH = 4096  # nodes of a context that models read; real ones have 40
MOST_CELLS = 2**28  # of contexts written out as rows, 1 GiB

Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class ContextTrie:
    """Prefixes of paths; entry ``u`` is the context that ends in ``node[u]``.

    Attributes
    ----------
    parent
        Entry of the context without its last node, ``[entries]``; -1 for a single node. A parent's
        number is always smaller than its children's.
    node
        Node index of the context's last node, ``[entries]``.
    depth
        Number of nodes in the context, 1 and up, ``[entries]``.
    """

    parent: Int32
    node: Int32
    depth: Int32

    @classmethod
    def of(cls, parent: Int32, node: Int32) -> "ContextTrie":
        """Return the trie of these entries, their depths counted.

        Each round doubles the way that is counted, so a chain of n nodes takes log n rounds.
        """
        depth = np.ones(len(parent), np.int32)
        above = parent.copy()
        while len(below := np.flatnonzero(above != ROOT)):
            far = above[below]
            depth[below] += depth[far]  # read before it is written, as is the next one
            above[below] = above[far]
        return cls(parent, node, depth)

    def __len__(self) -> int:
        return len(self.node)

    def check_depth(self) -> None:
        """Raise DataError if models would take memory by the square of the longest context."""
        if (longest := int(self.depth.max(initial=0))) > MOST_DEPTH:
            raise DataError(
                f"the longest context has {longest:,} nodes; a model reads {MOST_DEPTH:,} at most: "
                "split such compositions, or leave them out."
            )

    def spell(self, context: int | np.int32) -> list[int]:
        """Return a context's node indices, first node first."""
        nodes = []
        while context != ROOT:
            nodes.append(int(self.node[context]))
            context = int(self.parent[context])
        return nodes[::-1]

    def first(self, contexts: Int32) -> Int32:
        """Return the node that each context starts with."""
        entry = contexts.copy()
        while (inner := self.parent[entry] != ROOT).any():
            entry[inner] = self.parent[entry[inner]]
        return self.node[entry]

    def levels(self, contexts: Int32) -> list[Int32]:
        """Return the distinct prefixes of contexts as sorted entries, those of one node first."""
        depth = self.depth[contexts]
        ends = np.bincount(depth, minlength=1).cumsum()
        by_depth = np.split(contexts[np.argsort(depth, kind="stable")], ends[:-1])
        levels: list[Int32] = []
        entries = contexts[:0]
        for own in by_depth[:0:-1]:
            entries = np.unique(np.concatenate([self.parent[entries], own]))
            levels.append(entries)
        return levels[::-1]

    def depth_first(self, contexts: Int32) -> NDArray[np.int64]:
        """Return the order in which contexts with a common prefix are neighbours, it before all."""
        return np.lexsort(self.padded(contexts).T[::-1])

    def padded(self, contexts: Int32) -> Int32:
        """Return contexts as rows of node indices, ``[contexts, longest]``, right-padded with 0.

        Raises
        ------
        DataError
            If that takes more than 1 GiB.
        """
        depth = self.depth[contexts]
        if (cells := len(contexts) * int(depth.max(initial=0))) > MOST_CELLS:
            raise DataError(
                f"{len(contexts):,} contexts of up to {depth.max():,} nodes take {cells:,} cells; "
                f"{MOST_CELLS:,} is the most: leave out compositions with long paths."
            )
        rows = np.full((len(contexts), int(depth.max(initial=0))), PAD, np.int32)
        entry, open_rows = contexts.copy(), np.arange(len(contexts))
        while len(open_rows):
            rows[open_rows, depth[open_rows] - 1] = self.node[entry]
            depth[open_rows] -= 1
            entry = self.parent[entry]
            open_rows, entry = open_rows[entry != ROOT], entry[entry != ROOT]
        return rows


def unpack(steps: Collection[int] | NDArray[np.int64]) -> tuple[Int32, Int32]:
    """Return both parts of steps that are written ``entry << 32 | node``, as keys or array."""
    if not isinstance(steps, np.ndarray):
        steps = np.fromiter(steps, np.int64, len(steps))
    return (steps >> 32).astype(np.int32), (steps & 0xFFFF_FFFF).astype(np.int32)


def trie_of(sequences: Sequence[Sequence[int]]) -> tuple[ContextTrie, Int32]:
    """Return a trie of the given non-empty contexts (node indices), and each one's entry."""
    number: dict[int, int] = {}
    entries = []
    for nodes in sequences:
        entry = ROOT
        for node in nodes:
            entry = number.setdefault(entry << 32 | node, len(number))
        entries.append(entry)
    return ContextTrie.of(*unpack(number)), np.array(entries, np.int32)
