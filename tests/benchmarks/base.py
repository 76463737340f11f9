"""What a benchmark is: two ways to one result over the same inputs, and the ratio promised.

A new benchmark is a subclass of :class:`Benchmark` with a line in :mod:`benchmarks.command`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from omegaconf import DictConfig, OmegaConf


class MismatchError(Exception):
    """The plain and the fast way do not give equal results."""


class Case(NamedTuple):
    """A benchmark at one size.

    Attributes
    ----------
    plain, fast
        The two ways, ready to be called again and again.
    check
        Raises :class:`MismatchError` unless both ways give equal results.
    """

    plain: Callable[[], object]
    fast: Callable[[], object]
    check: Callable[[], None]


class Benchmark(ABC):
    """A piece of work done in two ways.

    Attributes
    ----------
    unit
        What a size counts.
    sizes
        Sizes measured unless others are asked for, ascending.
    target
        Least ratio plain/fast promised, from the largest of ``sizes`` on.

    Parameters
    ----------
    config
        The composed config of ``dagrec bench``. Data is read at once, so that a mistake in it stops
        the command before any work.
    """

    unit: str
    sizes: tuple[int, ...]
    target: float

    def __init__(self, config: DictConfig) -> None:
        self.config = config

    @abstractmethod
    def case(self, size: int) -> Case:
        """Make the inputs of one size, which both ways share."""

    def promise(self, size: int) -> float | None:
        """Return the least ratio promised at a size, None where nothing is."""
        return self.target if size >= self.sizes[-1] else None


def require_close(what: str, plain: ArrayLike, fast: ArrayLike, tolerance: float = 1e-5) -> None:
    """Raise MismatchError unless two arrays agree to ``tolerance``, absolute."""
    plain, fast = np.asarray(plain), np.asarray(fast)
    if plain.shape != fast.shape:
        raise MismatchError(f"{what}: plain has shape {plain.shape}, fast has {fast.shape}")
    far = np.abs(plain - fast).max(initial=0)
    if not far <= tolerance:
        raise MismatchError(f"{what}: plain and fast differ by {far:.3g}, {tolerance:g} is allowed")


def require_all_close(plain: Mapping[str, ArrayLike], fast: Mapping[str, ArrayLike]) -> None:
    """Raise MismatchError unless everything named in ``plain`` is the same in ``fast``."""
    for name, value in plain.items():
        require_close(name, value, fast[name])


def changed(node: DictConfig, settings: Mapping[str, object]) -> DictConfig:
    """Return a config with other settings, which may be nested."""
    merged = OmegaConf.merge(node, settings)
    assert isinstance(merged, DictConfig)
    return merged
