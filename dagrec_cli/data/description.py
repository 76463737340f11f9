"""What a data set holds, and what its split leaks, counted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut
from dagrec_cli.data.invalid import summarise
from dagrec_cli.data.split_base import Split
from dagrec_cli.data.splits import leakage
from dagrec_cli.data.unseen import Unseen, count_forbidden, count_unseen

BY_TIME = ("temporal", "prequential")  # splits that ask for times


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
class Times:
    """When compositions started, as far as that is known; all in seconds, dates since 1970 (UTC).

    Attributes
    ----------
    known
        How many have a start time.
    first, last
        The earliest and the latest of these.
    median_gap, longest_gap
        Between one start and the next.
    longest_from
        When the longest gap began.
    """

    known: int
    first: float
    last: float
    median_gap: float
    longest_gap: float
    longest_from: float

    @classmethod
    def of(cls, dataset: Dataset) -> "Times | None":
        """Return the times of a data set's compositions, None if it has none."""
        known = np.sort(dataset.start_time[~np.isnan(dataset.start_time)])
        if not len(known):
            return None
        gaps = np.diff(known) if len(known) > 1 else np.zeros(1)
        longest = int(gaps.argmax())
        return cls(
            known=len(known),
            first=float(known[0]),
            last=float(known[-1]),
            median_gap=float(np.median(gaps)),
            longest_gap=float(gaps[longest]),
            longest_from=float(known[longest]),
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
    times: Times | None
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
        named = zip(vocabulary.services, counts.tolist(), strict=True)
        by_count = sorted(named, key=lambda pair: (-pair[1], pair[0]))
        return cls(
            context=dataset.context,
            compositions=dataset.n_compositions,
            duplicates=dataset.n_compositions - len(np.unique(dataset.group)),
            left_out=summarise(dataset.skipped) or "none",
            dropped=dataset.dropped,
            owners=tuple(sorted(np.bincount(dataset.owner[dataset.owner >= 0]).tolist())[::-1]),
            times=Times.of(dataset),
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


def _counted(
    composition: NDArray[np.int32], entry: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pair that occurs, as ``composition << 32 | entry``, and how often it does."""
    return np.unique(composition.astype(np.int64) << 32 | entry, return_counts=True)


def _unused(dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return what the data tell and neither the split nor any model asks for."""
    found = {
        "owners (model.owner asks for them)": bool(dataset.owners),
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
