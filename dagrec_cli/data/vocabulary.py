"""Names to numbers: nodes (0 is padding), the service classes that a model scores, and owners.

Source: PAPER §2; both maps are over sorted names, so equal data gives equal numbers.
Differs from the source: but for the paper's split, a model knows the names of the rows that it is
fitted on, and no other. Those come first, so that a number means one name to the model and to the
data; every other node is to the model the UNKNOWN one of its kind.

::

    nodes      table_a  service_b  UNKNOWN table  UNKNOWN service  | service_c  table_d
    index            1          2              3                4  |         5        6
    to a model       1          2              3                4  |         4        3
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural

PAD = 0
UNKNOWN_OWNER = 0
UNKNOWN_NODES = {
    "UNKNOWN table": False,
    "UNKNOWN service": True,
}  # no reader gives a node such a name

Int32 = NDArray[np.int32]


class Known(NamedTuple):
    """How many of the nodes and of the services a model knows: the first ones."""

    nodes: Natural
    services: Natural


class UnknownNames(NamedTuple):
    """What nodes are called that a model does not know and reads as UNKNOWN.

    Attributes
    ----------
    names
        In full; the first one's node index is one more than the model has nodes.
    node
        Node index of each context's last node, ``[entries]``.
    as_read
        Under which index the model reads each node index, ``[nodes + 1]``.
    """

    names: tuple[str, ...]
    node: Int32
    as_read: Int32


@dataclass(frozen=True)
class Vocabulary:
    """Every node of the data, and which of them are services that can be recommended.

    Attributes
    ----------
    nodes
        Names, sorted but for what is not known; node ``nodes[k]`` has index ``k + 1``, since index
        0 is padding.
    is_service
        One flag per entry of ``nodes``.
    services
        Names of the catalogue, sorted likewise: services that are the next step of some context.
        Class ``c`` of every score row is ``services[c]``.
    known
        What of it a model knows; None for all.
    owners
        Those that a model knows, sorted; ``owners[k]`` has number ``k + 1``, and 0 is every other.
        None of a model that does not read who asks.
    """

    nodes: tuple[str, ...]
    is_service: tuple[bool, ...]
    services: tuple[str, ...]
    known: Known | None = None
    owners: tuple[str, ...] = ()

    @classmethod
    def fitted(cls, kinds: Mapping[str, bool], services: Iterable[str]) -> "Vocabulary":
        """Return that of a model that is fitted on some nodes, by name whether it is a service."""
        every = {name: kinds[name] for name in sorted(kinds)} | UNKNOWN_NODES
        return cls(tuple(every), tuple(every.values()), tuple(sorted(services)))

    def and_beyond(self, other: "Vocabulary") -> "Vocabulary":
        """Return this one, which a model knows, and behind it what another has that it lacks."""
        kinds = dict(zip(other.nodes, other.is_service, strict=True))
        nodes = [name for name in other.nodes if name not in self.index]
        services = sorted(set(other.services) - set(self.services))
        if not (nodes or services):
            return self
        return Vocabulary(
            (*self.nodes, *nodes),
            (*self.is_service, *(kinds[name] for name in nodes)),
            (*self.services, *services),
            Known(len(self.nodes), len(self.services)),
            self.owners,
        )

    def number_of_owner(self, owner: str | None) -> int:
        """Return the number under which a model reads who made a composition."""
        return self.owners.index(owner) + 1 if owner in self.owners else UNKNOWN_OWNER

    @cached_property
    def of_model(self) -> "Vocabulary":
        """The part that a model knows."""
        if self.known is None:
            return self
        n_nodes, n_services = self.known
        nodes, flags = self.nodes[:n_nodes], self.is_service[:n_nodes]
        return Vocabulary(nodes, flags, self.services[:n_services], owners=self.owners)

    @cached_property
    def unknown(self) -> Int32 | None:
        """Index of the UNKNOWN node of each node's kind, ``[nodes + 1]``; None without them."""
        if not UNKNOWN_NODES.keys() <= self.index.keys():
            return None
        table, service = (self.index[name] for name in UNKNOWN_NODES)
        return np.array([PAD, *np.where(self.is_service, service, table)], np.int32)

    @cached_property
    def as_read(self) -> Int32:
        """Index under which a model reads each node, ``[nodes + 1]``: its own, or UNKNOWN.

        Without UNKNOWN nodes every node has its own, also one that the model does not know.
        """
        index = np.arange(len(self.nodes) + 1, dtype=np.int32)
        if self.unknown is None:
            return index
        return np.where(index > len(self.of_model.nodes), self.unknown, index)

    @property
    def n_names(self) -> int:
        """Number of nodes that the data name; UNKNOWN ones are none."""
        return len(self.index.keys() - UNKNOWN_NODES.keys())

    @cached_property
    def index(self) -> dict[str, int]:
        """Node name to node index, 1 and up."""
        return {name: k for k, name in enumerate(self.nodes, start=1)}

    @cached_property
    def service_nodes(self) -> Int32:
        """Node index of each service class, ``[services]``."""
        return np.array([self.index[name] for name in self.services], np.int32)

    @cached_property
    def service_class(self) -> Int32:
        """Class of each node index, ``[nodes + 1]``; -1 for padding, tables and non-targets."""
        classes = np.full(len(self.nodes) + 1, -1, np.int32)
        classes[self.service_nodes] = np.arange(len(self.services), dtype=np.int32)
        return classes

    def spell(self, indices: Sequence[int] | Int32) -> list[str]:
        """Return the names of node indices, padding left out."""
        return [self.nodes[k - 1] for k in indices if k != PAD]
