"""Outcomes and groups written down by hand, for tests of intervals and of differences."""

import numpy as np

from dagrec_cli.evaluation.ranks import Membership, Outcomes


def first_or_second(right):
    """Two services, target 0: predicted where ``right``, otherwise ranked second."""
    right = np.asarray(right, dtype=bool)
    zeros = np.zeros(len(right), dtype=int)
    return Outcomes(zeros, (~right).astype(int), (~right).astype(int), zeros)


def grouped(unit):
    """Every group is one composition, with one context."""
    return None if unit is None else Membership(unit, unit, unit)
