"""All source-to-sink paths of one composition, counted before they are listed.

Source: PAPER §2. Paths run over the composition's own nodes; names come later, so a service called
twice is no cycle. Compositions of equal links are looked up, not walked again.
"""

from functools import lru_cache
from typing import NamedTuple

Links = tuple[tuple[int, int], ...]

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
def count_paths(n_nodes: int, links: Links) -> int:
    """Return how many source-to-sink paths of at least one link there are, listing none.

    Cost is linear in nodes and links, whatever the count (a ladder of 60 diamonds has 2**60).
    """
    targets = {target for _, target in links}
    if len(targets) == len(links):  # no node has two parents, so each sink ends one path
        return len(targets.difference([source for source, _ in links]))
    children, sources = _children(n_nodes, links), _sources(n_nodes, links)
    open_links = [0] * n_nodes
    for _, target in links:
        open_links[target] += 1
    paths_to = [0] * n_nodes
    for source in sources:
        paths_to[source] = 1
    ready, total = sources, 0
    for node in ready:  # grows while it is walked
        found = min(paths_to[node], COUNTED)
        for child in children[node]:
            paths_to[child] += found
            open_links[child] -= 1
            if not open_links[child]:
                ready.append(child)
        total += 0 if children[node] else found
    return min(total, COUNTED)


@lru_cache(maxsize=128)  # each may be as large as data.max_paths allows
def path_tree(n_nodes: int, links: Links) -> PathTree:
    """Return every source-to-sink path; count them first."""
    children = [nodes[::-1] for nodes in _children(n_nodes, links)]  # a stack gives them back
    inner: list[tuple[int, int]] = []
    ends: list[tuple[int, int]] = []
    stack = [(0, source) for source in reversed(_sources(n_nodes, links))]
    while stack:
        step = stack.pop()
        if below := children[step[1]]:
            inner.append(step)
            branch = len(inner)
            stack += [(branch, child) for child in below]
        else:
            ends.append(step)
    return PathTree(inner, ends)


def _children(n_nodes: int, links: Links) -> list[list[int]]:
    """Return each node's children in the order of the links."""
    children: list[list[int]] = [[] for _ in range(n_nodes)]
    for source, target in links:
        children[source].append(target)
    return children


def _sources(n_nodes: int, links: Links) -> list[int]:
    """Return the nodes that start a path: no link in, at least one link out."""
    starts = {source for source, _ in links}.difference([target for _, target in links])
    return sorted(starts)
