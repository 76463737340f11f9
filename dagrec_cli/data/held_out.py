"""How much a split held out, in which groups, and what of it is not as one would expect."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural, Probability, TwoOrMore
from dagrec_cli.errors import plural

TOLERATED = 0.1  # of the pairs asked for; groups are whole, so a share is seldom met exactly


@dataclass(frozen=True)
class Part:
    """Which of the divisions that a split makes a run is of.

    Attributes
    ----------
    number
        From 0 on.
    of
        How many there are, 2 and up.
    is_pooled
        Whether the tests of all of them are one test together.
    """

    number: Natural
    of: TwoOrMore
    is_pooled: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError if there is no such part."""
        if self.number >= self.of:
            raise ValueError(f"part {self.number} of {self.of} does not exist")


@dataclass(frozen=True)
class HeldOut:
    """What became of the share that was asked for; all shares are of the pairs to be split.

    Attributes
    ----------
    asked, share
        The share to hold out, and the share that was.
    groups
        What is held out as a whole, counted; None where single pairs or moments are.
    largest_group
        Share of the pairs that the largest group has; None without groups.
    cold
        Services that no kept pair holds; None where services are not what is held out.
    warnings
        What is not as one would expect, a line each.
    """

    asked: Probability
    share: Probability
    groups: Natural | None = None
    largest_group: Probability | None = None
    warnings: tuple[str, ...] = ()
    cold: Natural | None = None

    @property
    def of_pairs(self) -> str:
        """The share, and what was asked for, in words."""
        return f"{self.share:.1%} of the pairs (asked: {100 * self.asked:.3g}%)"

    @property
    def units(self) -> str:
        """What is held out as a whole, in words; empty where single pairs or moments are."""
        if self.cold is not None:
            return f"{plural(self.cold, 'service')} without a training step"
        return "" if self.groups is None else self.in_groups

    @property
    def in_groups(self) -> str:
        """How many groups there are and what the largest one has, in words."""
        return f"{plural(self.groups or 0, 'group')}, the largest has {self.largest_group or 0:.1%}"


def told(sides: Sequence[HeldOut]) -> list[str]:
    """Return what became of the share in each part of a split, in lines: groups, then warnings."""
    lines = []
    if sides and sides[0].units:
        shares = [side.share for side in sides]
        low, high = f"{min(shares):.1%}", f"{max(shares):.1%}"
        share = sides[0].of_pairs if low == high else f"{low} to {high} of the pairs"
        lines = [f"Split: {share} held out; {sides[0].units}."]
    return lines + warnings_of(sides)


def warnings_of(sides: Sequence[HeldOut], about: str = "") -> list[str]:
    """Return a line for each warning, with how many parts of a split have it, unless all do."""
    often = Counter(warning for side in sides for warning in side.warnings)
    return [
        f"Warning: {about}{warning}{f' (in {n} of {len(sides)} parts)' * (n < len(sides))}."
        for warning, n in often.items()
    ]


def about_share(n_held_out: int, room: int, n_pairs: int) -> list[str]:
    """Return a warning if far from ``room`` pairs, as many as were asked for, are held out."""
    if abs(n_held_out - room) <= TOLERATED * room:
        return []
    return [
        f"{n_held_out:,} of {n_pairs:,} pairs are held out ({n_held_out / n_pairs:.1%}), but "
        f"{room:,} ({room / n_pairs:.1%}) were asked for"
    ]


def about_sizes(sizes: NDArray[np.int64], room: int) -> list[str]:
    """Return warnings if groups never fit into ``room`` pairs, or all others always do.

    Parameters
    ----------
    sizes
        Pairs of each group, ``[groups]``.
    """
    found = []
    is_too_large = sizes > room
    largest = f"{sizes.max() / sizes.sum():.1%} of the pairs"
    if (n_large := int(is_too_large.sum())) == 1:
        found.append(f"one group has {largest}, more than the share, so it always trains")
    elif n_large:
        found.append(f"{n_large:,} groups are larger than the share (up to {largest}): they train")
    if sizes[~is_too_large].sum() <= room:
        found.append("all other groups fit into the share: every split.seed gives the same sides")
    return found


def about_folds(sizes: NDArray[np.int64], folds: int) -> list[str]:
    """Return a warning if some groups have more pairs than a fold of all of them.

    Parameters
    ----------
    sizes
        Pairs of each group, ``[groups]``.
    """
    n_large = int((sizes * folds > sizes.sum()).sum())
    if not n_large:
        return []
    largest = f"{sizes.max() / sizes.sum():.1%} of the pairs"
    return [
        f"{plural(n_large, 'group')} (up to {largest}) larger than a fold: each is the whole test "
        "of one fold"
    ]
