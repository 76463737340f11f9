"""Compositions to one prepared data set: vocabulary, contexts, links, pairs, graph."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.collection import Collection, Watch, collect
from dagrec_cli.data.composition import Context, Invalid, Source
from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.invalid import summarise
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.paths import chained, equal
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.vocabulary import PAD, UNKNOWN_OWNER, Vocabulary
from dagrec_cli.errors import DataError, plural

Int32 = NDArray[np.int32]


class Links(NamedTuple):
    """All links in the order of the file, into tables too; once for each path where those count.

    Attributes
    ----------
    source, target
        Entries of the contexts that end where a link begins and where it ends, ``[links]``.
    composition
        Which composition a link is from, ``[links]``.
    """

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
        The context of every node that is linked; first those that something follows.
    links
        What leads where.
    owner
        Number of each composition's owner in ``owners``, -1 where unknown, ``[compositions]``.
    start_time, end_time
        When each began and ended, in seconds since 1970, NaN where unknown, ``[compositions]``.
    context
        What a step is predicted from.
    owners
        Who made compositions, in the order in which they are met.
    sha256
        Hash of the data that was read.
    skipped
        Compositions left out: invalid ones, and those without a link or that a setting drops.
    dropped
        What was left out of compositions, and how often: ``{"links that close a cycle": 2}``.
    """

    vocabulary: Vocabulary
    contexts: ContextDag
    links: Links
    owner: Int32
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]
    context: Context
    owners: tuple[str, ...] = ()
    sha256: str = ""
    skipped: list[Invalid] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def n_compositions(self) -> int:
        """How many compositions were read."""
        return len(self.start_time)

    @cached_property
    def pairs(self) -> Pairs:
        """One row per step into a service, in file order."""
        target = self.vocabulary.service_class[self.contexts.node[self.links.target]]
        is_step = target >= 0
        source, _, composition = self.links
        return Pairs(source[is_step], target[is_step], composition[is_step])

    @cached_property
    def followed(self) -> ContextDag:
        """The contexts that something follows, under the same numbers: those to predict from."""
        return self.contexts.first(int(self.links.source.max(initial=-1)) + 1)

    @cached_property
    def owner_as_read(self) -> Int32:
        """Number under which a model reads each composition's owner, ``[compositions]``."""
        number = {name: k for k, name in enumerate(self.vocabulary.owners, start=1)}
        known = [number.get(name, UNKNOWN_OWNER) for name in self.owners]
        return np.array([*known, UNKNOWN_OWNER], np.int32)[self.owner]  # -1 is the last one

    @cached_property
    def place_in_time(self) -> Int32:
        """Place of each composition in the order in which they ended, ``[compositions]``.

        The start of one whose end is not known is taken for it. Without times the order is that of
        the file.
        """
        end = np.fmax(self.start_time, self.end_time)
        if np.isnan(end).any():
            return np.arange(self.n_compositions, dtype=np.int32)
        return np.unique(end, return_inverse=True)[1].astype(np.int32)

    @cached_property
    def path(self) -> tuple[Int32, Int32]:
        """Entry and composition of each source-to-sink path.

        Raises
        ------
        DataError
            If contexts are no paths.
        """
        if self.context != "path":
            raise DataError(
                "split.join=paths joins compositions that share a path, but contexts are DAGs; "
                "use split.join=duplicates, or data.context=path."
            )
        source, target, composition = self.links
        is_last = np.append(self.contexts.depth[source[1:]] == 1, [True] * (len(source) > 0))
        return target[is_last], composition[is_last]

    @cached_property
    def group(self) -> Int32:
        """The first of the compositions that equal each (the same links), ``[compositions]``.

        A link's source is one of the parents of its target, so the targets tell all.
        """
        return equal(self.links.target, self.links.composition, self.n_compositions)

    @cached_property
    def chain(self) -> Int32:
        """The first composition that each shares a path with, even through others."""
        return chained(*self.path, self.n_compositions)

    @cached_property
    def as_read(self) -> ContextDag:
        """The contexts as a model reads them."""
        return self.contexts.read_by(self.vocabulary)

    def nodes_in(self, rows: Rows) -> tuple[Int32, Int32]:
        """Return the nodes in some steps, and the classes that are their targets, each once."""
        pairs = self.pairs.take(rows)
        entries = self.contexts.ancestors(np.unique(pairs.context))
        targets = np.unique(pairs.target)
        service_nodes = self.vocabulary.service_nodes[targets]
        return np.union1d(self.contexts.node[entries], service_nodes), targets

    def vocabulary_of(self, rows: Rows) -> Vocabulary:
        """Return the vocabulary of a model that is fitted on some steps: the names in them."""
        (nodes, targets), names = self.nodes_in(rows), self.vocabulary
        kinds = {names.nodes[n - 1]: names.is_service[n - 1] for n in nodes}
        return Vocabulary.fitted(kinds, [names.services[c] for c in targets])

    def known_by(self, model: Vocabulary) -> "Dataset":
        """Return the same data in the numbers of a model's vocabulary; others get those above."""
        joint = model.and_beyond(self.vocabulary)
        node = np.array([PAD, *(joint.index[name] for name in self.vocabulary.nodes)], np.int32)
        contexts = replace(self.contexts, node=node[self.contexts.node])
        return self._named(vocabulary=joint, contexts=contexts)

    def with_owners_of(self, rows: Rows) -> "Dataset":
        """Return the same data for a model that knows who owns some steps' compositions.

        Raises
        ------
        DataError
            If nobody does.
        """
        owner = np.unique(self.owner[self.pairs.composition[rows]])
        names = sorted(self.owners[number] for number in owner if number >= 0)
        if not names:
            raise DataError(
                "model.owner reads owners, but no composition that trains has one; use "
                "model.owner=none, or name the key that says it, as data.owner_key=user."
            )
        return self._named(vocabulary=replace(self.vocabulary, owners=tuple(names)))

    def _named(self, **changes: Any) -> "Dataset":
        """Return the data with other names or numbers, which have no part in what takes long."""
        same = replace(self, **changes)
        vars(same).update({k: v for k, v in vars(self).items() if k in ("group", "chain")})
        return same

    def graph(self, rows: Rows | None = None) -> ServiceGraph:
        """Return the service graph of all links, or of the given steps and of links into tables.

        Those into tables are of the steps' compositions.
        """
        (source, target, composition), node = self.links, self.contexts.node
        classes = self.vocabulary.service_class
        if rows is not None:
            is_step = classes[node[target]] >= 0
            chosen = np.isin(composition, self.pairs.composition[rows]) & ~is_step
            chosen = np.concatenate([np.flatnonzero(is_step)[rows], np.flatnonzero(chosen)])
            source, target = source[chosen], target[chosen]
        return ServiceGraph.from_steps(node[source], node[target], classes)

    def graph_of_model(self, rows: Rows | None) -> ServiceGraph:
        """Return :meth:`graph` between the nodes that a model knows, in its classes."""
        return self.graph(rows).among(self.vocabulary.of_model.service_class)


def build_dataset(source: Source, watch: Watch | None = None) -> Dataset:
    """Read every composition of a source and number its names, contexts and links.

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
    return assemble(collect(source.read(), source, watch), source, source.sha256())


def assemble(found: Collection, source: Source, sha256: str) -> Dataset:
    """Return the data set of everything that was collected.

    Parameters
    ----------
    source
        Where it was collected.
    sha256
        Hash of the data that was read.

    Raises
    ------
    DataError
        If there is nothing to learn from.
    """
    vocabulary, index = _vocabulary(found)
    compositions = np.arange(len(found.start_time), dtype=np.int32)
    return Dataset(
        vocabulary,
        replace(found.contexts, node=index[found.node]),
        Links(found.source, found.target, np.repeat(compositions, found.n_links)),
        found.owner,
        found.start_time,
        found.end_time,
        source.context,
        tuple(found.owners),
        sha256,
        found.skipped,
        found.dropped,
    )


def _vocabulary(found: Collection) -> tuple[Vocabulary, Int32]:
    """Return the sorted vocabulary, and the node index of each name's number."""
    if not len(found.start_time):
        why = summarise(found.skipped) or "the data holds none"
        raise DataError(f"no composition to learn from ({why}); give at least one that is valid.")
    followers = np.unique(found.node[found.n_parents > 0])
    services = sorted([found.names[n] for n in followers if found.is_service[n]])
    if len(services) < 2:
        problem = f"only {services[0]!r} ever comes next" if services else "no service comes next"
        raise DataError(
            f"{problem} in {plural(len(found.start_time), 'composition')}; recommending needs at "
            "least two services that follow another node (a node with `mid` is a service)."
        )
    order = sorted(range(len(found.names)), key=found.names.__getitem__)
    index = np.zeros(len(order), np.int32)
    index[order] = np.arange(1, len(order) + 1)
    names = tuple(found.names[n] for n in order)
    flags = tuple(found.is_service[n] for n in order)
    return Vocabulary(names, flags, tuple(services)), index
