"""Paths: those of one composition, counted or listed, and the compositions that they make alike.

Source: PAPER §2. Paths run over the composition's own nodes; names come later, so a service called
twice is no cycle. Compositions of equal links are looked up, not walked again. Groups are of equal
compositions, or of those that are chained through shared paths; a group's number is that of its
first composition, so groups sort in the order of the file.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LinkPairs = tuple[tuple[int, int], ...]
Int32 = NDArray[np.int32]

COUNTED = 10**30  # more paths than these are counted as so many, so that numbers stay short


class PathTree(NamedTuple):
    """All paths of a composition as a tree: what paths share at their beginning is there once.

    Attributes
    ----------
    inner
        ``(branch, node)`` of each prefix in depth-first order, sources and children in file order.
        Branch 0 is the root, before the first node; prefix ``k`` is branch ``k + 1``.
    ends
        ``(branch, node)`` of each path's last step, in the same order.
    """

    inner: list[tuple[int, int]]
    ends: list[tuple[int, int]]


@lru_cache(maxsize=4096)
def count_paths(n_nodes: int, links: LinkPairs) -> int:
    """Return how many source-to-sink paths of at least one link there are, listing none.

    Cost is linear in nodes and links, whatever the count (a ladder of 60 diamonds has 2**60).
    """
    targets = {target for _, target in links}
    if len(targets) == len(links):  # no node has two parents, so each sink ends one path
        return len(targets.difference([source for source, _ in links]))
    parents, children = neighbours(n_nodes, links)
    paths_to, total = [0] * n_nodes, 0
    for node in topological(parents, children):
        reaching = min(paths_to[node], COUNTED) if parents[node] else 1
        for child in children[node]:
            paths_to[child] += reaching
        total += reaching if parents[node] and not children[node] else 0
    return min(total, COUNTED)


@lru_cache(maxsize=128)  # each may be as large as data.max_paths allows
def path_tree(n_nodes: int, links: LinkPairs) -> PathTree:
    """Return every source-to-sink path; count them first."""
    parents, children = neighbours(n_nodes, links)
    inner: list[tuple[int, int]] = []
    ends: list[tuple[int, int]] = []
    starts = [k for k in range(n_nodes) if children[k] and not parents[k]]
    stack = [(0, start) for start in reversed(starts)]
    while stack:
        step = stack.pop()
        if below := children[step[1]]:
            inner.append(step)
            branch = len(inner)
            stack += [(branch, child) for child in reversed(below)]
        else:
            ends.append(step)
    return PathTree(inner, ends)


def neighbours(n_nodes: int, links: LinkPairs) -> tuple[list[list[int]], list[list[int]]]:
    """Return the parents and the children of each node, in the order of the links."""
    parents: list[list[int]] = [[] for _ in range(n_nodes)]
    children: list[list[int]] = [[] for _ in range(n_nodes)]
    for source, target in links:
        parents[target].append(source)
        children[source].append(target)
    return parents, children


def topological(parents: list[list[int]], children: list[list[int]]) -> list[int]:
    """Return all nodes of a DAG, each after its parents; those of a cycle, and below, are missing.

    Kahn's algorithm: a node comes when the last of its parents came.
    """
    n_open = [len(nodes) for nodes in parents]
    ready = [node for node, n_above in enumerate(n_open) if not n_above]
    for node in ready:  # grows while it is walked
        for child in children[node]:
            n_open[child] -= 1
            if not n_open[child]:
                ready.append(child)
    return ready


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
