"""Blocks of unequal size that lie in one flat array, and keys found in a sorted one.

Such arrays stand wherever a table would mostly be padding: the steps of each path, the pairs of
each context, the services that may follow each node. They are numpy's or torch's; torch, which
takes long to import, is asked for by its own tensors alone.
"""

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Whole = NDArray[np.integer[Any]]
Places = NDArray[np.int64]


@overload
def block_starts(sizes: Whole) -> Places: ...
@overload
def block_starts(sizes: "Tensor") -> "Tensor": ...
def block_starts(sizes: Any) -> Any:
    """Return where each block begins if blocks lie end to end.

    ::

        sizes     2     0  3
        flat      a  b     c  d  e
        start     0     2  2

    >>> block_starts(np.array([2, 0, 3])).tolist()
    [0, 2, 2]
    """
    return sizes.cumsum(0) - sizes


@overload
def gather_places(starts: Whole, sizes: Whole) -> tuple[Places, Places]: ...
@overload
def gather_places(starts: "Tensor", sizes: "Tensor") -> tuple["Tensor", "Tensor"]: ...
def gather_places(starts: Any, sizes: Any) -> Any:
    """Return what reads some blocks one after the other, without a loop over them.

    Blocks may overlap, repeat, and come in any order. ::

        flat      a  b  c  d  e  f  g
        place     0  1  2  3  4  5  6

        starts    4        1               what is asked for: the block e f g, then the block b c
        sizes     3        2

        item      0  1  2  3  4            numbers what comes out
        block     0  0  0  1  1            whose item it is
        before    0  0  0  3  3            items that came out before this block's first
        place     4  5  6  1  2            start of the block, and item - before steps on
        flat[place]
                  e  f  g  b  c

    Within a block, place and item move on together, so what is between them, ``start - before``,
    is one number per block; it is computed there, and looked up by each item.

    Parameters
    ----------
    starts, sizes
        Place of each block's first item, and how many items it has, 0 and up, ``[blocks]``.

    Returns
    -------
    block, place
        Both int64, ``[items]``; ``block`` says which of the blocks asked for an item is of.

    >>> block, place = gather_places(np.array([4, 1]), np.array([3, 2]))
    >>> block.tolist(), place.tolist()
    ([0, 0, 0, 1, 1], [4, 5, 6, 1, 2])
    """
    block: Any
    place: Any
    shift = starts - block_starts(sizes)
    if isinstance(sizes, np.ndarray):
        block = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(len(block))
    else:
        import torch

        block = torch.repeat_interleave(sizes)
        place = torch.arange(len(block), device=sizes.device)
    place += shift[block]  # in place: with all steps of large data each of these arrays is large
    return block, place


@overload
def block_places(sizes: Whole, which: Whole) -> tuple[Places, Places]: ...
@overload
def block_places(sizes: "Tensor", which: "Tensor") -> tuple["Tensor", "Tensor"]: ...
def block_places(sizes: Any, which: Any) -> Any:
    """Return :func:`gather_places` of some of the blocks that lie end to end.

    ::

        sizes     2     0  3
        flat      a  b     c  d  e
        which     2        0               blocks 2 and 0
        block     0  0  0  1  1            positions in which
        place     2  3  4  0  1            c d e, a b

    >>> block, place = block_places(np.array([2, 0, 3]), np.array([2, 0]))
    >>> block.tolist(), place.tolist()
    ([0, 0, 0, 1, 1], [2, 3, 4, 0, 1])
    """
    return gather_places(block_starts(sizes)[which], sizes[which])


def find_sorted(keys: "Tensor", wanted: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Return where each wanted number stands among the keys, and whether it does.

    ::

        keys      2  5  5  9
        place     0  1  2  3

        wanted    5  4  9  11  2
        place     1  1  3   3  0           the first key that is not less, or the last of all
        is_there  y  n  y   n  y           whether that key is the wanted one

    Parameters
    ----------
    keys
        Ascending, ``[keys]``; there may be none.
    wanted
        Of any shape, which both results have.

    >>> import torch
    >>> place, is_there = find_sorted(torch.tensor([2, 5, 5, 9]), torch.tensor([5, 4, 9, 11, 2]))
    >>> place.tolist(), is_there.tolist()
    ([1, 1, 3, 3, 0], [True, False, True, False, True])
    """
    import torch

    place = torch.searchsorted(keys, wanted)
    if not len(keys):
        return place, torch.zeros_like(place, dtype=torch.bool)
    place = place.clamp(max=len(keys) - 1)  # so that every place can be read, found or not
    return place, keys[place] == wanted
