"""A composition: a DAG of tables and services, and the rules that make it one.

Readers of every format yield these records; nothing behind them knows the format.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from dagrec_cli.errors import one_line

Context = Literal["dag", "path"]

PREFIX_TABLE = "table_"
PREFIX_SERVICE = "service_"
CLOSING = "links that close a cycle"  # as what is dropped
REMEDY = "a composition must be acyclic (data.on_cycle=cut drops the links that close a cycle)"
NEW, INSIDE, DONE = range(3)  # a node that no walk has reached, one in the walk, one left behind

OnCycle = Literal["error", "cut", "skip"]


class Fault(NamedTuple):
    """One broken rule: where (``compositions[17].links[2].target``) and what is wrong there."""

    place: str
    problem: str

    def __str__(self) -> str:
        return one_line(f"{self.place}: {self.problem}")


class Composition(NamedTuple):
    """One composition. Nodes are positions ``0..n-1`` in the order of the file.

    A reader's ``parse`` may yield links that repeat or close cycles; behind :func:`as_dag` they are
    distinct and acyclic.

    Attributes
    ----------
    names
        Vocabulary name of each node (``table_1002132``, ``service_308``). Two nodes may share a
        name: a service called twice is two nodes of one name.
    is_service
        True where the node is a service call; only services are ever recommended.
    links
        ``(source, target)`` positions, in the order of the file.
    owner
        Who made it, if the file says so.
    start_time, end_time
        When its first service started and its last one ended, in seconds since 1970 (UTC), if the
        file says so.
    place
        Where it lies, such as ``compositions[17]``, for messages; empty if it lies in no file.
    ids
        The nodes' ids in the file, for messages; empty if it lies in no file.
    dropped
        What the reader left out of it: ``(("links that close a cycle", 2),)``.
    """

    names: tuple[str, ...]
    is_service: tuple[bool, ...]
    links: tuple[tuple[int, int], ...]
    owner: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    place: str = ""
    ids: Sequence[str] = ()
    dropped: tuple[tuple[str, int], ...] = ()


class Invalid(NamedTuple):
    """A composition that is left out; readers yield it in the composition's place.

    Attributes
    ----------
    faults
        The rules that it breaks, or the one reason why it is left out.
    is_fault
        False if nothing is wrong: it holds no step, or a setting such as ``data.on_cycle=skip``
        leaves it out, whatever ``data.on_invalid`` says of faults.
    """

    faults: tuple[Fault, ...]
    is_fault: bool = True


@runtime_checkable
class Source(Protocol):
    """Where compositions come from; the target of every YAML in ``configs/data``."""

    on_invalid: str
    context: Context
    max_paths: int

    def read(self) -> Iterator[Composition | Invalid]:
        """Yield every composition in order, or what is wrong with it, one at a time."""

    def sha256(self) -> str:
        """Return the hash of the data that :meth:`read` reads."""


class Shard(NamedTuple):
    """A file that can be read apart from the others.

    Attributes
    ----------
    path
        The file.
    name
        What messages call it; empty if it is the only one.
    """

    path: Path
    name: str


@runtime_checkable
class ShardedSource(Source, Protocol):
    """A source of files: what :meth:`read` yields is what they yield, one after another."""

    def shards(self) -> list[Shard]:
        """Return the files in order."""

    def read_shard(self, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield every composition of one file in order, or what is wrong with it."""


def files_of(source: Source) -> list[Path]:
    """Return the files that a source reads; none of one that makes its compositions up."""
    return [shard.path for shard in source.shards()] if isinstance(source, ShardedSource) else []


def inside(place: str, part: str) -> str:
    """Return the place of a part: ``.links`` of ``[1] (line 2)`` is ``[1].links (line 2)``."""
    whole, line, number = place.partition(" (line ")
    return f"{whole}{part}{line}{number}"


def as_dag(
    composition: Composition, on_cycle: OnCycle, *, needs_link: bool = True
) -> Composition | Invalid:
    """Return a composition with distinct links and no cycle, or why it is left out.

    Parameters
    ----------
    composition
        As a reader's ``parse`` yields it.
    on_cycle
        ``error``: a cycle is a fault; ``skip``: a composition with one is left out; ``cut``: the
        links of :func:`closing_links` are dropped.
    needs_link
        Whether one without a link is left out, as nothing can be learnt from it.
    """
    names, given, place = composition.names, composition.links, composition.place
    links, dropped = tuple(dict.fromkeys(given)), composition.dropped
    faults = check_acyclic(len(names), given, composition.ids or names, place)
    if faults and on_cycle == "cut":
        closing = {(walk[-1], target) for walk, target in closing_links(len(names), links)}
        links = tuple([link for link in links if link not in closing])
        dropped += ((CLOSING, len(closing)),) if closing else ()
    elif faults:
        return Invalid(tuple(faults), is_fault=on_cycle != "skip")
    if needs_link and not links:
        return Invalid((Fault(inside(place, ".links"), "no link, so no step"),), is_fault=False)
    return composition._replace(links=links, dropped=dropped)


def check_acyclic(
    n_nodes: int, links: Sequence[tuple[int, int]], ids: Sequence[str], place: str
) -> list[Fault]:
    """Return what keeps links (positions, both ends known) from being acyclic.

    Parameters
    ----------
    n_nodes
        How many nodes there are.
    links
        ``(source, target)`` positions.
    ids
        The nodes' ids as the file has them, for messages.
    place
        The composition's place in the file, such as ``compositions[17]``.
    """
    # as in most files: nodes in the order of their calls, links that lead onwards
    if all([source < target for source, target in links]):  # noqa: C419 - a list is faster here
        return []
    faults = [
        Fault(inside(place, f".links[{k}]"), f"node {ids[source]!r} is linked to itself; {REMEDY}")
        for k, (source, target) in enumerate(links)
        if source == target
    ]
    if not faults:
        for walk, target in closing_links(n_nodes, links):
            cycle = [*walk[walk.index(target) :], target]
            shown = " -> ".join(ids[node] for node in cycle)
            return [Fault(inside(place, ".links"), f"cycle {shown}; {REMEDY}")]
    return faults


def closing_links(
    n_nodes: int, links: Sequence[tuple[int, int]]
) -> Iterator[tuple[list[int], int]]:
    """Yield each link that closes a cycle: the walk to its source (do not keep it), and its target.

    The walk goes depth first from the nodes without a link in, then from any node not yet reached,
    in the order of nodes and of links. A link that leads back into the walk closes a cycle, and
    without these there is none. The cost is linear in nodes and links.
    """
    children: list[list[int]] = [[] for _ in range(n_nodes)]
    is_source = [True] * n_nodes
    for source, target in links:
        children[source].append(target)
        is_source[target] &= source == target
    rest = [iter(each) for each in children]  # the links that are still to be followed
    state = [NEW] * n_nodes
    for root in sorted(range(n_nodes), key=is_source.__getitem__, reverse=True):
        walk = [root] if state[root] == NEW else []
        while walk:
            node = walk[-1]
            state[node] = INSIDE
            for child in rest[node]:
                if state[child] == INSIDE:
                    yield walk, child
                elif state[child] == NEW:
                    walk.append(child)
                    break
            else:
                state[node] = DONE
                walk.pop()
