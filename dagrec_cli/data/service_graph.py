"""The service graph: every observed step between nodes, and the successors it allows.

Source: PAPER §2 and §3 ("DAG mask"). The graph is the union of the links.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.ragged import gather_places

Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class ServiceGraph:
    """Edges between node indices, sorted by (source, target), with how often each was walked.

    Attributes
    ----------
    source, target
        Node indices of each edge's ends, ``[edges]``.
    count
        How often the step occurs, ``[edges]``; with ``context=path`` over all paths.
    service_class
        Class of each node index, -1 where it is none, ``[nodes + 1]``.
    """

    source: Int32
    target: Int32
    count: NDArray[np.int64]
    service_class: Int32

    @classmethod
    def from_steps(cls, source: Int32, target: Int32, service_class: Int32) -> "ServiceGraph":
        """Count steps (node indices of both ends, one entry per occurrence) into edges."""
        key = source.astype(np.int64) << 32 | target
        values, counts = np.unique(key, return_counts=True)
        return cls((values >> 32).astype(np.int32), values.astype(np.int32), counts, service_class)

    def among(self, service_class: Int32) -> "ServiceGraph":
        """Return the edges between the first nodes, given the class of each of those."""
        kept = np.maximum(self.source, self.target) < len(service_class)
        return ServiceGraph(self.source[kept], self.target[kept], self.count[kept], service_class)

    @cached_property
    def successors(self) -> tuple[NDArray[np.int64], Int32]:
        """Service classes that may follow each node, as CSR ``(indptr[nodes + 2], indices)``.

        ``indices[indptr[n]:indptr[n + 1]]`` are the sorted classes that may follow node ``n``.
        """
        indptr, edge = self._edges_to_services
        return indptr, self.service_class[self.target[edge]]

    @cached_property
    def _edges_to_services(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Edges that end in a service, by source, then by class, as CSR."""
        classes = self.service_class[self.target]
        edge = np.flatnonzero(classes >= 0)
        order = np.lexsort((classes[edge], self.source[edge]))
        per_node = np.bincount(self.source[edge], minlength=len(self.service_class))
        return np.concatenate([[0], np.cumsum(per_node)]), edge[order]

    def times_seen(self, last: int, n_services: int) -> NDArray[np.int64]:
        """Return how often each service was seen to follow a node, ``[services]``."""
        indptr, edges = self._edges_to_services
        edge = edges[indptr[last] : indptr[last + 1]]
        times = np.zeros(n_services, np.int64)
        times[self.service_class[self.target[edge]]] = self.count[edge]
        return times

    def popularity(self, n_services: int) -> NDArray[np.float64]:
        """Return how often each service was seen to follow anything, ``[services]``."""
        of_edge = self.service_class[self.target]
        is_service = of_edge >= 0
        count = np.bincount(of_edge[is_service], self.count[is_service], n_services)
        return count.astype(np.float64)

    def followers(self, last: Int32 | NDArray[np.int64]) -> tuple[NDArray[np.int64], Int32]:
        """Return how many services may follow each node, and their classes, node after node.

        A node without known successors has none here; see :meth:`allowed`.
        """
        indptr, indices = self.successors
        size = np.diff(indptr)[last]
        _, place = gather_places(indptr[last], size)
        return size, indices[place]

    def allowed(
        self, last: Int32 | NDArray[np.int64] | Sequence[int], n_services: int
    ) -> NDArray[np.bool_]:
        """Return which services may follow each of the given nodes, ``[nodes, services]``.

        A node without known successors allows every service, as the paper has it.
        """
        size, classes = self.followers(np.asarray(last, np.int64))
        table = np.zeros((len(size), n_services), bool)
        table[np.repeat(np.arange(len(size)), size), classes] = True
        table[size == 0] = True
        return table

    def count_forbidden(self, last: Int32, target: Int32) -> int:
        """Return how many targets (classes) do not follow their context's last node.

        Targets after a node without known successors are not forbidden.
        """
        indptr, indices = self.successors
        n_services = int(max(target.max(initial=0), indices.max(initial=0))) + 1
        edge = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) * n_services + indices
        is_edge = np.isin(last.astype(np.int64) * n_services + target, edge)
        return int((~is_edge & (np.diff(indptr)[last] > 0)).sum())
