"""The links of a Galaxy workflow whose subworkflows are expanded, between nodes with a name.

A node without a name passes on what feeds it. A workflow of a few megabytes may describe links by
the billion (ten thousand tools, all passed on to ten thousand others), so they are counted before
they are made.
"""

from collections import defaultdict
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate, chain, compress

from dagrec_cli.data.composition import PREFIX_SERVICE, Composition, Fault, Invalid

BOUND = 10**6  # links, those included that turn out to be equal; real workflows have thousands

Link = tuple[int, int]


class TooManyLinksError(Exception):
    """What a workflow describes is larger than :data:`BOUND`."""


class CircleError(Exception):
    """Nodes without a name feed each other, so nothing that has one feeds them.

    Attributes
    ----------
    node
        One of them.
    """

    def __init__(self, node: int) -> None:
        self.node = node


def pass_on(
    composition: Composition, conditions: Sequence[tuple[int, range]] = ()
) -> Composition | Invalid:
    """Return a composition without the nodes that have no name: each passes on what feeds it.

    Parameters
    ----------
    conditions
        As in :func:`named_links`.
    """
    names, ids, place = composition.names, composition.ids, composition.place
    try:
        links = named_links(names, composition.links, conditions)
    except TooManyLinksError as error:
        return Invalid((Fault(place, str(error)),))
    except CircleError as error:
        problem = "it is fed by itself, through nodes alone that pass on what feeds them"
        return Invalid((Fault(f"{place} {ids[error.node]}", problem),))
    position = list(accumulate(map(bool, names), initial=0))  # without the nameless
    return composition._replace(
        names=tuple(filter(None, names)),
        is_service=tuple(compress(composition.is_service, names)),
        links=tuple((position[source], position[target]) for source, target in links),
        ids=list(compress(ids, names)),
    )


def named_links(
    names: Sequence[str], links: Sequence[Link], conditions: Sequence[tuple[int, range]]
) -> list[Link]:
    """Return the links between nodes with a name, each once.

    Parameters
    ----------
    names
        Name of each node, or empty.
    links
        Source and target, with a name or without.
    conditions
        A node, and the nodes of the subworkflow that waits for it: its services do that come first.

    Raises
    ------
    TooManyLinksError
        Before they take memory.
    CircleError
        If nodes without a name feed each other.
    """
    return _Links(names, links).between_names(links, conditions)


class _Links:
    def __init__(self, names: Sequence[str], links: Sequence[Link]) -> None:
        self.names = names
        self.is_service = [name.startswith(PREFIX_SERVICE) for name in names]
        self.left = BOUND
        self.found: list[Link] = []
        self.callers: dict[int, list[int]] = defaultdict(list)  # services right before each node
        self.origins = self._origins(links)

    def between_names(
        self, links: Sequence[Link], conditions: Sequence[tuple[int, range]]
    ) -> list[Link]:
        for a, b in links:
            if self.names[b]:
                self._add(self.origins[a], [b])
        waiting: dict[range, list[int]] = {}
        for condition, nodes in conditions:
            if nodes not in waiting:  # what comes in from outside changes nothing about it
                waiting[nodes] = self._first(nodes)
            self._add(self.origins[condition], waiting[nodes])
        return list(dict.fromkeys(self.found))

    def _origins(self, links: Sequence[Link]) -> dict[int, list[int]]:
        """Return the nodes with a name that each node's output comes from."""
        parents: dict[int, list[int]] = {n: [] for n, name in enumerate(self.names) if not name}
        for source, target in links:
            if target in parents:
                parents[target].append(source)
        origins = {node: [node] for node, name in enumerate(self.names) if name}
        nameless = {node: parents.keys() & above for node, above in parents.items()}
        try:
            order = list(TopologicalSorter(nameless).static_order())
        except CycleError as error:
            raise CircleError(error.args[1][0]) from error
        for node in order:
            found = [origins[parent] for parent in parents[node]]
            if len(found) == 1:  # shared, so a long chain of them costs nothing
                origins[node] = found[0]
            else:
                self._count(sum(map(len, found)))
                origins[node] = list(dict.fromkeys(chain.from_iterable(found)))
        return origins

    def _first(self, nodes: range) -> list[int]:
        """Return the services of a subworkflow that no service of it leads to."""
        self._count(sum(len(self.callers.get(node, ())) for node in nodes))
        return [
            node
            for node in nodes
            if self.is_service[node]
            and not any(caller in nodes for caller in self.callers.get(node, ()))
        ]

    def _add(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        self._count(len(sources) * len(targets))
        self.found += [(source, target) for source in sources for target in targets]
        services = [source for source in sources if self.is_service[source]]
        for target in targets:
            self.callers[target] += services

    def _count(self, n_links: int) -> None:
        self.left -= n_links
        if self.left < 0:
            raise TooManyLinksError(f"more than {BOUND:,} links once it is expanded; split it")
