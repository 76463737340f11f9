"""Compositions to numbered pairs: the project's arrays against networkx, tuples and dictionaries.

Compositions are in memory before the clock starts, so that reading the file is not part of it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, cycle, islice, pairwise
from typing import NamedTuple

import networkx as nx
from omegaconf import DictConfig

from benchmarks.base import Benchmark, Case, MismatchError
from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Context, Source
from dagrec_cli.data.dataset import Dataset, build_dataset
from dagrec_cli.data.invalid import valid


class Preparation(Benchmark):
    """The configured data's compositions, repeated up to the size."""

    unit = "compositions"
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    target = 10

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        source: Source = build(config.data, "data")
        self.compositions = list(valid(source.read(), source.on_invalid, []))

    def case(self, size: int) -> Case:
        """Repeat the compositions."""
        compositions = list(islice(cycle(self.compositions), size))

        def fast() -> Dataset:
            return build_dataset(InMemory(compositions, self.config.data.max_paths))

        def plain() -> Prepared:
            return prepare_plainly(compositions)

        return Case(plain, fast, lambda: _check(plain(), fast()))


class PreparationDag(Preparation):
    """Contexts as DAGs, which enumerate nothing; the plain way is the same.

    Nothing is promised where no links merge: there are as many paths as ends.
    """

    sizes = (84,)
    target = 50

    def case(self, size: int) -> Case:
        """Repeat the compositions."""
        plain, *_ = super().case(size)
        compositions = list(islice(cycle(self.compositions), size))

        def fast() -> Dataset:
            return build_dataset(InMemory(compositions, self.config.data.max_paths, "dag"))

        return Case(plain, fast, lambda: _check_unfolded(prepare_plainly(compositions), fast()))

    def promise(self, size: int) -> float | None:
        """Return the least ratio promised at a size."""
        into = ([target for _, target in each.links] for each in self.compositions)
        merges = any(len(set(targets)) < len(targets) for targets in into)
        return super().promise(size) if merges else None


@dataclass
class InMemory:
    """Compositions in memory, as a source."""

    compositions: Sequence[Composition]
    max_paths: int
    context: Context = "path"
    on_invalid: str = "error"

    def read(self) -> Iterator[Composition]:
        """Yield them."""
        return iter(self.compositions)

    def sha256(self) -> str:
        """Return no hash: the compositions are no file."""
        return ""


class Prepared(NamedTuple):
    """What PAPER §2 asks for, as Python has it.

    Attributes
    ----------
    nodes, services
        Sorted names to numbers, nodes from 1, services from 0.
    contexts
        Node numbers of each pair's context.
    targets
        Class of the service that came next.
    edges
        How often each step between node numbers occurs.
    """

    nodes: dict[str, int]
    services: dict[str, int]
    contexts: list[tuple[int, ...]]
    targets: list[int]
    edges: Counter[tuple[int, int]]


def prepare_plainly(compositions: Sequence[Composition]) -> Prepared:
    """Return the pairs of all simple paths of every composition, in file order."""
    paths: list[tuple[str, ...]] = []
    pairs: list[tuple[tuple[str, ...], str]] = []
    services: set[str] = set()
    for composition in compositions:
        services.update(compress(composition.names, composition.is_service))
        for path in _paths(composition):
            paths.append(path)
            pairs += [(path[:k], path[k]) for k in range(1, len(path)) if path[k] in services]
    names = {name for composition in compositions for name in composition.names}
    nodes = {name: number for number, name in enumerate(sorted(names), start=1)}
    classes = {name: number for number, name in enumerate(sorted({t for _, t in pairs}))}
    return Prepared(
        nodes,
        classes,
        [tuple(nodes[name] for name in context) for context, _ in pairs],
        [classes[target] for _, target in pairs],
        Counter((nodes[a], nodes[b]) for path in paths for a, b in pairwise(path)),
    )


def _paths(composition: Composition) -> Iterator[tuple[str, ...]]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_edges_from(composition.links)
    sinks = [node for node in sorted(graph) if not graph.out_degree(node)]
    for source in sorted(node for node in graph if not graph.in_degree(node)):
        for path in nx.all_simple_paths(graph, source, sinks):
            yield tuple(composition.names[node] for node in path)


def _check(plain: Prepared, fast: Dataset) -> None:
    """Compare everything that :class:`Prepared` holds; distinct contexts are spelled once."""
    spelled = [tuple(fast.contexts.spell(entry)) for entry in range(len(fast.contexts))]
    graph = fast.graph()
    edges = zip(graph.source.tolist(), graph.target.tolist(), strict=True)
    same = Prepared(
        dict(fast.vocabulary.index),
        {name: number for number, name in enumerate(fast.vocabulary.services)},
        [spelled[entry] for entry in fast.pairs.context],
        fast.pairs.target.tolist(),
        Counter(dict(zip(edges, graph.count.tolist(), strict=True))),
    )
    for name in Prepared._fields:
        if getattr(plain, name) != getattr(same, name):
            raise MismatchError(f"{name} differ")


def _check_unfolded(plain: Prepared, fast: Dataset) -> None:
    """Compare the paths that contexts unfold to, and all else but how often paths repeat."""
    walks: list[list[tuple[int, ...]]] = []
    for node, parents in fast.contexts.items():
        above = [walk for parent in {*parents} for walk in walks[parent]]
        walks.append([(*walk, node) for walk in above or [()]])
    graph = fast.graph()
    edges = zip(graph.source.tolist(), graph.target.tolist(), strict=True)
    steps = zip(fast.pairs.context.tolist(), fast.pairs.target.tolist(), strict=True)
    for name, expected, found in (
        ("nodes", plain.nodes, fast.vocabulary.index),
        ("services", list(plain.services), list(fast.vocabulary.services)),
        ("edges", {*plain.edges}, {*edges}),
        (
            "steps",
            {*zip(plain.contexts, plain.targets, strict=True)},
            {(walk, target) for entry, target in {*steps} for walk in walks[entry]},
        ),
    ):
        if expected != found:
            raise MismatchError(f"{name} differ")
