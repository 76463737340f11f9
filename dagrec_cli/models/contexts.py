"""A batch of contexts as tensors, the input of every model."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextTrie
from dagrec_cli.data.vocabulary import PAD


class Contexts(NamedTuple):
    """Contexts as rows of node indices.

    Attributes
    ----------
    nodes
        Node indices, first node first, right-padded with 0 to the longest context of the batch.
    length
        Number of nodes in each context, 1 and up.
    """

    nodes: Int[Tensor, "contexts longest"]
    length: Int[Tensor, " contexts"]

    @classmethod
    def of(cls, trie: ContextTrie, entries: NDArray[np.int32]) -> "Contexts":
        """Return the given entries of a trie as a batch."""
        return cls(
            torch.from_numpy(trie.padded(entries)).long(),
            torch.from_numpy(trie.depth[entries]).long(),
        )

    @property
    def last(self) -> Int[Tensor, " contexts"]:
        """Index of each context's last node."""
        return self.nodes.gather(1, self.length[:, None] - 1).squeeze(1)

    def left_padded(self, width: int) -> Int[Tensor, "contexts width"]:
        """Return rows padded with 0 on the left; longer contexts keep their last nodes."""
        column = torch.arange(width) - (width - self.length[:, None])
        rows = self.nodes.gather(1, column.clamp(min=0, max=self.nodes.shape[1] - 1))
        return rows.masked_fill(column < 0, PAD)
