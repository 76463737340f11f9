"""Contexts as a prefix trie; padded sequences are a view of it.

A context is the path walked so far. Every context is a path prefix, so contexts form a trie, and a
context is one number: its trie entry. The paper's 1,016 pairs hold 51 distinct contexts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.vocabulary import PAD

ROOT = -1

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

    def __len__(self) -> int:
        return len(self.node)

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

    def padded(self, contexts: Int32) -> Int32:
        """Return contexts as rows of node indices, ``[contexts, longest]``, right-padded with 0."""
        depth = self.depth[contexts]
        rows = np.full((len(contexts), int(depth.max(initial=0))), PAD, np.int32)
        entry, open_rows = contexts.copy(), np.arange(len(contexts))
        while len(open_rows):
            rows[open_rows, depth[open_rows] - 1] = self.node[entry]
            depth[open_rows] -= 1
            entry = self.parent[entry]
            open_rows, entry = open_rows[entry != ROOT], entry[entry != ROOT]
        return rows


class TrieBuilder:
    """Grows a :class:`ContextTrie` one node at a time."""

    def __init__(self) -> None:
        self._entry: dict[tuple[int, int], int] = {}
        self._depth: list[int] = []

    def child(self, parent: int, node: int) -> int:
        """Return the entry of ``parent`` (or ``ROOT``) followed by ``node``, made if new."""
        key = (parent, node)
        found = self._entry.get(key)
        if found is None:
            found = self._entry[key] = len(self._depth)
            self._depth.append(1 if parent == ROOT else self._depth[parent] + 1)
        return found

    def build(self, node_index: Int32) -> ContextTrie:
        """Return the trie, its nodes renamed by ``node_index``."""
        keys = np.array(list(self._entry), np.int32).reshape(-1, 2)
        return ContextTrie(keys[:, 0], node_index[keys[:, 1]], np.array(self._depth, np.int32))


def trie_of(sequences: Sequence[Sequence[int]]) -> tuple[ContextTrie, Int32]:
    """Return a trie of the given non-empty contexts (node indices), and each one's entry."""
    builder = TrieBuilder()
    entries = []
    for nodes in sequences:
        entry = ROOT
        for node in nodes:
            entry = builder.child(entry, node)
        entries.append(entry)
    longest = max((node for nodes in sequences for node in nodes), default=0)
    trie = builder.build(np.arange(longest + 1, dtype=np.int32))
    return trie, np.array(entries, np.int32)
