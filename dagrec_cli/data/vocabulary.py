"""Names to numbers: nodes (0 is padding) and the service classes that a model scores.

Source: PAPER §2; both maps are over sorted names, so equal data gives equal numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural
from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE
from dagrec_cli.errors import DataError

PAD = 0


@dataclass(frozen=True)
class Vocabulary:
    """Every node of the data, and which of them are services that can be recommended.

    Attributes
    ----------
    nodes
        Sorted names; node ``nodes[k]`` has index ``k + 1``, since index 0 is padding.
    is_service
        One flag per entry of ``nodes``.
    services
        Sorted names of the catalogue: services that are the next step of some context. Class
        ``c`` of every score row is ``services[c]``.
    """

    nodes: tuple[str, ...]
    is_service: tuple[bool, ...]
    services: tuple[str, ...]

    @cached_property
    def index(self) -> dict[str, int]:
        """Node name to node index, 1 and up."""
        return {name: k for k, name in enumerate(self.nodes, start=1)}

    @cached_property
    def service_nodes(self) -> NDArray[np.int32]:
        """Node index of each service class, ``[services]``."""
        return np.array([self.index[name] for name in self.services], np.int32)

    @cached_property
    def service_class(self) -> NDArray[np.int32]:
        """Class of each node index, ``[nodes + 1]``; -1 for padding, tables and non-targets."""
        classes = np.full(len(self.nodes) + 1, -1, np.int32)
        classes[self.service_nodes] = np.arange(len(self.services), dtype=np.int32)
        return classes

    def lookup(self, name: str, *, is_whole: bool = False) -> int:
        """Return the index of a node.

        Parameters
        ----------
        name
            As in ``nodes``, which counts first, or without the prefix of its kind.
        is_whole
            Whether the name has its prefix, as those that a reader gives: it is taken as it is.

        Raises
        ------
        DataError
            If the name is unknown; the message offers the nearest names. If it lacks its prefix and
            both a table and a service have it.
        """
        if name in self.index:
            return self.index[name]
        kinds = () if is_whole else (PREFIX_TABLE, PREFIX_SERVICE)
        found = [prefix + name for prefix in kinds if prefix + name in self.index]
        if len(found) > 1:
            raise DataError(f"ambiguous node {name!r}; write {' or '.join(found)}.")
        if not found:
            near = get_close_matches(name, self.nodes, n=3)
            told = f"nearest known names: {', '.join(near)}"
            if not near:
                told = f"some known names: {', '.join(self.nodes[:3])}"
            raise DataError(f"unknown node {name!r}; {told}.")
        return self.index[found[0]]

    def spell(self, indices: Sequence[int] | NDArray[np.int32]) -> list[str]:
        """Return the names of node indices, padding left out."""
        return [self.nodes[k - 1] for k in indices if k != PAD]


@dataclass(frozen=True)
class Unseen:
    """What other data hold that a vocabulary does not.

    Attributes
    ----------
    nodes, services
        Names in the whole data: nodes, and services that are a target.
    contexts_shortened, contexts_emptied
        Test pairs whose context lost some of its nodes, or all.
    targets
        Test pairs whose target is not in the catalogue.
    """

    nodes: Natural
    services: Natural
    contexts_shortened: Natural
    contexts_emptied: Natural
    targets: Natural

    def __bool__(self) -> bool:
        """Return whether there is anything."""
        return any(vars(self).values())
