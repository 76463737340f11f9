"""Compositions that belong together: equal ones, and those that are chained through shared paths.

A group's number is that of its first composition, so groups sort in the order of the file.
"""

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]


def equal(path: Int32, path_composition: Int32, n_compositions: int) -> Int32:
    """Return the first composition that has the same paths, each as often, ``[compositions]``.

    A composition's sorted paths are numbered two by two, equal twos alike, until one number is
    left, so the work is linear in the paths, but for sorting them, and no hash can be mistaken.

    Parameters
    ----------
    path
        Number of the distinct path of each path, ``[paths]``.
    path_composition
        Composition of each path, ascending, ``[paths]``; each has one at least.
    """
    n_paths = np.bincount(path_composition, minlength=n_compositions)
    item: NDArray[np.int64] = path[np.lexsort((path, path_composition))].astype(np.int64)
    owner, left = path_composition, n_paths
    last = np.zeros(n_compositions, np.int64)
    while True:
        is_last = left[owner] == 1
        last[owner[is_last]] = item[is_last]
        item, owner = item[~is_last], owner[~is_last]
        if not len(item):
            break
        starts = np.searchsorted(owner, owner)
        first = np.flatnonzero((np.arange(len(item)) - starts) % 2 == 0)
        second = np.minimum(first + 1, len(item) - 1)
        has_second = (second > first) & (owner[second] == owner[first])
        key = item[first] << 32 | np.where(has_second, item[second] + 1, 0)
        item, owner = np.unique(key, return_inverse=True)[1], owner[first]
        left = np.bincount(owner, minlength=n_compositions)
    return _first_alike(n_paths << 32 | last)


def chained(path: Int32, path_composition: Int32, n_compositions: int) -> Int32:
    """Return the first composition that each is joined to through shared paths, even by others.

    A path leads to a lesser one of its group or to itself. Each round hooks the leaders of the
    groups that meet in a composition, the greater onto the lesser, and then shortens all ways.

    Parameters
    ----------
    path
        Number of the distinct path of each path, ``[paths]``.
    path_composition
        Composition of each path, ascending, ``[paths]``; each has one at least.
    """
    n_paths = np.bincount(path_composition, minlength=n_compositions)
    first = path[n_paths.cumsum() - n_paths]
    lead = np.repeat(first, n_paths)
    leader = np.arange(path.max(initial=-1) + 1, dtype=np.int32)
    while ((one := leader[lead]) != (two := leader[path])).any():
        np.minimum.at(leader, np.maximum(one, two), np.minimum(one, two))
        while ((further := leader[leader]) != leader).any():
            leader = further
    return _first_alike(leader[first])


def _first_alike(number: NDArray[np.integer]) -> Int32:
    """Return the position of the first equal number of each."""
    _, first, which = np.unique(number, return_index=True, return_inverse=True)
    found: Int32 = first.astype(np.int32)[which]
    return found
