"""A workflow as it is expanded: nodes and links, in the end between nodes with a name alone.

A file of a megabyte may describe a billion nodes (a subworkflow of ten thousand inputs that is used
ten thousand times) or links (ten thousand tools, all passed on to ten thousand others). So all that
is kept, and all that is looked at once more, is counted first, text too, and in this file alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate, chain, compress

from dagrec_cli.data.composition import PREFIX_SERVICE, Composition, Fault, Invalid

BOUND = 250_000  # nodes and links; real workflows have thousands
TEXT = 32  # characters that count as much as a node
NESTED = 50  # subworkflows inside one another

Link = tuple[int, int]


class TooLargeError(Exception):
    """What a workflow describes is larger than :data:`BOUND`, or nested in itself."""


class Budget:
    """How much a workflow may still describe."""

    def __init__(self) -> None:
        self.left = BOUND

    def spend(self, n_things: int, *texts: Sized) -> None:
        """Count nodes, links, and the like, and texts, before they are kept or looked at again.

        Raises
        ------
        TooLargeError
            If they are too many.
        """
        self.left -= n_things + sum(map(len, texts)) // TEXT
        if self.left < 0:
            raise TooLargeError(
                f"more than {BOUND:,} nodes and links once it is expanded; split it"
            )


class Draft:
    """Nodes and links of a workflow and of everything inside it, and what is wrong with them.

    A node without a name passes on what feeds it.

    Attributes
    ----------
    place
        Of the workflow, in messages.
    conditions
        A node, and the nodes of the subworkflow that waits for it.
    dropped
        What is left out, and how often.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[Link] = []
        self.conditions: list[tuple[int, range]] = []
        self.dropped: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.budget = Budget()
        self._depth = 0

    def add_node(self, name: str, key: str) -> int:
        """Add a node by its name and its id, and return its number."""
        self.budget.spend(1, name, key)
        self.names.append(name)
        self.ids.append(key)
        return len(self.names) - 1

    def add_link(self, source: int, target: int) -> None:
        """Add a link between two nodes."""
        self.budget.spend(1)
        self.links.append((source, target))

    def add_fault(self, place: str, problem: str) -> None:
        """Add what is wrong, and where."""
        self.budget.spend(1, place, problem)
        self.faults.append(Fault(place, problem))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Work on a subworkflow inside the ``with`` block.

        Raises
        ------
        TooLargeError
            If too many are inside one another.
        """
        self._depth += 1
        if self._depth > NESTED:
            raise TooLargeError(
                f"more than {NESTED} subworkflows inside one another, or one inside itself"
            )
        yield
        self._depth -= 1

    def composition(self) -> Composition | Invalid:
        """Return the composition of all nodes that have a name."""
        if self.faults:
            return Invalid(tuple(dict.fromkeys(self.faults)))  # one may be used many times
        whole = Composition(
            tuple(self.names),
            tuple(name.startswith(PREFIX_SERVICE) for name in self.names),
            tuple(self.links),
            place=self.place,
            ids=self.ids,
            dropped=tuple(self.dropped.items()),
        )
        return pass_on(whole, self.conditions, self.budget)


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
    composition: Composition, conditions: Sequence[tuple[int, range]], budget: Budget
) -> Composition | Invalid:
    """Return a composition without the nodes that have no name: each passes on what feeds it.

    Parameters
    ----------
    conditions, budget
        As in :func:`named_links`.
    """
    names, ids, place = composition.names, composition.ids, composition.place
    try:
        links = named_links(names, composition.links, conditions, budget)
    except TooLargeError as error:
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
    names: Sequence[str],
    links: Sequence[Link],
    conditions: Sequence[tuple[int, range]],
    budget: Budget,
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
    budget
        What the workflow may still describe, those links included that turn out to be equal.

    Raises
    ------
    TooLargeError
        Before they take memory.
    CircleError
        If nodes without a name feed each other.
    """
    return _Links(names, links, budget).between_names(links, conditions)


class _Links:
    def __init__(self, names: Sequence[str], links: Sequence[Link], budget: Budget) -> None:
        self.names = names
        self.budget = budget
        self.is_service = [name.startswith(PREFIX_SERVICE) for name in names]
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
                self.budget.spend(sum(map(len, found)))
                origins[node] = list(dict.fromkeys(chain.from_iterable(found)))
        return origins

    def _first(self, nodes: range) -> list[int]:
        """Return the services of a subworkflow that no service of it leads to."""
        self.budget.spend(sum(len(self.callers.get(node, ())) for node in nodes))
        return [
            node
            for node in nodes
            if self.is_service[node]
            and not any(caller in nodes for caller in self.callers.get(node, ()))
        ]

    def _add(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        self.budget.spend(len(sources) * len(targets))
        self.found += [(source, target) for source in sources for target in targets]
        services = [source for source in sources if self.is_service[source]]
        for target in targets:
            self.callers[target] += services
