"""All source-to-sink paths of one composition, counted before they are listed.

Source: PAPER §2. Paths run over the composition's own nodes; names come later, so a service called
twice is no cycle.
"""

from collections.abc import Iterator, Sequence

Links = Sequence[tuple[int, int]]


def children_of(n_nodes: int, links: Links) -> list[list[int]]:
    """Return each node's children in the order of the links."""
    children: list[list[int]] = [[] for _ in range(n_nodes)]
    for source, target in links:
        children[source].append(target)
    return children


def count_paths(n_nodes: int, links: Links) -> int:
    """Return how many source-to-sink paths of at least one link there are, listing none.

    Cost is linear in nodes and links, whatever the count (a ladder of 60 diamonds has 2**60).
    """
    children = children_of(n_nodes, links)
    paths_from: dict[int, int] = {}
    sources = _sources(n_nodes, links, children)
    for source in sources:
        stack = [source]
        while stack:
            node = stack[-1]
            todo = [child for child in children[node] if child not in paths_from]
            if todo:
                stack.extend(todo)
                continue
            stack.pop()
            paths_from[node] = sum(paths_from[child] for child in children[node]) or 1
    return sum(paths_from[source] for source in sources)


def iterate_paths(n_nodes: int, links: Links) -> Iterator[tuple[int, ...]]:
    """Yield every source-to-sink path, depth first, sources and children in file order."""
    children = children_of(n_nodes, links)
    for source in _sources(n_nodes, links, children):
        path = [source]
        branches = [iter(children[source])]
        while branches:
            child = next(branches[-1], None)
            if child is None:
                branches.pop()
                path.pop()
                continue
            path.append(child)
            if children[child]:
                branches.append(iter(children[child]))
            else:
                yield tuple(path)
                path.pop()


def _sources(n_nodes: int, links: Links, children: list[list[int]]) -> list[int]:
    """Return the nodes that start a path: no link in, at least one link out."""
    has_parent = {target for _, target in links}
    return [node for node in range(n_nodes) if node not in has_parent and children[node]]
