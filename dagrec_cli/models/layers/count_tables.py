"""Tables that counting fills, whose sizes nobody knows before."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

MOST_PAIRS = 2**31  # that are numbered, so no cell has more, and no sum of cells is infinite


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
