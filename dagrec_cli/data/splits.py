"""Train and test: ways to hold out some of the pairs, and what leaks between the sides."""

from dataclasses import dataclass, replace
from heapq import heapreplace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Count, Natural, Probability, Seed
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut, about_folds, about_sizes
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import DrawnSplit, Sides, Split, SplitUnits, Stream, n_of_share
from dagrec_cli.errors import DataError, plural

Join = Literal["duplicates", "paths", "none"]


class PaperSplit(DrawnSplit):
    """Shuffle the pairs and hold out the first share, whatever composition they are from.

    Source: PAPER §2; equals scikit-learn's ``train_test_split(test_size=test_share,
    random_state=seed)`` row for row, and folds its ``KFold(shuffle=True, random_state=seed)``.
    Pairs of one path land on both sides: the leakage is shown.
    Differs from the source: never stratified, also where every class has two samples.
    """

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        order = np.random.RandomState(self.seed).permutation(len(rows))
        n_held_out = n_of_share(share, len(rows))
        return Sides(rows[order[n_held_out:]], rows[order[:n_held_out]])

    def _deal(self, dataset: Dataset, rows: Rows, folds: int) -> NDArray[np.int64]:
        fold = np.empty(len(rows), np.int64)
        order = np.random.RandomState(self.seed).permutation(len(rows))
        for number, some in enumerate(np.array_split(order, folds)):
            fold[some] = number
        return fold

    def known(self, dataset: Dataset, rows: Rows) -> Dataset:
        """Return the data as they are: a model knows all names, though 46 of 50 nodes train."""
        return dataset


class Graphs2026Split(PaperSplit):
    """Draw pairs as the paper does; then each side takes all pairs of compositions it has one of.

    So a composition whose pairs were drawn to both sides trains, whole, and is tested, whole.

    Source: github.com/TylerCreator/sequential-recommendation-for-scientific-workflows (May 2026),
    rows of restored graphs.
    """

    def _test(self, dataset: Dataset, rows: Rows) -> Sides:
        composition = dataset.pairs.composition
        whole = (
            rows[np.isin(composition[rows], composition[side])]
            for side in super()._test(dataset, rows)
        )
        return Sides(*whole)


class CompositionSplit(DrawnSplit):
    """Hold out whole compositions; those that are joined stay on one side.

    Groups are shuffled by ``seed`` and held out one after another as long as they fit into the
    share, so a group larger than the share always trains. Into folds they are dealt by size, large
    ones first and equal ones as shuffled, each to the fold that has the fewest pairs so far; so a
    group larger than a fold is the whole test of one.

    Parameters
    ----------
    join
        ``duplicates``: compositions are one group if they are equal (the same paths, each as
        often); ``paths``: if they share a path, even through others; ``none``: never, so equal
        ones may stand on both sides.
    """

    def __init__(self, *, join: Join, **settings: Any) -> None:
        super().__init__(**settings)
        self.join = join

    def report(self, dataset: Dataset, sides: Sides, share: float | None = None) -> HeldOut:
        """Return what became of the share, with the groups that were held out or kept whole."""
        found = super().report(dataset, sides, share)
        rows = np.concatenate(sides)
        sizes = np.unique(self._group(dataset, rows), return_counts=True)[1]
        about = about_sizes(sizes, n_of_share(found.asked, len(rows)))
        if share is None and self.folds:
            about = about_folds(sizes, self.folds)
        return replace(
            found,
            groups=len(sizes),
            largest_group=float(sizes.max() / len(rows)),
            warnings=(*about, *found.warnings, *_about_duplicates(dataset, sides)),
        )

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        group = self._group(dataset, rows)
        names, number, sizes = np.unique(group, return_inverse=True, return_counts=True)
        room = n_of_share(share, len(rows))
        is_held_out = np.zeros(len(names), bool)
        for drawn in np.random.default_rng(self.seed).permutation(len(names)):
            if sizes[drawn] <= room:
                is_held_out[drawn] = True
                room -= int(sizes[drawn])
        return Sides(rows[~is_held_out[number]], rows[is_held_out[number]])

    def _deal(self, dataset: Dataset, rows: Rows, folds: int) -> NDArray[np.int64]:
        _, number, sizes = np.unique(
            self._group(dataset, rows), return_inverse=True, return_counts=True
        )
        if len(sizes) < folds:
            raise DataError(
                f"split.folds is {folds}, but only {plural(len(sizes), 'group')} of compositions "
                "can be dealt out; use fewer folds."
            )
        drawn = np.random.default_rng(self.seed).permutation(len(sizes))
        fold = np.empty(len(sizes), np.int64)
        filled = [(0, k) for k in range(folds)]  # pairs of each fold, the fewest first
        for each in drawn[np.argsort(-sizes[drawn], kind="stable")]:
            n_pairs, fold[each] = filled[0]
            heapreplace(filled, (n_pairs + int(sizes[each]), int(fold[each])))
        return fold[number]

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: groups of compositions."""
        return SplitUnits("group", self._group(dataset, np.arange(len(dataset.pairs.context))))

    def _group(self, dataset: Dataset, rows: Rows) -> NDArray[np.int32]:
        """Return the group of each row's composition, ``[rows]``."""
        composition = dataset.pairs.composition[rows]
        if self.join == "none":
            return composition
        return (dataset.chain if self.join == "paths" else dataset.group)[composition]


class ColdSplit(Split):
    """Hold out services: none of them is in a training step, as its target or in its context.

    Services of the catalogue are drawn by ``seed``. All compositions that hold a drawn one are held
    out, whole, if they fit into what is left of the share; else the service trains, as one always
    does that too many hold. So the test has steps before a new service, into it, which nobody can
    predict, and behind it; and equal compositions are on one side.

    Parameters
    ----------
    seed
        Of the first draw; every repeat takes the next one.
    repeats
        How often services are drawn, 1 and up.
    part
        Which repeat, from 0 on; None for all of them, each a run of its own.

    Raises
    ------
    ConfigError
        If there is no such part.
    """

    def __init__(
        self, *, seed: Seed, repeats: Count, part: Natural | None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.choose(part, repeats)
        self.seed = (seed + (part or 0)) % 2**32

    def report(self, dataset: Dataset, sides: Sides, share: float | None = None) -> HeldOut:
        """Return what became of the share, and how many services have no training step."""
        (kept, _), (held_out, _) = (dataset.nodes_in(rows) for rows in sides)
        cold = np.setdiff1d(np.intersect1d(held_out, dataset.vocabulary.service_nodes), kept)
        return replace(super().report(dataset, sides, share), cold=len(cold))

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        composition = dataset.pairs.composition[rows]
        sizes = np.bincount(composition, minlength=dataset.n_compositions)
        room = n_of_share(share, len(rows))
        is_held_out = np.zeros(len(sizes), bool)
        holders = _holders(dataset)
        for service in np.random.default_rng(self.seed).permutation(len(holders)):
            holding = holders[service]
            n_new = int(sizes[holding[~is_held_out[holding]]].sum())
            if n_new <= room:
                is_held_out[holding] = True
                room -= n_new
        where = is_held_out[composition]
        return Sides(rows[~where], rows[where])

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: groups of equal compositions."""
        return SplitUnits("group", dataset.group[dataset.pairs.composition])


def _holders(dataset: Dataset) -> list[NDArray[np.int64]]:
    """Return the compositions that hold each service of the catalogue."""
    source, target, composition = dataset.links
    node = dataset.contexts.node[np.concatenate([source, target])]
    service = dataset.vocabulary.service_class[node]
    n = dataset.n_compositions
    key = service.astype(np.int64) * n + np.concatenate([composition, composition])
    held_by, holding = np.divmod(np.unique(key[service >= 0]), n)
    n_services = len(dataset.vocabulary.services)
    return np.split(holding, np.searchsorted(held_by, np.arange(1, n_services)))


class TemporalSplit(Split):
    """Hold out the compositions that started last; compositions of one moment stay together.

    Raises
    ------
    DataError
        If a composition has no start time.
    """

    option = "temporal"  # in messages

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        time = self._start_time(dataset, rows)
        moments, moment, sizes = np.unique(time, return_inverse=True, return_counts=True)
        n_later = len(rows) - np.cumsum(sizes)
        n_kept = int(np.searchsorted(-n_later, -np.ceil(share * len(rows)))) + 1
        is_held_out = moment >= min(n_kept, len(moments) - 1)
        return Sides(rows[~is_held_out], rows[is_held_out])

    def _start_time(self, dataset: Dataset, rows: Rows) -> NDArray[np.float64]:
        """Return when the composition of each row started, ``[rows]``."""
        time = dataset.start_time[dataset.pairs.composition[rows]]
        if (unknown := np.isnan(time)).any():
            first = int(dataset.pairs.composition[rows][unknown.argmax()])
            n_unknown = len(np.unique(dataset.pairs.composition[rows][unknown]))
            raise DataError(
                f"split={self.option} needs a start time, but {n_unknown} of "
                f"{dataset.n_compositions} compositions have none that can be read (first: "
                f"composition {first}); give `start_time` as ISO 8601 or use split=composition."
            )
        return time

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: moments."""
        _, moment = np.unique(dataset.start_time, return_inverse=True)
        return SplitUnits("time", moment.astype(np.int32)[dataset.pairs.composition])


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


def leakage_in_time(dataset: Dataset, test: Rows, stream: Stream) -> Leakage:
    """Return the share of test pairs, and of their contexts, that are known as they are asked."""
    context, target, _ = dataset.pairs
    pair = context.astype(np.int64) * len(dataset.vocabulary.services) + target
    shares = []
    for key in (pair, context):
        _, number = np.unique(key, return_inverse=True)
        first = np.full(number.max() + 1, len(number))
        np.minimum.at(first, number, stream.known)
        shares.append(float((first[number] < stream.limit)[test].mean()))
    return Leakage(*shares)


def leakage(dataset: Dataset, train: Rows, test: Rows) -> Leakage:
    """Return the share of test pairs, and of their contexts, that occur in training too."""
    seen, asked = dataset.pairs.take(train), dataset.pairs.take(test)
    n_services = len(dataset.vocabulary.services)
    key = asked.context.astype(np.int64) * n_services + asked.target
    known = np.isin(key, seen.context.astype(np.int64) * n_services + seen.target)
    return Leakage(float(known.mean()), float(np.isin(asked.context, seen.context).mean()))
