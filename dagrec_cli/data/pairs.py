"""Pairs: a context and the service that came next, one row per step of every path.

Source: PAPER §2. Rows stand in file order; splits are lists of row numbers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Rows = NDArray[np.int64]


class Pairs(NamedTuple):
    """Parallel arrays, one entry per pair.

    Attributes
    ----------
    context
        Entry of the context, ``[pairs]``.
    target
        Service class that came next, ``[pairs]``.
    composition
        Which composition the pair is from, in file order, ``[pairs]``.
    """

    context: Int32
    target: Int32
    composition: Int32

    def take(self, rows: Rows) -> "Pairs":
        """Return the pairs of the given rows, in that order."""
        return Pairs(self.context[rows], self.target[rows], self.composition[rows])

    def distinct(self) -> "WeightedPairs":
        """Return each different (context, target) once, with how often it occurs."""
        key = self.context.astype(np.int64) << 32 | self.target
        values, counts = np.unique(key, return_counts=True)
        return WeightedPairs(
            (values >> 32).astype(np.int32), values.astype(np.int32), counts.astype(np.float32)
        )

    def repeated(self) -> "WeightedPairs":
        """Return every row with weight 1."""
        return WeightedPairs(self.context, self.target, np.ones(len(self.context), np.float32))


class WeightedPairs(NamedTuple):
    """Pairs to train on: ``context``, ``target`` and ``weight``, each ``[rows]``."""

    context: Int32
    target: Int32
    weight: NDArray[np.float32]
