"""What a data set holds, and what its split leaks, as counts under headings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut
from dagrec_cli.data.invalid import count_dropped, summarise
from dagrec_cli.data.split_base import Split
from dagrec_cli.data.splits import leakage
from dagrec_cli.data.unseen import Unseen, count_forbidden, count_unseen

COMMON_CLASSES = 15
MOST_OWNERS = 10
BY_TIME = ("temporal", "prequential")  # splits that ask for times
DAY = 86_400  # seconds
MOST_VALUES = 20  # of a list of counts in a line
CONTEXT_WORDS = {
    "dag": "what leads to a step as a whole; a step is a link into a service",
    "path": "one path at a time; a step counts once for each path through it",
}


@dataclass(frozen=True)
class Shape:
    """How compositions branch and merge, where contexts are DAGs.

    Attributes
    ----------
    branching
        Share of compositions in which something has several followers; inputs of one name are
        taken for one.
    merging
        Share of compositions in which several links lead to one node.
    next_sets
        Size of the set of services that follow a context in its composition: how often.
    """

    branching: float
    merging: float
    next_sets: dict[int, int]

    @classmethod
    def of(cls, dataset: Dataset) -> "Shape":
        """Return the shape of a data set's compositions."""
        (source, target, composition), n_parents = dataset.links, dataset.contexts.n_parents
        # Nodes of one context in one composition: by the links into them, 1 where there are none.
        here, n_out = _counted(composition, source)
        into, n_in = _counted(composition, target)
        place, is_there = np.searchsorted(into, here), np.isin(here, into)
        entry = (here & 0xFFFF_FFFF).astype(np.int32)
        n_nodes = np.ones_like(n_out)
        n_nodes[is_there] = n_in[place[is_there]] // n_parents[entry[is_there]]
        pairs = dataset.pairs
        _, sizes = _counted(pairs.composition, pairs.context)
        steps, counts = np.unique(sizes, return_counts=True)
        n = dataset.n_compositions
        return cls(
            branching=len(np.unique(here[n_out > n_nodes] >> 32)) / n,
            merging=len(np.unique(composition[n_parents[target] > 1])) / n,
            next_sets=dict(zip(steps.tolist(), counts.tolist(), strict=True)),
        )


@dataclass(frozen=True)
class Description:
    """Counts of a data set; every mapping goes from a value to how often it occurs."""

    context: str
    compositions: int
    duplicates: int
    left_out: str
    dropped: dict[str, int]
    owners: tuple[int, ...]
    times: str
    unused: tuple[str, ...]
    steps: int
    distinct_steps: int
    distinct_contexts: int
    entries: int
    nodes: int
    tables: int
    services: int
    target_services: int
    edges: int
    context_depths: dict[int, int]
    shape: Shape | None
    targets: dict[str, int]
    split: str
    train_pairs: int
    test_pairs: int
    held_out: HeldOut
    leaked_pairs: float
    leaked_contexts: float
    unseen: Unseen
    mask_graph: str
    forbidden_test_targets: int
    warnings: tuple[str, ...]
    sha256: str

    @classmethod
    def of(cls, dataset: Dataset, split: Split, name: str) -> "Description":
        """Count a data set and split it.

        Parameters
        ----------
        name
            The split's name in the config.

        Raises
        ------
        DataError
            If the split leaves a side empty.
        """
        pairs, vocabulary = dataset.pairs, dataset.vocabulary
        train, test = sides = split.split(dataset)
        leaked = leakage(dataset, train, test)
        known = split.known(dataset, train)
        mask = known.graph_of_model(train if split.graph == "train" else None)
        depths, per_depth = np.unique(dataset.contexts.depth[pairs.context], return_counts=True)
        counts = np.bincount(pairs.target, minlength=len(vocabulary.services))
        by_count = sorted(zip(vocabulary.services, counts.tolist(), strict=True), key=_rarity)
        return cls(
            context=dataset.context,
            compositions=dataset.n_compositions,
            duplicates=dataset.n_compositions - len(np.unique(dataset.group)),
            left_out=summarise(dataset.skipped) or "none",
            dropped=dataset.dropped,
            owners=tuple(sorted(np.bincount(dataset.owner[dataset.owner >= 0]).tolist())[::-1]),
            times=_times(dataset),
            unused=_unused(dataset, name),
            steps=len(pairs.context),
            distinct_steps=len(pairs.distinct().weight),
            distinct_contexts=len(np.unique(pairs.context)),
            entries=len(dataset.contexts),
            nodes=len(vocabulary.nodes),
            tables=vocabulary.is_service.count(False),
            services=vocabulary.is_service.count(True),
            target_services=len(vocabulary.services),
            edges=len(dataset.graph().source),
            context_depths=dict(zip(depths.tolist(), per_depth.tolist(), strict=True)),
            shape=Shape.of(dataset) if dataset.context == "dag" else None,
            targets=dict(by_count),
            split=name,
            train_pairs=len(train),
            test_pairs=len(test),
            held_out=split.report(dataset, sides),
            leaked_pairs=leaked.pairs,
            leaked_contexts=leaked.contexts,
            unseen=count_unseen(known, test),
            mask_graph=split.graph,
            forbidden_test_targets=count_forbidden(mask, known, test),
            warnings=_warnings(dataset),
            sha256=dataset.sha256,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain containers."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Return headings and what stands behind them, for reading."""
        n_targets = sum(self.targets.values())
        common = list(self.targets.items())[:COMMON_CLASSES]
        rest = len(self.targets) - len(common)
        classes = [f"{name} {count:,} ({count / n_targets:.1%})" for name, count in common]
        leaks = f"{self.leaked_pairs:.1%} of test pairs, {self.leaked_contexts:.1%} of contexts"
        graph = {"all": "all edges, test pairs' too", "train": "edges of training only"}
        return [
            ("compositions", f"{self.compositions:,} (left out: {self.left_out})"),
            ("duplicates", f"{self.duplicates:,} ({self.duplicates / self.compositions:.0%})"),
            *([("dropped", count_dropped(self.dropped))] if self.dropped else []),
            ("owners", self._owners()),
            ("times", self.times),
            *([("not used", ", ".join(self.unused))] if self.unused else []),
            ("context", f"{self.context}: {CONTEXT_WORDS[self.context]}"),
            ("steps", f"{self.steps:,} ({self.distinct_steps:,} distinct)"),
            ("contexts", f"{self.distinct_contexts:,} distinct, of {self.entries:,} entries"),
            ("context depth", _listed(self.context_depths)),
            *self._shape_lines(),
            ("nodes", f"{self.nodes:,} ({self.tables:,} tables, {self.services:,} services)"),
            ("target services", f"{self.target_services:,}"),
            ("edges", f"{self.edges:,}"),
            ("targets", "\n".join([*classes, *([f"and {rest:,} rarer ones"] if rest else [])])),
            ("split", f"{self.split}: {self.train_pairs:,} train, {self.test_pairs:,} test"),
            ("held out", self.held_out.of_pairs),
            *([] if self.held_out.groups is None else [("groups", self.held_out.in_groups)]),
            *(("warning", warning) for warning in (*self.warnings, *self.held_out.warnings)),
            ("in train too", leaks),
            ("unknown", self._unseen()),
            (
                "hard mask",
                f"{graph[self.mask_graph]}; rules out {self.forbidden_test_targets:,} test targets",
            ),
            ("sha256", self.sha256),
        ]

    def _unseen(self) -> str:
        """Return what of the test a model that is fitted on the training pairs does not know."""
        targets, contexts = (
            n / self.test_pairs for n in (self.unseen.targets, self.unseen.contexts)
        )
        return (
            f"{self.unseen.nodes:,} nodes; the target of {targets:.1%} of test pairs, "
            f"a node in the context of {contexts:.1%}"
        )

    def _owners(self) -> str:
        """Return how many owners there are, and which share of the compositions each has."""
        shares = [f"{count / self.compositions:.1%}" for count in self.owners[:MOST_OWNERS]]
        more = ", …" if len(self.owners) > MOST_OWNERS else ""
        known = sum(self.owners)
        return (
            f"{len(self.owners):,} of {known:,} compositions: {', '.join(shares)}{more}"
            if known
            else "none"
        )

    def _shape_lines(self) -> list[tuple[str, str]]:
        if self.shape is None:
            return []
        return [
            ("branching", f"{self.shape.branching:.0%} of the compositions (equal inputs are one)"),
            ("merging", f"{self.shape.merging:.0%} of the compositions"),
            ("next set size", _listed(self.shape.next_sets)),
        ]


def _counted(
    composition: NDArray[np.int32], entry: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pair that occurs, as ``composition << 32 | entry``, and how often it does."""
    return np.unique(composition.astype(np.int64) << 32 | entry, return_counts=True)


def _listed(counts: Mapping[int, int]) -> str:
    """Return ``1: 943, 2: 57``; of more than so many values the first ones, and the last."""
    cells = [f"{value:,}: {count:,}" for value, count in counts.items()]
    if len(cells) > MOST_VALUES:
        cells[MOST_VALUES - 1 : -1] = ["…"]
    return ", ".join(cells)


def _times(dataset: Dataset) -> str:
    """Return how many compositions have a start time, the first and last day, the longest gap."""
    known = np.sort(dataset.start_time[~np.isnan(dataset.start_time)])
    if not len(known):
        return "none"
    gaps = np.diff(known)
    span = f"{len(known):,} of {dataset.n_compositions:,}, {_day(known[0])} to {_day(known[-1])}"
    if not gaps.any():
        return span
    longest = int(gaps.argmax())
    days = f"{gaps[longest] / DAY:,.0f} days from {_day(known[longest])}"
    return f"{span}; median gap {np.median(gaps) / DAY:,.1f} days, longest {days}"


def _day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"


def _unused(dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return what the data tell and neither the split nor any model asks for."""
    found = {
        "owners": bool(dataset.owners),
        "start times (split=temporal asks for them)": split not in BY_TIME
        and not np.isnan(dataset.start_time).all(),
        "end times": split != "prequential" and not np.isnan(dataset.end_time).all(),
    }
    return tuple(what for what, is_there in found.items() if is_there)


def _warnings(dataset: Dataset) -> tuple[str, ...]:
    """Return a warning if tables only ever end links, as in a table read in the wrong direction."""
    is_table = np.append(True, ~np.array(dataset.vocabulary.is_service))[dataset.contexts.node]
    if is_table[dataset.links.source].any() or not is_table[dataset.links.target].any():
        return ()
    return ("tables only ever end links; are sources and targets the other way round?",)


def _rarity(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
