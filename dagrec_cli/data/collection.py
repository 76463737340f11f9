"""Compositions as numbers: names, contexts and links, each numbered when it is first met.

Equal compositions are walked once; what repeats is only their number. Collections of shards, merged
in order, are the collection of all shards read in one go: contexts are told apart by what they are
made of, and links add up.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.composition import Composition, Invalid, Source
from dagrec_cli.data.contexts import ContextDag, Numbering
from dagrec_cli.data.invalid import refuse, without_contexts
from dagrec_cli.data.paths import neighbours, path_tree, topological
from dagrec_cli.data.ragged import block_places

Int32 = NDArray[np.int32]
Watch = Callable[[int], None]

ROOT = -1  # stands for no entry
UNKNOWN = -1  # stands for no owner
REMEMBERED = 65_536  # different compositions that are known again; bounds memory, not the result
WATCHED = 1000  # compositions between two looks at the display


class Collection(NamedTuple):
    """What a stream of compositions holds.

    Attributes
    ----------
    names, is_service
        Names of nodes, and which are services.
    node, n_parents, parents, depth
        Contexts as in :class:`~dagrec_cli.data.contexts.ContextDag`, with the names' numbers as
        nodes; those that something follows come first.
    source, target
        Entries of both ends of each link, composition after composition, ``[links]``; with
        ``context: path`` once for each path through the link.
    n_links
        Links of each composition, ``[compositions]``.
    owners
        Who made compositions, in the order in which they are met.
    skipped
        Compositions left out: invalid ones, and those without a link or that a setting drops.
    dropped
        What was left out of compositions, and how often: ``{"links that close a cycle": 2}``.
    owner
        Number of each composition's owner in ``owners``, -1 where unknown, ``[compositions]``.
    start_time, end_time
        When each began and ended, in seconds since 1970, NaN where unknown, ``[compositions]``.
    """

    names: list[str]
    is_service: list[bool]
    node: Int32
    n_parents: Int32
    parents: Int32
    depth: Int32
    source: Int32
    target: Int32
    n_links: Int32
    owners: list[str]
    skipped: list[Invalid]
    dropped: dict[str, int]
    owner: Int32
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]

    @property
    def contexts(self) -> ContextDag:
        """The contexts, with the names' numbers as nodes."""
        return ContextDag(self.node, self.n_parents, self.parents, self.depth)


def collect(
    items: Iterable[Composition | Invalid], source: Source, watch: Watch | None = None
) -> Collection:
    """Give numbers to everything that a source, or a shard of it, yields.

    Parameters
    ----------
    items
        What is read.
    source
        Says what a context is, how many paths a composition may have where it is a path, and what
        becomes of invalid compositions.
    watch
        Called with the number of compositions read so far, for a progress display.

    Raises
    ------
    DataError
        At the first invalid composition, if ``source.on_invalid`` is ``error``.
    """
    skipped: list[Invalid] = []
    dropped: Counter[str] = Counter()
    numbers = _Numbers()
    add = numbers.add_paths if source.context == "path" else numbers.add_links
    known: dict[tuple[object, object], int] = {}
    ends, n_links, which = array("i"), array("i"), array("i")
    owner, start_time, end_time = array("i"), array("d"), array("d")
    for position, item in enumerate(items):
        if watch and position % WATCHED == 0:
            watch(position)
        if isinstance(item, Invalid):
            refuse(item, source.on_invalid, skipped)
            continue
        for what, count in item.dropped:
            dropped[what] += count
        number = known.get((item.names, item.links))
        if number is None:
            if invalid := without_contexts(item, position, source):
                refuse(invalid, source.on_invalid, skipped)
                continue
            if len(known) == REMEMBERED:
                known.clear()
            number = known[item.names, item.links] = len(n_links)
            before = len(ends)
            add(item, ends)
            n_links.append((len(ends) - before) // 2)
        which.append(number)
        owner.append(numbers.of_owner(item.owner))
        start_time.append(np.nan if item.start_time is None else item.start_time)
        end_time.append(np.nan if item.end_time is None else item.end_time)
    sizes, chosen = np.array(n_links), np.array(which)
    links = np.array(ends).reshape(-1, 2)[block_places(sizes, chosen)[1]]
    origins = _Origins(np.array(owner), np.array(start_time), np.array(end_time))
    return numbers.collection(links, sizes[chosen], origins, skipped, dropped)


def merge(parts: Iterable[Collection]) -> Collection:
    """Return the collection of all shards, given those of each in order."""
    numbers = _Numbers()
    links, n_links = [np.zeros((0, 2), np.int32)], [np.zeros(0, np.int32)]
    origins = [_Origins(np.zeros(0, np.int32), np.zeros(0), np.zeros(0))]
    skipped: list[Invalid] = []
    dropped: Counter[str] = Counter()
    for part in parts:
        nodes = numbers.of_nodes(part.names, part.is_service)
        entry = numbers.of_contexts(part.contexts, nodes, int(part.source.max(initial=-1)) + 1)
        links.append(np.stack([entry[part.source], entry[part.target]], axis=1))
        n_links.append(part.n_links)
        owner = np.array([*map(numbers.of_owner, part.owners), UNKNOWN], np.int32)[part.owner]
        origins.append(_Origins(owner, part.start_time, part.end_time))
        skipped += part.skipped
        dropped.update(part.dropped)
    return numbers.collection(
        np.concatenate(links),
        np.concatenate(n_links),
        _Origins(*map(np.concatenate, zip(*origins, strict=True))),
        skipped,
        dropped,
    )


class _Origins(NamedTuple):
    """Who made each composition, and when."""

    owner: Int32
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]


class _Numbers:
    """Numbers of names and contexts.

    Contexts that nothing follows, as far as is known, are numbered apart, ``~number`` stands for
    them; they get the numbers after all others at the end.
    """

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.is_service: list[bool] = []
        self.owners: dict[str, int] = {}
        self.contexts = Numbering()
        self.ends = Numbering()

    def of_owner(self, owner: str | None) -> int:
        return UNKNOWN if owner is None else self.owners.setdefault(owner, len(self.owners))

    def of_nodes(self, names: Sequence[str], is_service: Sequence[bool]) -> list[int]:
        known = self.names
        numbers = [known.setdefault(name, len(known)) for name in names]
        if len(known) > len(self.is_service):
            for number, flag in zip(numbers, is_service, strict=True):
                if number == len(self.is_service):
                    self.is_service.append(flag)
        return numbers

    def add_paths(self, composition: Composition, ends: "array[int]") -> None:
        """Append both ends of each link of each source-to-sink path, one path after the other."""
        nodes = self.of_nodes(composition.names, composition.is_service)
        tree = path_tree(len(nodes), composition.links)
        entries = [ROOT]
        for branch, node in tree.inner:
            entries.append(self.contexts(nodes[node], entries[branch : branch + 1] * (branch > 0)))
        for branch, node in tree.ends:
            path = [~self.ends(nodes[node], entries[branch : branch + 1])]
            while branch:
                path.append(entries[branch])
                branch, _ = tree.inner[branch - 1]
            for link in pairwise(reversed(path)):
                ends.extend(link)

    def add_links(self, composition: Composition, ends: "array[int]") -> None:
        """Append both ends of each link, in topological order of where they come from."""
        nodes = self.of_nodes(composition.names, composition.is_service)
        parents, children = neighbours(len(nodes), composition.links)
        order = topological(parents, children)
        entries = [ROOT] * len(nodes)
        for node in order:
            above = [entries[parent] for parent in parents[node]]
            if children[node]:
                entries[node] = self.contexts(nodes[node], above)
            elif above:
                entries[node] = ~self.ends(nodes[node], above)
        for node in order:
            for child in children[node]:
                ends.extend((entries[node], entries[child]))

    def of_contexts(self, contexts: ContextDag, nodes: Sequence[int], n_followed: int) -> Int32:
        """Return the number of each context of a collection, of which so many are followed."""
        numbers: list[int] = []
        for entry, (node, parents) in enumerate(contexts.items()):
            above = [numbers[parent] for parent in parents]
            if entry < n_followed:
                numbers.append(self.contexts(nodes[node], above))
            else:
                numbers.append(~self.ends(nodes[node], above))
        return np.array(numbers, np.int32)

    def collection(
        self,
        links: Int32,
        n_links: Int32,
        origins: "_Origins",
        skipped: list[Invalid],
        dropped: dict[str, int],
    ) -> Collection:
        entry = [self.contexts(node, parents) for node, *parents in self.ends.keys]
        is_end = links < 0
        links[is_end] = np.array(entry, np.int32)[~links[is_end]]
        dag = self.contexts.dag()
        return Collection(
            list(self.names),
            self.is_service,
            *(dag.node, dag.n_parents, dag.parents, dag.depth),
            *(links[:, 0].copy(), links[:, 1].copy()),
            n_links.astype(np.int32),
            list(self.owners),
            skipped,
            dict(dropped),
            **origins._asdict(),
        )
