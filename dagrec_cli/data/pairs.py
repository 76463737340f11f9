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

    def distinct(self, unit: Int32 | None = None, repeat_alpha: float = 1.0) -> "WeightedPairs":
        """Return each different (context, target) once, with how often it occurs.

        Parameters
        ----------
        unit
            Unit of each pair: pairs of different ones are different. None if that is one and all.
        repeat_alpha
            See :class:`WeightedPairs`.
        """
        key = self.context.astype(np.int64) << 32 | self.target
        if unit is None:
            values, counts = np.unique(key, return_counts=True)
        else:
            values, number = np.unique(key, return_inverse=True)
            n_units = int(unit.max(initial=0)) + 1
            both, counts = np.unique(number * n_units + unit, return_counts=True)
            values, unit = values[both // n_units], (both % n_units).astype(np.int32)
        return WeightedPairs(
            (values >> 32).astype(np.int32),
            values.astype(np.int32),
            counts.astype(np.float32),
            unit,
            repeat_alpha,
        )

    def repeated(self, unit: Int32 | None = None) -> "WeightedPairs":
        """Return every row with weight 1."""
        ones = np.ones(len(self.context), np.float32)
        return WeightedPairs(self.context, self.target, ones, unit)


class WeightedPairs(NamedTuple):
    """Pairs to train on.

    Attributes
    ----------
    context, target
        As in :class:`Pairs`, ``[rows]``.
    weight
        How often a row occurs, ``[rows]``.
    unit
        What a split keeps apart has one number, ``[rows]``; None if each occurrence is on its own.
    repeat_alpha
        ``k`` occurrences of one thing in one unit are worth ``k ** repeat_alpha``.
    """

    context: Int32
    target: Int32
    weight: NDArray[np.float32]
    unit: Int32 | None = None
    repeat_alpha: float = 1.0

    @property
    def worth(self) -> NDArray[np.float32]:
        """What each row is worth, ``[rows]``."""
        return self.weight if self.unit is None else self.weight**self.repeat_alpha
