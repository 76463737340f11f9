"""Blocks in the order of time, each predicted from what had ended before it began.

Source: Dawid, "Present Position and Potential Developments: Some Personal Views: Statistical
Theory: The Prequential Approach", Journal of the Royal Statistical Society A 1984 (predict, then
learn); Gama, Sebastião and Rodrigues, "On Evaluating Stream Learning Algorithms", Machine Learning
2013.
Differs from the source: what is known is what has ended, not what has begun.
"""

import re

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural, TwoOrMore
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut
from dagrec_cli.data.invalid import plural
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import Graph, Sides
from dagrec_cli.data.splits import TemporalSplit
from dagrec_cli.errors import ConfigError, DataError

UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class PrequentialSplit(TemporalSplit):
    """Predict each block of steps but the first from the compositions that had ended before it.

    Compositions are put in the order in which they started, and their steps dealt out to blocks
    of equal numbers of steps; those of one moment stay together. A block begins with the first
    start in it. Known by then are compositions that started before, and ended ``delay`` before or
    earlier; of one whose end is not known, or lies before its start, the start counts as its end.
    What has started but is not known is in no side. Each block is a part; together they are one
    test, since no step is in two of them. For validation the latest of a part's training is held
    out.

    Parameters
    ----------
    blocks
        How many, 2 and up; the first is not predicted.
    delay
        A whole number with a unit, as ``60s``, ``5m``, ``1h``, ``1d``.
    part
        0 for the second block; None for all of them, each a run of its own.

    Raises
    ------
    ConfigError
        If the delay is no such thing, or there is no such part.
    """

    option = "prequential"
    is_pooled = True

    def __init__(
        self, *, blocks: TwoOrMore, delay: str, part: Natural | None, graph: Graph
    ) -> None:
        super().__init__(test_share=1 / blocks, graph=graph)
        found = re.fullmatch(r"(\d{1,9})([smhd])", delay)
        if found is None:
            raise ConfigError(
                f"split.delay is {delay!r}; use a whole number and a unit, as 0s, 60s, 1h or 1d."
            )
        self.delay = int(found[1]) * UNIT_SECONDS[found[2]]
        self.blocks = blocks
        self.choose(part, blocks - 1)

    def report(self, dataset: Dataset, sides: Sides, share: float | None = None) -> HeldOut:
        """Return which share of all pairs the block has; of validation, what became of it."""
        if share is not None:
            return super().report(dataset, sides, share)
        n_unknown = int(np.isnan(dataset.end_time).sum())
        warning = (
            f"{plural(n_unknown, 'composition')} of {dataset.n_compositions:,} have no end: their "
            "start is taken for it"
        )
        n_pairs = len(dataset.pairs.context)
        warnings = (warning,) if n_unknown else ()
        return HeldOut(self.test_share, len(sides.held_out) / n_pairs, warnings=warnings)

    def _test(self, dataset: Dataset, rows: Rows) -> Sides:
        composition = dataset.pairs.composition[rows]
        start = self._start_time(dataset, rows)
        block = self._block(start)
        begins = start[block == (self.part or 0) + 1].min()
        end = dataset.end_time[composition]
        ended = np.where(np.isnan(end), start, np.maximum(start, end))
        is_known = (start < begins) & (ended <= begins - self.delay)
        return Sides(rows[is_known], rows[block == (self.part or 0) + 1])

    def _block(self, start: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the block of each step, by when its composition started, ``[rows]``."""
        _, moment, size = np.unique(start, return_inverse=True, return_counts=True)
        middle = 2 * np.cumsum(size) - size  # a moment is where most of its steps are
        block = middle * self.blocks // (2 * len(start))
        if len(filled := np.unique(block)) < self.blocks:
            raise DataError(
                f"split.blocks is {self.blocks}, but only {len(filled)} of them would have a step, "
                "since those of one moment stay together; use fewer blocks."
            )
        return block[moment]
