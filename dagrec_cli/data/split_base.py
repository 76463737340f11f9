"""What every split does: it says which pairs train and which are the test.

A split returns row numbers of :class:`~dagrec_cli.data.pairs.Pairs`. The same rule holds out a
validation share of the training rows. A split may divide the pairs several times; each division is
a part, and a run is of one part, as it is of its seeds.
"""

from abc import ABC, abstractmethod
from copy import copy
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Count, Natural, Seed, TwoOrMore
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut, Part, about_share
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import ConfigError, DataError, plural

TestShare = Annotated[float, Meta(gt=0, lt=1)]
Graph = Literal["all", "train"]


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

    def of(self, rows: Rows) -> NDArray[np.int32] | None:
        """Return the unit of each of some rows; None if each row is one."""
        return None if self.kind == "row" else self.number[rows]


class Stream(NamedTuple):
    """What is known of other pairs as each one is predicted, where each has a training of its own.

    Attributes
    ----------
    known
        Place of each pair's composition in the order in which they get known, from 0, ``[pairs]``.
    limit
        How many places are known as a pair is predicted, ``[pairs]``.
    """

    known: NDArray[np.int64]
    limit: NDArray[np.int64]


class Split(ABC):
    """Hold out ``test_share`` of the pairs for testing.

    Parameters
    ----------
    test_share
        Share of the pairs, in ``(0, 1)``.
    graph
        ``all``: the DAG mask knows every edge of the data, test pairs' too, as the paper has it;
        ``train``: only the edges of pairs that are trained on, so not of validation pairs.

    Attributes
    ----------
    n_parts
        How many divisions into training and test it makes.
    part
        The one that it stands for, from 0 on; None where that is none in particular.
    is_pooled
        Whether the tests of all parts are one test together, as no pair is in two of them. Else a
        figure is the mean over parts.
    seed
        Of what it draws; None if it draws nothing.
    """

    n_parts: int = 1
    part: int | None = None
    is_pooled: bool = False
    seed: int | None = None

    def __init__(self, *, test_share: TestShare, graph: Graph) -> None:
        self.test_share = test_share
        self.graph = graph

    @property
    def chosen(self) -> Part | None:
        """Which of several parts it stands for; None if there is one alone.

        Raises
        ------
        ConfigError
            If there are several and none was chosen.
        """
        if self.n_parts == 1:
            return None
        if self.part is None:
            raise ConfigError(
                f"the split has {self.n_parts} parts, and a run is of one: choose it by "
                f"split.part=0 to {self.n_parts - 1}; dagrec train runs all of them."
            )
        return Part(self.part, self.n_parts, self.is_pooled)

    def choose(self, part: int | None, n_parts: int) -> None:
        """Stand for one of some parts, or for none in particular.

        Raises
        ------
        ConfigError
            If there is no such part.
        """
        if part is not None and part >= n_parts:
            allowed = f"a number from 0 to {n_parts - 1}" if n_parts > 1 else "0 or null"
            raise ConfigError(f"split.part is {part}; use {allowed}.")
        self.part, self.n_parts = part, n_parts

    def split(self, dataset: Dataset) -> Sides:
        """Return training and test rows.

        Raises
        ------
        ConfigError
            If there are several parts and none was chosen.
        DataError
            If one side would be empty.
        """
        _ = self.chosen
        rows = np.arange(len(dataset.pairs.context))
        return self._checked(dataset, self._test(dataset, rows), rows, self.test_share)

    def hold_out(self, dataset: Dataset, rows: Rows, share: float, draw: int = 0) -> Sides:
        """Return ``rows`` without a held-out share, and that share, by this split's rule.

        Parameters
        ----------
        draw
            Another one holds out others, if the split draws at all.

        Raises
        ------
        ConfigError
            If the split does not draw, so that there is no other share.
        DataError
            If one side would be empty.
        """
        sides = self._redrawn(draw)._hold_out(dataset, rows, share)
        return self._checked(dataset, sides, rows, share, "trainer.validation_share")

    def _redrawn(self, draw: int) -> Self:
        """Return this split with another draw of what it holds out."""
        if not draw:
            return self
        if self.seed is None:
            raise ConfigError(
                f"trainer.validation_draw is {draw}, but the split draws nothing: it holds out "
                "the same pairs each time; use trainer.validation_draw=0."
            )
        other = copy(self)
        other.seed = (self.seed + draw) % 2**32
        return other

    def _checked(
        self, dataset: Dataset, sides: Sides, rows: Rows, share: float, setting: str = ""
    ) -> Sides:
        """Return sides of rows neither of which is empty."""
        if not len(sides.kept) or not len(sides.held_out):
            held_out = self.report(dataset, sides, share)
            groups = "" if held_out.groups is None else f" in {held_out.in_groups}"
            purpose = f" for {setting}" if setting else ""
            instead = f", or {setting}=0 trainer.patience=0" if setting else ""
            n_compositions = len(np.unique(dataset.pairs.composition[rows]))
            raise DataError(
                f"the split cannot hold out {100 * share:g}% of {len(rows)} pairs{purpose} "
                f"({plural(n_compositions, 'composition')}{groups}): one side would be empty; give "
                "more compositions or another split (split=paper, composition, cold or temporal)"
                f"{instead}."
            )
        return sides

    def report(self, dataset: Dataset, sides: Sides, share: float | None = None) -> HeldOut:
        """Return what became of the share that was held out; by default that of the test."""
        share = self.test_share if share is None else share
        n_held_out, n_pairs = len(sides.held_out), len(sides.kept) + len(sides.held_out)
        warnings = about_share(n_held_out, n_of_share(share, n_pairs), n_pairs)
        return HeldOut(share, n_held_out / n_pairs, warnings=tuple(warnings))

    def units(self, dataset: Dataset) -> SplitUnits:
        """Return what this split keeps apart: single rows."""
        return SplitUnits("row", np.arange(len(dataset.pairs.context), dtype=np.int32))

    def stream(self, dataset: Dataset) -> Stream | None:
        """Return what each pair is predicted from, where not all are from the same; else None."""
        return None

    def known(self, dataset: Dataset, rows: Rows) -> Dataset:
        """Return the data in the numbers of a model that is fitted on some rows: on their names."""
        return dataset.known_by(dataset.vocabulary_of(rows))

    def _test(self, dataset: Dataset, rows: Rows) -> Sides:
        """Return what is trained and tested on."""
        return self._hold_out(dataset, rows, self.test_share)

    @abstractmethod
    def _hold_out(self, dataset: Dataset, rows: Rows, share: float) -> Sides: ...


class DrawnSplit(Split):
    """A split that draws what it holds out, so that it can draw in folds, and again.

    Parameters
    ----------
    seed
        Of the first draw; every repeat takes the next one.
    folds
        How many tests the pairs are dealt out to, each unit to one of them, 2 and up; each test is
        a part, whose other pairs train. None: ``test_share`` of the pairs is the test.
    repeats
        How often all that is drawn, 1 and up.
    part
        Repeat times folds, plus fold, both from 0 on; None for all parts, each a run of its own.

    Raises
    ------
    ConfigError
        If there is no such part.
    """

    def __init__(
        self,
        *,
        seed: Seed,
        folds: TwoOrMore | None,
        repeats: Count,
        part: Natural | None,
        test_share: TestShare,
        **settings: Any,
    ) -> None:
        super().__init__(test_share=1 / folds if folds else test_share, **settings)
        self.choose(part, (folds or 1) * repeats)
        self.folds = folds
        repeat, self._fold = divmod(part or 0, folds or 1)
        self.seed = (seed + repeat) % 2**32

    def _test(self, dataset: Dataset, rows: Rows) -> Sides:
        if self.folds is None:
            return super()._test(dataset, rows)
        is_test = self._deal(dataset, rows, self.folds) == self._fold
        return Sides(rows[~is_test], rows[is_test])

    @abstractmethod
    def _deal(self, dataset: Dataset, rows: Rows, folds: int) -> NDArray[np.int64]:
        """Return the fold whose test each row is in, ``[rows]``."""


def n_of_share(share: float, n_pairs: int) -> int:
    """Return how many pairs a share of them is, rounded up."""
    return int(np.ceil(share * n_pairs))
