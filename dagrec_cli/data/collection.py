"""Compositions as numbers: names, contexts and paths, each numbered when it is first met.

Equal compositions are walked once; what repeats is only their number. Collections of shards, merged
in order, are the collection of all shards read in one go: contexts and counts add up.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.composition import Composition, Invalid, Source
from dagrec_cli.data.contexts import ROOT, unpack
from dagrec_cli.data.invalid import refuse, too_many_paths
from dagrec_cli.data.paths import PathTree, path_tree
from dagrec_cli.data.ragged import block_places

Int32 = NDArray[np.int32]
Watch = Callable[[int], None]

REMEMBERED = 65_536  # different compositions that are known again; bounds memory, not the result
WATCHED = 1000  # compositions between two looks at the display


class Collection(NamedTuple):
    """What a stream of compositions holds.

    Attributes
    ----------
    names, is_service
        Names of nodes, and which are services.
    parent, node
        Contexts as a trie: context without its last node (-1: none), and that node, ``[contexts]``.
    end_context, end_node
        Last step of each distinct path, ``[distinct paths]``.
    path
        Number of the distinct path of each path, composition after composition, ``[paths]``.
    n_paths
        Paths of each composition, ``[compositions]``.
    time
        Start of each composition in seconds since 1970, NaN where unknown, ``[compositions]``.
    skipped
        Compositions left out: invalid ones, and those without a link or that a setting drops.
    dropped
        What was left out of compositions, and how often: ``{"links that close a cycle": 2}``.
    """

    names: list[str]
    is_service: list[bool]
    parent: Int32
    node: Int32
    end_context: Int32
    end_node: Int32
    path: Int32
    n_paths: Int32
    time: NDArray[np.float64]
    skipped: list[Invalid]
    dropped: dict[str, int]


def collect(
    items: Iterable[Composition | Invalid], source: Source, watch: Watch | None = None
) -> Collection:
    """Give numbers to everything that a source, or a shard of it, yields.

    Parameters
    ----------
    items
        What is read.
    source
        Says how many paths a composition may have, and what becomes of invalid ones.
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
    known: dict[tuple[object, object], int] = {}
    paths, n_paths, which, time = array("i"), array("i"), array("i"), array("d")
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
            if invalid := too_many_paths(item, position, source.max_paths):
                refuse(invalid, source.on_invalid, skipped)
                continue
            if len(known) == REMEMBERED:
                known.clear()
            number = known[item.names, item.links] = len(n_paths)
            found = numbers.of_composition(item)
            paths.extend(found)
            n_paths.append(len(found))
        which.append(number)
        time.append(np.nan if item.start_time is None else item.start_time)
    _, place = block_places(np.array(n_paths), np.array(which))
    return numbers.collection(
        np.array(paths)[place], np.array(n_paths)[which], np.array(time), skipped, dropped
    )


def merge(parts: Iterable[Collection]) -> Collection:
    """Return the collection of all shards, given those of each in order."""
    numbers = _Numbers()
    paths, n_paths, times = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0)]
    skipped: list[Invalid] = []
    dropped: Counter[str] = Counter()
    for part in parts:
        nodes = numbers.of_nodes(part.names, part.is_service)
        found = numbers.of_paths(_tree(part), nodes)
        paths.append(np.array(found, np.int32)[part.path])
        n_paths.append(part.n_paths)
        times.append(part.time)
        skipped += part.skipped
        dropped.update(part.dropped)
    return numbers.collection(
        np.concatenate(paths), np.concatenate(n_paths), np.concatenate(times), skipped, dropped
    )


class _Numbers:
    """Numbers of names, contexts and paths; a context or path is ``context << 32 | node``."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.is_service: list[bool] = []
        self.contexts: dict[int, int] = {}
        self.paths: dict[int, int] = {}

    def of_nodes(self, names: Sequence[str], is_service: Sequence[bool]) -> list[int]:
        known = self.names
        numbers = [known.setdefault(name, len(known)) for name in names]
        if len(known) > len(self.is_service):
            for number, flag in zip(numbers, is_service, strict=True):
                if number == len(self.is_service):
                    self.is_service.append(flag)
        return numbers

    def of_composition(self, composition: Composition) -> list[int]:
        """Return the number of each of its paths."""
        names, is_service, links = composition[:3]
        return self.of_paths(path_tree(len(names), links), self.of_nodes(names, is_service))

    def of_paths(self, tree: PathTree, nodes: Sequence[int]) -> list[int]:
        """Return the number of each path of a tree over positions in ``nodes``."""
        contexts, paths = self.contexts, self.paths
        entries = [ROOT]
        for branch, node in tree.inner:
            key = entries[branch] << 32 | nodes[node]
            entries.append(contexts.setdefault(key, len(contexts)))
        return [
            paths.setdefault(entries[branch] << 32 | nodes[node], len(paths))
            for branch, node in tree.ends
        ]

    def collection(
        self,
        path: Int32,
        n_paths: Int32,
        time: NDArray[np.float64],
        skipped: list[Invalid],
        dropped: dict[str, int],
    ) -> Collection:
        return Collection(
            list(self.names),
            self.is_service,
            *unpack(self.contexts),
            *unpack(self.paths),
            path,
            n_paths,
            time,
            skipped,
            dict(dropped),
        )


def _tree(part: Collection) -> PathTree:
    """Return a collection's paths as the tree that they are: branch 0 is its root."""
    inner = zip((part.parent + 1).tolist(), part.node.tolist(), strict=True)
    ends = zip((part.end_context + 1).tolist(), part.end_node.tolist(), strict=True)
    return PathTree(list(inner), list(ends))
