"""Train and test: three ways to hold out a share of the pairs, and what leaks between the sides.

A split returns row numbers of :class:`~dagrec_cli.data.pairs.Pairs`. The same rule holds out a
validation share of the training rows.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural, Probability
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut, about_share, about_sizes
from dagrec_cli.data.invalid import plural
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import DataError

TestShare = Annotated[float, Meta(gt=0, lt=1)]
Graph = Literal["all", "train"]
Join = Literal["duplicates", "paths", "none"]


class Sides(NamedTuple):
    """Rows kept and rows held out."""

    kept: Rows
    held_out: Rows


class SplitUnits(NamedTuple):
    """What a split keeps apart, which says what a row may know of the others.

    A row that is held out knows nothing of its own unit: of its ``row``, of its ``group``, or, of a
    moment in ``time``, of this one and those after it. So a model that learns from counts hides as
    much from a row that it trains on.

    Attributes
    ----------
    kind
        What the units are.
    number
        Unit of each pair, ``[pairs]``; moments are in order.
    """

    kind: Literal["row", "group", "time"]
    number: NDArray[np.int32]


class Split(ABC):
    """Hold out ``test_share`` of the pairs for testing.

    Parameters
    ----------
    test_share
        Share of the pairs, in ``(0, 1)``.
    graph
        ``all``: the DAG mask knows every edge of the data, test pairs' too, as the paper has it;
        ``train``: only the edges of pairs that are trained on, so not of validation pairs.
    """

    def __init__(self, *, test_share: TestShare, graph: Graph) -> None:
        self.test_share = test_share
        self.graph = graph

    def split(self, dataset: Dataset) -> Sides:
        """Return training and test rows.

        Raises
        ------
        DataError
            If one side would be empty.
        """
        return self.hold_out(dataset, np.arange(len(dataset.pairs.context)), self.test_share)

    def hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        """Return ``rows`` without a held-out share, and that share, by this split's rule.

        Raises
        ------
        DataError
            If one side would be empty.
        """
        sides = self._hold_out(dataset, rows, share)
        if not len(sides.kept) or not len(sides.held_out):
            told = self.report(dataset, sides, share)
            groups = "" if told.groups is None else f" in {told.in_groups}"
            n_compositions = len(np.unique(dataset.pairs.composition[rows]))
            raise DataError(
                f"the split cannot hold out {100 * share:g}% of {len(rows)} pairs "
                f"({plural(n_compositions, 'composition')}{groups}): one side would be empty; give "
                "more compositions or another split (split=paper, composition or temporal)."
            )
        return sides

    def report(self, dataset: Dataset, sides: Sides, share: float) -> HeldOut:
        """Return what became of the share that the two sides were to be split by."""
        n_held_out, n_pairs = len(sides.held_out), len(sides.kept) + len(sides.held_out)
        warnings = about_share(n_held_out, _room(share, n_pairs), n_pairs)
        return HeldOut(share, n_held_out / n_pairs, warnings=tuple(warnings))

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: single rows."""
        return SplitUnits("row", np.arange(len(dataset.pairs.context), dtype=np.int32))

    @abstractmethod
    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides: ...


class PaperSplit(Split):
    """Shuffle the pairs and hold out the first share, whatever composition they are from.

    Source: PAPER §2; equals scikit-learn's ``train_test_split(test_size=test_share,
    random_state=seed)`` row for row. Pairs of one path land on both sides: the leakage is shown.
    Differs from the source: never stratified, also where every class has two samples.
    """

    def __init__(self, *, seed: Natural, **settings: Any) -> None:
        super().__init__(**settings)
        self.seed = seed

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        order = np.random.RandomState(self.seed).permutation(len(rows))
        n_held_out = _room(share, len(rows))
        return Sides(rows[order[n_held_out:]], rows[order[:n_held_out]])


class CompositionSplit(Split):
    """Hold out whole compositions; those that are joined stay on one side.

    Groups are shuffled by ``seed`` and held out one after another as long as they fit into the
    share, so a group larger than the share always trains.

    Parameters
    ----------
    join
        ``duplicates``: compositions are one group if they are equal (the same paths, each as
        often); ``paths``: if they share a path, even through others; ``none``: never, so equal
        ones may stand on both sides.
    """

    def __init__(self, *, seed: Natural, join: Join, **settings: Any) -> None:
        super().__init__(**settings)
        self.seed = seed
        self.join = join

    def report(self, dataset: Dataset, sides: Sides, share: float) -> HeldOut:
        """Return what became of the share, with the groups that were held out or kept whole."""
        found = super().report(dataset, sides, share)
        rows = np.concatenate(sides)
        sizes = np.unique(self._group(dataset, rows), return_counts=True)[1]
        return replace(
            found,
            groups=len(sizes),
            largest_group=float(sizes.max() / len(rows)),
            warnings=(
                *about_sizes(sizes, _room(share, len(rows))),
                *found.warnings,
                *_about_duplicates(dataset, sides),
            ),
        )

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        group = self._group(dataset, rows)
        names, number, sizes = np.unique(group, return_inverse=True, return_counts=True)
        room = _room(share, len(rows))
        is_held_out = np.zeros(len(names), bool)
        for drawn in np.random.default_rng(self.seed).permutation(len(names)):
            if sizes[drawn] <= room:
                is_held_out[drawn] = True
                room -= int(sizes[drawn])
        return Sides(rows[~is_held_out[number]], rows[is_held_out[number]])

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: groups of compositions."""
        return SplitUnits("group", self._group(dataset, np.arange(len(dataset.pairs.context))))

    def _group(self, dataset: Dataset, rows: Rows) -> NDArray[np.int32]:
        """Return the group of each row's composition, ``[rows]``."""
        composition = dataset.pairs.composition[rows]
        if self.join == "none":
            return composition
        return (dataset.chain if self.join == "paths" else dataset.group)[composition]


class TemporalSplit(Split):
    """Hold out the compositions that started last; compositions of one moment stay together.

    Raises
    ------
    DataError
        If a composition has no start time.
    """

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        time = dataset.start_time[dataset.pairs.composition[rows]]
        if (unknown := np.isnan(time)).any():
            first = int(dataset.pairs.composition[rows][unknown.argmax()])
            n_unknown = len(np.unique(dataset.pairs.composition[rows][unknown]))
            raise DataError(
                f"split=temporal needs a start time, but {n_unknown} of {dataset.n_compositions} "
                f"compositions have none that can be read (first: composition {first}); give "
                "`start_time` as ISO 8601 or use split=composition."
            )
        moments, moment, sizes = np.unique(time, return_inverse=True, return_counts=True)
        n_later = len(rows) - np.cumsum(sizes)
        n_kept = int(np.searchsorted(-n_later, -np.ceil(share * len(rows)))) + 1
        is_held_out = moment >= min(n_kept, len(moments) - 1)
        return Sides(rows[~is_held_out], rows[is_held_out])

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: moments."""
        _, moment = np.unique(dataset.start_time, return_inverse=True)
        return SplitUnits("time", moment.astype(np.int32)[dataset.pairs.composition])


def _room(share: float, n_pairs: int) -> int:
    """Return how many pairs a share of them is, rounded up."""
    return int(np.ceil(share * n_pairs))


def _about_duplicates(dataset: Dataset, sides: Sides) -> list[str]:
    """Return a warning if equal compositions stand on both sides."""
    kept, held_out = (np.unique(dataset.pairs.composition[rows]) for rows in sides)
    is_known = np.isin(dataset.group[held_out], dataset.group[kept])
    if not is_known.any():
        return []
    return [
        f"{is_known.mean():.0%} of the compositions held out equal one that trains; "
        "split.join=duplicates keeps equal ones together"
    ]


@dataclass(frozen=True)
class Leakage:
    """What test pairs share with training, as shares of the test pairs, in ``[0, 1]``."""

    pairs: Probability
    contexts: Probability


def leakage(dataset: Dataset, train: Rows, test: Rows) -> Leakage:
    """Return the share of test pairs, and of their contexts, that occur in training too."""
    seen, asked = dataset.pairs.take(train), dataset.pairs.take(test)
    n_services = len(dataset.vocabulary.services)
    key = asked.context.astype(np.int64) * n_services + asked.target
    known = np.isin(key, seen.context.astype(np.int64) * n_services + seen.target)
    return Leakage(float(known.mean()), float(np.isin(asked.context, seen.context).mean()))
