"""Blocks in the order of time, each predicted from what had ended before it began.

Source: Dawid, "Present Position and Potential Developments: Some Personal Views: Statistical
Theory: The Prequential Approach", Journal of the Royal Statistical Society A 1984 (predict, then
learn); Gama, Sebastião and Rodrigues, "On Evaluating Stream Learning Algorithms", Machine Learning
2013.
Differs from the source: what is known is what has ended, not what has begun.
"""

import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural, TwoOrMore
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import Graph, Sides, Stream, TestShare
from dagrec_cli.data.splits import TemporalSplit
from dagrec_cli.errors import ConfigError, DataError, plural

UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class PrequentialSplit(TemporalSplit):
    """Predict each block of steps but the first from the compositions that had ended before it.

    Compositions are put in the order in which they started, and their steps dealt out to blocks
    of equal numbers of steps; those of one moment stay together. A block begins with the first
    start in it. Known by then are compositions that started before, and ended ``delay`` before or
    earlier; of one whose end is not known, or lies before its start, the start counts as its end.
    What has started but is not known is in no side. Each block is a part; together they are one
    test, since no step is in two of them. For validation the latest of a part's training is held
    out. A row that a prior of counts trains on sees what started before it, ended or not, so more
    than a test row does.

    With ``blocks=each`` every step is predicted from what is known as its own composition starts,
    in one pass, which a model does whose counts can be looked up by time. Steps before anything was
    known are not predicted.

    Parameters
    ----------
    blocks
        How many, 2 and up; the first is not predicted. Or ``each``.
    test_share
        The latest share of the steps, in ``(0, 1)``, which is what ``split=temporal`` tests, is
        dealt out to blocks, and all of them are predicted. None: all steps are dealt out.
    delay
        A whole number with a unit, as ``60s``, ``5m``, ``1h``, ``1d``.
    part
        0 for the second block; None for all of them, each a run of its own.

    Raises
    ------
    ConfigError
        If the delay is no such thing, or there is no such part.
    DataError
        If nothing is known as the test begins.
    """

    option = "prequential"
    is_pooled = True

    def __init__(
        self,
        *,
        blocks: TwoOrMore | Literal["each"],
        test_share: TestShare | None,
        delay: str,
        part: Natural | None,
        graph: Graph,
    ) -> None:
        n_blocks = 2 if isinstance(blocks, str) else blocks
        super().__init__(test_share=(test_share or 1) / n_blocks, graph=graph)
        found = re.fullmatch(r"(\d{1,9})([smhd])", delay)
        if found is None:
            raise ConfigError(
                f"split.delay is {delay!r}; use a whole number and a unit, as 0s, 60s, 1h or 1d."
            )
        self.delay = int(found[1]) * UNIT_SECONDS[found[2]]
        self.blocks = blocks
        self.latest = test_share
        self.choose(part, 1 if blocks == "each" else n_blocks - (test_share is None))

    def report(self, dataset: Dataset, sides: Sides, share: float | None = None) -> HeldOut:
        """Return which share of all pairs the block has; of validation, what became of it."""
        if share is not None:
            return super().report(dataset, sides, share)
        n_unknown = int(np.isnan(dataset.end_time).sum())
        warning = (
            f"{plural(n_unknown, 'composition')} of {dataset.n_compositions:,} have no end: their "
            "start is taken for it"
        )
        warnings = (warning,) if n_unknown else ()
        share = len(sides.held_out) / len(dataset.pairs.context)
        asked = share if self.blocks == "each" else self.test_share
        return HeldOut(asked, share, warnings=warnings)

    def stream(self, dataset: Dataset) -> Stream | None:
        """Return what each step is predicted from, with ``blocks=each``."""
        if self.blocks != "each":
            return None
        return self._stream(*self._times(dataset, np.arange(len(dataset.pairs.context))))

    def _stream(self, start: NDArray[np.float64], known: NDArray[np.float64]) -> Stream:
        times = np.unique(np.concatenate([start, known]))
        # What gets known at the moment in which it started is known after that moment.
        key = 2 * np.searchsorted(times, known) + (known == start)
        places, place = np.unique(key, return_inverse=True)
        return Stream(place, np.searchsorted(places, 2 * np.searchsorted(times, start) + 1))

    def _test(self, dataset: Dataset, rows: Rows) -> Sides:
        start, known = self._times(dataset, rows)
        is_tested = np.ones(len(rows), bool)
        if self.latest is not None:
            is_tested = np.isin(rows, self._hold_out(dataset, rows, self.latest).held_out)
        if isinstance(self.blocks, int):
            part = (self.part or 0) + (self.latest is None)
            is_tested[is_tested] = self._block(start[is_tested], self.blocks) == part
        else:
            is_tested &= self._stream(start, known).limit > 0
        begins = start[is_tested].min(initial=np.inf)
        is_known = (start < begins) & (known <= begins)
        if not (is_tested.any() and is_known.any()):
            raise DataError(
                f"no composition had ended {self.delay:g} s (split.delay) before the test begins; "
                "use a shorter delay, a later split.part or fewer blocks."
            )
        return Sides(rows[is_known], rows[is_tested])

    def _times(
        self, dataset: Dataset, rows: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return when each row's composition started, and from when on it is known, ``[rows]``."""
        start = self._start_time(dataset, rows)
        end = np.fmax(start, dataset.end_time[dataset.pairs.composition[rows]])
        return start, end + self.delay

    def _block(self, start: NDArray[np.float64], blocks: int) -> NDArray[np.int64]:
        """Return the block of each step, by when its composition started, ``[rows]``."""
        _, moment, size = np.unique(start, return_inverse=True, return_counts=True)
        middle = 2 * np.cumsum(size) - size  # a moment is where most of its steps are
        block = middle * blocks // (2 * len(start))
        if len(filled := np.unique(block)) < blocks:
            raise DataError(
                f"split.blocks is {blocks}, but only {len(filled)} of them would have a step, "
                "since those of one moment stay together; use fewer blocks."
            )
        return block[moment]
