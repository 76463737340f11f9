"""How often each service followed each suffix of a context, looked up for many contexts at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.ragged import find_sorted, gather_places
from dagrec_cli.models.context_batch import Contexts

UNSEEN = -1


class SuffixCounts(nn.Module):
    """Counts of the next service after the last 0, 1, 2, … nodes of a context.

    Suffixes form a trie, walked from a context's last node back; entry 0 is the empty suffix. The
    suffix that puts ``node`` before entry ``p`` has the key ``p * (nodes + 1) + node``, and entry
    ``e`` is the one with key ``keys[e - 1]``. Entries are numbered by length, then by key, so keys
    are sorted and a binary search finds them. Counts are a sparse table of non-empty cells, sorted
    too: cell ``entry * services + class``.

    Parameters
    ----------
    n_nodes, n_services
        Sizes of the data.
    """

    keys: Tensor
    cells: Tensor
    counts: Tensor

    def __init__(self, n_nodes: int, n_services: int) -> None:
        super().__init__()
        self.base = n_nodes + 1
        self.n_services = n_services
        self.register_buffer("keys", torch.zeros(0, dtype=torch.long))
        self.register_buffer("cells", torch.zeros(0, dtype=torch.long))
        self.register_buffer("counts", torch.zeros(0))

    def fill(self, pairs: WeightedPairs, contexts: Contexts, longest: int) -> None:
        """Count weighted pairs; ``pairs.context`` are rows of ``contexts``.

        Parameters
        ----------
        longest
            Nodes in the longest suffix to count, 0 and up.
        """
        row = torch.from_numpy(pairs.context).long()
        own = Contexts(contexts.nodes[row], contexts.length[row])
        self.keys = self.keys[:0]
        entry = torch.zeros_like(row)
        for back in range(1, min(longest, own.nodes.shape[1]) + 1):
            key = self._key(entry, own, back)
            new = np.unique(key[key != UNSEEN].numpy())
            self.keys = torch.cat([self.keys, torch.from_numpy(new)])
            entry = self._find(key)
        entries = torch.stack(list(self.suffixes(own)))
        cell = entries * self.n_services + torch.from_numpy(pairs.target)
        weight = torch.from_numpy(pairs.weight).expand_as(cell)
        cells, position = np.unique(cell[entries != UNSEEN].numpy(), return_inverse=True)
        self.cells = torch.from_numpy(cells)
        self.counts = torch.zeros(len(cells)).index_add(
            0, torch.from_numpy(position), weight[entries != UNSEEN]
        )

    def suffixes(self, contexts: Contexts) -> Iterator[Int[Tensor, " contexts"]]:
        """Yield the entry of each context's last 0, 1, 2, … nodes, -1 where never counted."""
        entry = torch.zeros_like(contexts.length)
        yield entry
        for back in range(1, contexts.nodes.shape[1] + 1):
            entry = self._find(self._key(entry, contexts, back))
            yield entry

    def after(self, entry: Int[Tensor, " contexts"]) -> Float[Tensor, "contexts services"]:
        """Return how often each service followed each entry; 0 throughout for entry -1."""
        start = torch.searchsorted(self.cells, entry * self.n_services)
        end = torch.searchsorted(self.cells, (entry + 1) * self.n_services)
        row, cell = gather_places(start, end - start)
        counts = torch.zeros(len(entry), self.n_services)
        counts[row, self.cells[cell] % self.n_services] = self.counts[cell]
        return counts

    def _key(self, entry: Tensor, contexts: Contexts, back: int) -> Tensor:
        """Return the key of each entry's suffix with the ``back``-th last node put before it."""
        node = contexts.nodes.gather(1, (contexts.length - back).clamp(min=0)[:, None]).squeeze(1)
        is_there = (entry != UNSEEN) & (contexts.length >= back)
        return torch.where(is_there, entry * self.base + node, UNSEEN)

    def _find(self, key: Tensor) -> Tensor:
        """Return the entry of each key, -1 where there is none."""
        place, is_there = find_sorted(self.keys, key)
        return torch.where(is_there, place + 1, UNSEEN)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Give the buffers the sizes they were saved with, then load and check them."""
        for name in ("keys", "cells", "counts"):
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        if not self._is_sound():
            *_, messages = rest
            messages.append(f"{prefix.rstrip('.')} holds no table of suffixes")

    def _is_sound(self) -> bool:
        n_cells = (self.keys.numel() + 1) * self.n_services
        return (
            all(table.dim() == 1 for table in (self.keys, self.cells, self.counts))
            and len(self.cells) == len(self.counts)
            and bool((self.keys.diff() > 0).all() and (self.cells.diff() > 0).all())
            and bool((self.cells >= 0).all() and (self.cells < n_cells).all())
        )
