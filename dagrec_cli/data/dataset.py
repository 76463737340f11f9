"""Compositions to one prepared data set: vocabulary, context trie, pairs, graph.

Equal compositions are expanded into paths once; what repeats is only their numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.composition import Composition, Invalid, Source
from dagrec_cli.data.contexts import ROOT, ContextTrie, TrieBuilder
from dagrec_cli.data.invalid import valid
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.paths import count_paths, iterate_paths
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DataError

Int32 = NDArray[np.int32]


class Steps(NamedTuple):
    """Steps into nodes that are no target service (tables); the graph shows them, pairs do not."""

    source: Int32
    target: Int32
    composition: Int32


@dataclass(frozen=True)
class Dataset:
    """Everything a split, a model and an evaluation need, as arrays.

    Attributes
    ----------
    vocabulary
        Names of nodes and services.
    contexts
        Trie of every proper prefix of a path.
    pairs
        One row per step into a service, in file order.
    other_steps
        Steps into tables, one per occurrence.
    path
        Number of the distinct path of each path, ``[paths]``, in file order.
    path_composition
        Composition of each path, ``[paths]``.
    group
        Compositions that share a path, even through others, have one group, ``[compositions]``.
    time
        Start of each composition in seconds since 1970, NaN where unknown, ``[compositions]``.
    sha256
        Hash of the data that was read.
    skipped
        Invalid compositions left out because of ``data.on_invalid=skip``.
    """

    vocabulary: Vocabulary
    contexts: ContextTrie
    pairs: Pairs
    other_steps: Steps
    path: Int32
    path_composition: Int32
    group: Int32
    time: NDArray[np.float64]
    sha256: str = ""
    skipped: list[Invalid] = field(default_factory=list)

    @property
    def n_compositions(self) -> int:
        """How many compositions were read."""
        return len(self.time)

    def graph(self, rows: Rows | None = None) -> ServiceGraph:
        """Return the service graph of all pairs, or of the given rows and their compositions."""
        pairs, other = self.pairs, self.other_steps
        if rows is not None:
            pairs = pairs.take(rows)
            other = Steps(*(a[np.isin(other.composition, pairs.composition)] for a in other))
        source = np.concatenate([self.contexts.node[pairs.context], other.source])
        target = np.concatenate([self.vocabulary.service_nodes[pairs.target], other.target])
        return ServiceGraph.from_steps(source, target, self.vocabulary.service_class)


def prepare(source: Source, watch: Callable[[int], None] | None = None) -> Dataset:
    """Read every composition of a source and chain paths, contexts and pairs.

    Parameters
    ----------
    source
        Where compositions come from.
    watch
        Called with the number of compositions read so far, for a progress display.

    Raises
    ------
    DataError
        If there is nothing to learn from (no composition, no service, a single service), or a
        composition has more than ``source.max_paths`` paths.
    """
    skipped: list[Invalid] = []
    expander = _Expander(source.max_paths)
    expander.read(valid(source.read(), source.on_invalid, skipped), watch)
    return expander.dataset(source.sha256(), skipped)


class _Expansion(NamedTuple):
    """Numbers of one distinct composition: ``(context, node)`` per step, and its paths."""

    steps: NDArray[np.int32]  # [steps, 2]
    paths: list[int]


class _Expander:
    """Collects compositions; nodes and contexts are numbered as they come, renamed at the end."""

    def __init__(self, max_paths: int) -> None:
        self.max_paths = max_paths
        self.nodes: dict[str, int] = {}
        self.is_service: list[bool] = []
        self.trie = TrieBuilder()
        self.path_number: dict[tuple[int, int], int] = {}
        self.number: dict[tuple[tuple[str, ...], tuple[tuple[int, int], ...]], int] = {}
        self.expansions: list[_Expansion] = []
        self.which: list[int] = []
        self.time: list[float] = []

    def read(
        self, compositions: Iterable[Composition], watch: Callable[[int], None] | None
    ) -> None:
        for position, composition in enumerate(compositions):
            key = (composition.names, composition.links)
            number = self.number.get(key)
            if number is None:
                number = self.number[key] = len(self.expansions)
                self.expansions.append(self._expand(composition, position))
            self.which.append(number)
            self.time.append(np.nan if composition.time is None else composition.time)
            if watch and position % 1000 == 0:
                watch(position)

    def _expand(self, composition: Composition, position: int) -> _Expansion:
        names, is_service, links = composition[:3]
        n_paths = count_paths(len(names), links)
        if n_paths > self.max_paths:
            raise DataError(
                f"composition {position} (of {len(names)} nodes) has {n_paths:,} paths, more than "
                f"data.max_paths={self.max_paths:,}; raise data.max_paths or leave it out."
            )
        own = [self._node(*node) for node in zip(names, is_service, strict=True)]
        steps, paths = [], []
        for path in iterate_paths(len(names), links):
            context = self.trie.child(ROOT, own[path[0]])
            for node in path[1:-1]:
                steps.append((context, own[node]))
                context = self.trie.child(context, own[node])
            end = (context, own[path[-1]])
            steps.append(end)
            paths.append(self.path_number.setdefault(end, len(self.path_number)))
        return _Expansion(np.array(steps, np.int32).reshape(-1, 2), paths)

    def _node(self, name: str, is_service: bool) -> int:
        number = self.nodes.setdefault(name, len(self.nodes))
        if number == len(self.is_service):
            self.is_service.append(is_service)
        return number

    def dataset(self, sha256: str, skipped: list[Invalid]) -> Dataset:
        if not self.which:
            raise DataError(f"no composition to learn from ({len(skipped)} invalid ones skipped).")
        which = np.array(self.which)
        owner, steps = _repeat([e.steps for e in self.expansions], which)
        path_owner, path = _repeat([np.array(e.paths, np.int32) for e in self.expansions], which)
        vocabulary, node_index = self._vocabulary()
        trie = self.trie.build(node_index)
        context, node = steps[:, 0], node_index[steps[:, 1]]
        target = vocabulary.service_class[node]
        is_pair = target >= 0
        other = ~is_pair
        return Dataset(
            vocabulary,
            trie,
            Pairs(context[is_pair], target[is_pair], owner[is_pair]),
            Steps(trie.node[context[other]], node[other], owner[other]),
            path,
            path_owner,
            self._groups()[which],
            np.array(self.time, np.float64),
            sha256,
            skipped,
        )

    def _vocabulary(self) -> tuple[Vocabulary, Int32]:
        """Return the sorted vocabulary, and the final node index of each provisional number."""
        numbers = np.concatenate([e.steps[:, 1] for e in self.expansions])
        targets = {int(n) for n in np.unique(numbers) if self.is_service[n]}
        services = tuple(sorted(name for name, n in self.nodes.items() if n in targets))
        if len(services) < 2:
            found = f"only {services[0]!r} ever comes next" if services else "no service comes next"
            raise DataError(
                f"{found} in {len(self.which):,} compositions; recommending needs at least two "
                "services that follow another node (a node with `mid` is a service)."
            )
        names = sorted(self.nodes)
        flags = tuple(self.is_service[self.nodes[name]] for name in names)
        index = np.zeros(len(names), np.int32)
        for position, name in enumerate(names, start=1):
            index[self.nodes[name]] = position
        return Vocabulary(tuple(names), flags, services), index

    def _groups(self) -> Int32:
        """Return a group for each distinct composition, by union-find over shared paths."""
        parent = list(range(len(self.path_number)))

        def root(path: int) -> int:
            while parent[path] != path:
                parent[path] = parent[parent[path]]
                path = parent[path]
            return path

        for expansion in self.expansions:
            for path in expansion.paths[1:]:
                parent[root(path)] = root(expansion.paths[0])
        return np.array([root(e.paths[0]) for e in self.expansions], np.int32)


def _repeat(parts: list[NDArray[np.int32]], which: NDArray[np.int64]) -> tuple[Int32, Int32]:
    """Return ``concatenate([parts[k] for k in which])`` and each entry's position in ``which``."""
    lengths = np.array([len(part) for part in parts], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    owner = np.repeat(np.arange(len(which)), lengths[which])
    before = np.cumsum(lengths[which]) - lengths[which]
    inside = np.arange(len(owner)) - before[owner]
    return owner.astype(np.int32), np.concatenate(parts)[starts[which][owner] + inside]
