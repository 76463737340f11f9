"""A batch of contexts as tensors, the input of every model."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextTrie
from dagrec_cli.data.vocabulary import PAD


class Prefixes(NamedTuple):
    """The distinct prefixes of some contexts, level by level: of one node, of two, and so on.

    Attributes
    ----------
    node
        Last node of each prefix.
    sizes
        How many prefixes each level has.
    parents
        For each level but the first, where in the level before it each prefix's parent stands.
    context
        Which prefix each context is.
    """

    node: Int[Tensor, " prefixes"]
    sizes: list[int]
    parents: list[Int[Tensor, " level"]]
    context: Int[Tensor, " contexts"]

    @classmethod
    def of(cls, trie: ContextTrie, entries: NDArray[np.int32]) -> "Prefixes":
        """Return the prefixes of the given entries of a trie."""
        levels = trie.levels(entries)
        every = np.concatenate([entries[:0], *levels])
        order = np.argsort(every)
        return cls(
            torch.from_numpy(trie.node[every]).long(),
            [len(level) for level in levels],
            [
                torch.from_numpy(np.searchsorted(above, trie.parent[level]))
                for above, level in pairwise(levels)
            ],
            torch.from_numpy(order[np.searchsorted(every, entries, sorter=order)]),
        )

    def to(self, device: torch.device) -> "Prefixes":
        """Return the same prefixes on a device."""
        parents = [parent.to(device) for parent in self.parents]
        return Prefixes(self.node.to(device), self.sizes, parents, self.context.to(device))


class Contexts(NamedTuple):
    """Contexts as rows of node indices.

    Attributes
    ----------
    nodes
        Node indices, first node first, right-padded with 0 to the longest context of the batch.
    length
        Number of nodes in each context, 1 and up.
    prefixes
        The same contexts as a trie; None where only rows are known.
    """

    nodes: Int[Tensor, "contexts longest"]
    length: Int[Tensor, " contexts"]
    prefixes: Prefixes | None = None

    @classmethod
    def of(cls, trie: ContextTrie, entries: NDArray[np.int32]) -> "Contexts":
        """Return the given entries of a trie as a batch."""
        return cls(
            torch.from_numpy(trie.padded(entries)).long(),
            torch.from_numpy(trie.depth[entries]).long(),
            Prefixes.of(trie, entries),
        )

    def to(self, device: torch.device) -> "Contexts":
        """Return the same contexts on a device."""
        prefixes = self.prefixes and self.prefixes.to(device)
        return Contexts(self.nodes.to(device), self.length.to(device), prefixes)

    @property
    def last(self) -> Int[Tensor, " contexts"]:
        """Index of each context's last node."""
        return self.nodes.gather(1, self.length[:, None] - 1).squeeze(1)

    def left_padded(self, width: int) -> Int[Tensor, "contexts width"]:
        """Return rows padded with 0 on the left; longer contexts keep their last nodes."""
        steps = torch.arange(width, device=self.length.device)
        column = steps - (width - self.length[:, None])
        rows = self.nodes.gather(1, column.clamp(min=0, max=self.nodes.shape[1] - 1))
        return rows.masked_fill(column < 0, PAD)
