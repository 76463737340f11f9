"""Train and test: three ways to hold out a share of the pairs, and what leaks between the sides.

A split returns row numbers of :class:`~dagrec_cli.data.pairs.Pairs`. The same rule holds out a
validation share of the training rows.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from dagrec_cli.config.limits import check_choice, check_count, check_positive, check_share
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import DataError

GRAPHS = ("all", "train")


class Sides(NamedTuple):
    """Rows kept and rows held out."""

    kept: Rows
    held_out: Rows


class Split(ABC):
    """Hold out ``test_share`` of the pairs for testing.

    Parameters
    ----------
    test_share
        Share of the pairs, in ``(0, 1)``.
    graph
        ``all``: the DAG mask knows every edge of the data, test pairs' too, as the paper has it;
        ``train``: only the edges of pairs that are trained on, so not of validation pairs.

    Raises
    ------
    ConfigError
        If ``test_share`` is outside ``(0, 1)``, ``graph`` is neither, or a seed is below 0.
    """

    def __init__(self, *, test_share: float, graph: str) -> None:
        check_positive("split.test_share", test_share)
        check_share("split.test_share", test_share)
        check_choice("split.graph", graph, GRAPHS)
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
            raise DataError(
                f"the split cannot hold out {100 * share:g}% of {len(rows)} pairs "
                f"({dataset.n_compositions} compositions): one side would be empty; give more "
                "compositions or another split (split=paper, composition or temporal)."
            )
        return sides

    @abstractmethod
    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides: ...


class PaperSplit(Split):
    """Shuffle the pairs and hold out the first share, whatever composition they are from.

    Source: PAPER §2; equals scikit-learn's ``train_test_split(test_size=test_share,
    random_state=seed)`` row for row. Pairs of one path land on both sides: the leakage is shown.
    Differs from the source: never stratified, also where every class has two samples.
    """

    def __init__(self, *, test_share: float, graph: str, seed: int) -> None:
        super().__init__(test_share=test_share, graph=graph)
        check_count("split.seed", seed, least=0)
        self.seed = seed

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        order = np.random.RandomState(self.seed).permutation(len(rows))
        n_held_out = int(np.ceil(share * len(rows)))
        return Sides(rows[order[n_held_out:]], rows[order[:n_held_out]])


class CompositionSplit(Split):
    """Hold out whole compositions; those that share a path stay on one side.

    Groups are shuffled by ``seed`` and held out one after another as long as they fit into the
    share, so a group larger than the share always trains.
    """

    def __init__(self, *, test_share: float, graph: str, seed: int) -> None:
        super().__init__(test_share=test_share, graph=graph)
        check_count("split.seed", seed, least=0)
        self.seed = seed

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        group = dataset.chain[dataset.pairs.composition[rows]]
        names, number, sizes = np.unique(group, return_inverse=True, return_counts=True)
        room = int(np.ceil(share * len(rows)))
        is_held_out = np.zeros(len(names), bool)
        for drawn in np.random.default_rng(self.seed).permutation(len(names)):
            if sizes[drawn] <= room:
                is_held_out[drawn] = True
                room -= int(sizes[drawn])
        return Sides(rows[~is_held_out[number]], rows[is_held_out[number]])


class TemporalSplit(Split):
    """Hold out the compositions that started last; compositions of one moment stay together.

    Raises
    ------
    DataError
        If a composition has no start time.
    """

    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides:
        time = dataset.time[dataset.pairs.composition[rows]]
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


class Leakage(NamedTuple):
    """What test pairs share with training, as shares of the test pairs, in ``[0, 1]``."""

    pairs: float
    contexts: float


def leakage(dataset: Dataset, train: Rows, test: Rows) -> Leakage:
    """Return the share of test pairs, and of their contexts, that occur in training too."""
    seen, asked = dataset.pairs.take(train), dataset.pairs.take(test)
    n_services = len(dataset.vocabulary.services)
    key = asked.context.astype(np.int64) * n_services + asked.target
    known = np.isin(key, seen.context.astype(np.int64) * n_services + seen.target)
    return Leakage(float(known.mean()), float(np.isin(asked.context, seen.context).mean()))
