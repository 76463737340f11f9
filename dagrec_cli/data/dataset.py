"""Compositions to one prepared data set: vocabulary, context trie, pairs, graph."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.collection import Collection, Watch, collect
from dagrec_cli.data.composition import Invalid, Source
from dagrec_cli.data.contexts import ROOT, ContextTrie
from dagrec_cli.data.groups import chained, equal
from dagrec_cli.data.invalid import plural, summarise
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.ragged import block_places
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
    time
        Start of each composition in seconds since 1970, NaN where unknown, ``[compositions]``.
    sha256
        Hash of the data that was read.
    skipped
        Compositions left out: invalid ones, and those without a link or that a setting drops.
    dropped
        What was left out of compositions, and how often: ``{"links that close a cycle": 2}``.
    """

    vocabulary: Vocabulary
    contexts: ContextTrie
    pairs: Pairs
    other_steps: Steps
    path: Int32
    path_composition: Int32
    time: NDArray[np.float64]
    sha256: str = ""
    skipped: list[Invalid] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def n_compositions(self) -> int:
        """How many compositions were read."""
        return len(self.time)

    @cached_property
    def group(self) -> Int32:
        """The first of the compositions that equal each (the same paths), ``[compositions]``."""
        return equal(self.path, self.path_composition, self.n_compositions)

    @cached_property
    def chain(self) -> Int32:
        """The first composition that each shares a path with, even through others."""
        return chained(self.path, self.path_composition, self.n_compositions)

    def graph(self, rows: Rows | None = None) -> ServiceGraph:
        """Return the service graph of all pairs, or of the given rows and their compositions."""
        pairs, other = self.pairs, self.other_steps
        if rows is not None:
            pairs = pairs.take(rows)
            other = Steps(*(a[np.isin(other.composition, pairs.composition)] for a in other))
        source = np.concatenate([self.contexts.node[pairs.context], other.source])
        target = np.concatenate([self.vocabulary.service_nodes[pairs.target], other.target])
        return ServiceGraph.from_steps(source, target, self.vocabulary.service_class)


def build_dataset(source: Source, watch: Watch | None = None) -> Dataset:
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
        composition is invalid and ``source.on_invalid`` is ``error``.
    """
    return assemble(collect(source.read(), source, watch), source.sha256())


def assemble(found: Collection, sha256: str) -> Dataset:
    """Return the data set of everything that was collected.

    Parameters
    ----------
    sha256
        Hash of the data that was read.

    Raises
    ------
    DataError
        If there is nothing to learn from.
    """
    vocabulary, index = _vocabulary(found)
    trie = ContextTrie.of(found.parent, index[found.node])
    n_steps = trie.depth[found.end_context]  # of each distinct path
    contexts, nodes = _steps(trie, found.end_context, index[found.end_node])
    path, step = block_places(n_steps, found.path)
    context, node = contexts[step], nodes[step]
    compositions = np.arange(len(found.time), dtype=np.int32)
    path_composition = np.repeat(compositions, found.n_paths)
    owner = path_composition[path]
    target = vocabulary.service_class[node]
    is_pair = target >= 0
    other = ~is_pair
    return Dataset(
        vocabulary,
        trie,
        Pairs(context[is_pair], target[is_pair], owner[is_pair]),
        Steps(trie.node[context[other]], node[other], owner[other]),
        found.path,
        path_composition,
        found.time,
        sha256,
        found.skipped,
        found.dropped,
    )


def _vocabulary(found: Collection) -> tuple[Vocabulary, Int32]:
    """Return the sorted vocabulary, and the node index of each name's number."""
    if not len(found.time):
        told = summarise(found.skipped) or "the data holds none"
        raise DataError(f"no composition to learn from ({told}); give at least one that is valid.")
    followers = np.concatenate([found.node[found.parent != ROOT], found.end_node])
    services = sorted([found.names[n] for n in np.unique(followers) if found.is_service[n]])
    if len(services) < 2:
        told = f"only {services[0]!r} ever comes next" if services else "no service comes next"
        raise DataError(
            f"{told} in {plural(len(found.time), 'composition')}; recommending needs at least two "
            "services that follow another node (a node with `mid` is a service)."
        )
    order = sorted(range(len(found.names)), key=found.names.__getitem__)
    index = np.zeros(len(order), np.int32)
    index[order] = np.arange(1, len(order) + 1)
    names = tuple(found.names[n] for n in order)
    flags = tuple(found.is_service[n] for n in order)
    return Vocabulary(names, flags, tuple(services)), index


def _steps(trie: ContextTrie, end_context: Int32, end_node: Int32) -> tuple[Int32, Int32]:
    """Return context and next node of each step of each path, path after path."""
    n_steps = trie.depth[end_context]
    context = np.empty(n_steps.sum(), np.int32)
    node = np.empty_like(context)
    at = n_steps.cumsum() - 1
    while len(at):
        context[at], node[at] = end_context, end_node
        end_context, end_node = trie.parent[end_context], trie.node[end_context]
        inner = end_context != ROOT
        end_context, end_node, at = end_context[inner], end_node[inner], at[inner] - 1
    return context, node
