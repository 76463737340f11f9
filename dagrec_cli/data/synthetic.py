"""Synthetic compositions whose true probabilities are known.

A composition is a tree that grows from one first node, a table or a starting service; with
``branching: 0`` it is a chain. Its depth is drawn without looking at its nodes, so that a context
tells all there is to know about the next service: ``truth`` holds that law exactly.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from dagrec_cli.config.deciding import Effect, effect
from dagrec_cli.config.kinds import Count, Natural, NotNegative, PathCount, Probability, TwoOrMore
from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE, Composition, Context
from dagrec_cli.data.invalid import OnInvalid
from dagrec_cli.data.synthetic_truth import Ints, Truth, apportion, make_distinct, zipf
from dagrec_cli.errors import ConfigError

BLOCK = 50_000  # paths generated at a time
MAX_STATES = 65_536
LAW, SAMPLE = 0, 1  # independent random streams of one seed


@dataclass(kw_only=True)
class Synthetic:
    """Generate compositions from a Zipf law with a memory.

    Parameters
    ----------
    compositions
        How many compositions, 1 or more.
    tables
        How many tables, 0 or more; each may only be a first node.
    services
        How many services, 2 or more.
    starting_services
        How many of the services may only be a first node, from 0 to all but two.
    lengths
        Weight of each path length in nodes (2 or more); counts follow by largest remainder.
    deep_starts
        Paths of three nodes or more start at so many of the most popular first nodes.
    branching
        Probability, in ``[0, 1]``, that a step has two children, each drawn on its own.
    start_skew
        Zipf exponent, 0 or more, of the popularity of first nodes.
    service_skew
        Zipf exponent, 0 or more, of the popularity of services as candidates.
    candidates
        How many services may follow a node, from 2 to all that can follow any.
    sharpness_deep
        Probability, in ``[0, 1]``, of the first candidate after a first node of deep paths; the
        other candidates share the rest evenly.
    sharpness_start
        The same after the other first nodes.
    sharpness_service
        The same after a service inside a path.
    groups
        Groups of nodes that the memory tells apart, 1 or more.
    memory
        How many nodes before the last one have a say in the next service, 0 or more.
    seed
        Seeds the law and the compositions, 0 or more.
    on_invalid
        Part of every source; no composition made here is invalid.
    context
        ``dag`` or ``path``. In a tree they differ in how often a step counts: once, or once for
        each path through it.
    max_paths
        Most paths of a composition; a wider tree stops branching.
    cache
        Whether a large data set is kept once it is prepared.

    Raises
    ------
    ConfigError
        If a setting is too large beside others.
    """

    compositions: Count
    tables: Natural
    services: TwoOrMore
    starting_services: Natural
    lengths: Mapping[int, float]
    deep_starts: Count
    branching: Probability
    start_skew: NotNegative
    service_skew: NotNegative
    candidates: TwoOrMore
    sharpness_deep: Probability
    sharpness_start: Probability
    sharpness_service: Probability
    groups: Count
    memory: Natural
    seed: Natural
    on_invalid: OnInvalid
    context: Context
    max_paths: PathCount
    cache: bool

    def __post_init__(self) -> None:
        for name, most in self._most().items():
            if getattr(self, name) > most:
                raise ConfigError(
                    f"data.{name} is {getattr(self, name)}; use {most} or less with "
                    f"{self.tables} tables and {self.services} services."
                )
        self._check_lengths()
        if self.groups**self.memory > MAX_STATES:
            raise ConfigError(
                f"data.groups ** data.memory is {self.groups}**{self.memory}; "
                f"lower one until it is {MAX_STATES} or less."
            )

    def read(self) -> Iterator[Composition]:
        """Yield every composition; each call yields the same ones."""
        rng = np.random.default_rng([self.seed, SAMPLE])
        lengths, starts = self._outline(rng)
        paths = (1 + self.branching) ** (max(self.lengths) - 1)
        size = max(1, int(BLOCK / paths))
        for at in range(0, self.compositions, size):
            yield from self._grow(rng, lengths[at : at + size], starts[at : at + size])

    def sha256(self) -> str:
        """Return the hash of the settings, which decide every composition."""
        names = [field.name for field in fields(self) if field.name != "context"]
        settings = {
            name: getattr(self, name) for name in names if effect(f"data.{name}") is Effect.FIGURES
        }
        settings["lengths"] = sorted((k, float(weight)) for k, weight in self.lengths.items())
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    @cached_property
    def truth(self) -> Truth:
        """The law that the compositions follow."""
        rng = np.random.default_rng([self.seed, LAW])
        popularity = zipf(self._targets, self.service_skew)
        shape = (self._targets + self._starts, self.candidates)
        candidates = rng.choice(self._targets, size=shape, p=popularity)
        # Popular first nodes lead to popular services; each service is led to, if there are enough.
        led_to = apportion(popularity, self._starts, at_least=int(self._starts >= self._targets))
        candidates[self._targets :, 0] = np.repeat(np.arange(self._targets), led_to)
        sharpness = np.repeat(
            [self.sharpness_service, self.sharpness_deep, self.sharpness_start],
            [self._targets, self.deep_starts, self._starts - self.deep_starts],
        )
        rest = (1 - sharpness) / (self.candidates - 1)
        others = np.repeat(rest[:, None], self.candidates - 1, axis=1)
        states = self.groups**self.memory
        # The node before the last always decides the turn; older ones shuffle what it decides.
        shuffles = [rng.permutation(self.groups) for _ in range(-(-states // self.groups))]
        turns = np.concatenate(shuffles)[:states]
        return Truth(
            names=self._names,
            candidates=make_distinct(candidates, self._targets),
            weights=np.column_stack([sharpness, others]),
            groups=np.concatenate([np.arange(self._targets), np.arange(self._starts)])
            % self.groups,
            n_groups=self.groups,
            turns=(turns - turns[0]) % self.groups,
        )

    @cached_property
    def _names(self) -> list[str]:
        """Names of all nodes: services that can follow, tables, starting services."""
        services = [f"{PREFIX_SERVICE}{k}" for k in range(1, self.services + 1)]
        tables = [f"{PREFIX_TABLE}{k}" for k in range(1, self.tables + 1)]
        return services[: self._targets] + tables + services[self._targets :]

    @property
    def _targets(self) -> int:
        return self.services - self.starting_services

    @property
    def _starts(self) -> int:
        return self.tables + self.starting_services

    def _most(self) -> dict[str, int]:
        """Return the greatest value of each count that other counts limit."""
        return {
            "starting_services": self.services - 2,
            "candidates": self._targets,
            "deep_starts": self._starts,
        }

    def _check_lengths(self) -> None:
        weights = self.lengths.values()
        if not weights or min(self.lengths) < 2 or min(weights) < 0 or not sum(weights):
            raise ConfigError(
                f"data.lengths is {dict(self.lengths)}; use path lengths of 2 or more nodes with "
                "weights of 0 or more, at least one above 0."
            )

    def _outline(self, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Return the length and the first node of each composition, with exact counts."""
        nodes, weights = zip(*sorted(self.lengths.items()), strict=True)
        counts = apportion(np.array(weights, dtype=np.float64), self.compositions)
        lengths = np.repeat(nodes, counts)
        popularity = zipf(self._starts, self.start_skew)
        n_short = int((lengths == 2).sum())
        parts = ((n_short, self._starts), (self.compositions - n_short, self.deep_starts))
        starts = [
            rng.permutation(
                np.repeat(np.arange(n), apportion(popularity[:n], total, int(total >= n)))
            )
            for total, n in parts
        ]
        order = rng.permutation(self.compositions)
        return lengths[order], self._targets + np.concatenate(starts)[order]

    def _grow(self, rng: np.random.Generator, lengths: Ints, starts: Ints) -> Iterator[Composition]:
        """Grow one tree for each first node, all trees a level at a time."""
        tree, node = np.arange(len(starts)), starts
        state = parent = np.zeros_like(tree)
        levels, n_before = [(tree, parent, node)], 0
        for depth in range(2, int(lengths.max()) + 1):
            grows = np.flatnonzero(lengths[tree] >= depth)
            width = np.bincount(tree[grows], minlength=len(starts))[tree[grows]]
            forks = (rng.random(len(grows)) < self.branching) & (2 * width <= self.max_paths)
            grows = np.repeat(grows, 1 + forks)
            parent = n_before + grows
            n_before += len(node)
            child = self.truth.draw(rng, node[grows], state[grows])
            state = self.truth.remember(state[grows], node[grows])
            tree, node = tree[grows], child
            levels.append((tree, parent, node))
        yield from self._compose(*(np.concatenate(column) for column in zip(*levels, strict=True)))

    def _compose(self, tree: Ints, parent: Ints, node: Ints) -> Iterator[Composition]:
        """Yield each tree as a composition, its nodes in order of depth."""
        order = np.argsort(tree, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        bounds = np.concatenate([[0], np.bincount(tree).cumsum()])
        parents = (place[parent] - bounds[tree])[order].tolist()
        names = [self._names[k] for k in node[order].tolist()]
        for start, end in pairwise(bounds.tolist()):
            yield Composition(
                tuple(names[start:end]),
                (names[start].startswith(PREFIX_SERVICE), *[True] * (end - start - 1)),
                _links(tuple(parents[start + 1 : end])),
            )


@lru_cache(maxsize=1024)  # most trees are chains, and few
def _links(parents: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(parents, range(1, len(parents) + 1), strict=True))
