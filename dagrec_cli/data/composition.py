"""A composition: a DAG of tables and services, and the rules that make it one.

Readers of every format yield these records; nothing behind them knows the format.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from dagrec_cli.errors import one_line

PREFIX_TABLE = "table_"
PREFIX_SERVICE = "service_"


class Fault(NamedTuple):
    """One broken rule: where (``compositions[17].links[2].target``) and what is wrong there."""

    place: str
    problem: str

    def __str__(self) -> str:
        return one_line(f"{self.place}: {self.problem}")


class Composition(NamedTuple):
    """One valid composition. Nodes are positions ``0..n-1`` in the order of the file.

    Attributes
    ----------
    names
        Vocabulary name of each node (``table_1002132``, ``service_308``). Two nodes may share a
        name: a service called twice is two nodes of one name.
    is_service
        True where the node is a service call; only services are ever recommended.
    links
        Distinct ``(source, target)`` positions, in the order of the file.
    owner
        Who made it, if the file says so.
    time
        When its first service started, in seconds since 1970 (UTC), if the file says so.
    place
        Where it lies, such as ``compositions[17]``, for messages; empty if it lies in no file.
    """

    names: tuple[str, ...]
    is_service: tuple[bool, ...]
    links: tuple[tuple[int, int], ...]
    owner: str | None = None
    time: float | None = None
    place: str = ""


class Invalid(NamedTuple):
    """A composition that breaks rules; readers yield it in the composition's place."""

    faults: tuple[Fault, ...]


@runtime_checkable
class Source(Protocol):
    """Where compositions come from; the target of every YAML in ``configs/data``."""

    on_invalid: str
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


def check_links(
    n_nodes: int, links: Sequence[tuple[int, int]], ids: Sequence[str], place: str
) -> list[Fault]:
    """Return what keeps nodes and links (positions, both ends known) from being a DAG.

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
    if not links:
        return [Fault(f"{place}.links", "no link; a composition needs at least one")]
    if all([source < target for source, target in links]):  # noqa: C419 - a list is faster here
        return []  # as in most files: nodes in the order of their calls, links that lead onwards
    faults = [
        Fault(f"{place}.links[{k}]", f"node {ids[source]!r} is linked to itself")
        for k, (source, target) in enumerate(links)
        if source == target
    ]
    if not faults and (cycle := find_cycle(n_nodes, links)):
        walk = " -> ".join(ids[node] for node in [*cycle, cycle[0]])
        faults.append(Fault(f"{place}.links", f"cycle {walk}; a composition must be acyclic"))
    return faults


def find_cycle(n_nodes: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """Return the nodes of one cycle in order, or an empty list if there is none.

    Kahn's algorithm peels every node without an open predecessor; what is left holds a cycle,
    which a walk along open predecessors must close.
    """
    open_links = [0] * n_nodes
    children: list[list[int]] = [[] for _ in range(n_nodes)]
    parents: list[list[int]] = [[] for _ in range(n_nodes)]
    for source, target in links:
        children[source].append(target)
        parents[target].append(source)
        open_links[target] += 1
    ready = [node for node in range(n_nodes) if not open_links[node]]
    for node in ready:
        for child in children[node]:
            open_links[child] -= 1
            if not open_links[child]:
                ready.append(child)
    if len(ready) == n_nodes:
        return []
    seen: dict[int, int] = {}
    node = next(node for node in range(n_nodes) if open_links[node])
    while node not in seen:
        seen[node] = len(seen)
        node = next(parent for parent in parents[node] if open_links[parent])
    return [n for n, k in seen.items() if k >= seen[node]][::-1]
