"""What a benchmark is: two ways to one result over the same inputs, and the ratio promised.

A new benchmark is one file in this package with one subclass of :class:`Benchmark`; the file's name
is the benchmark's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
from numpy.typing import ArrayLike
from omegaconf import DictConfig, ListConfig, OmegaConf

from dagrec_cli.errors import ConfigError

PACKAGE = Path(__file__).parent
ALL = "all"


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


def benchmark_types() -> dict[str, type[Benchmark]]:
    """Return every benchmark of this package by its file's name."""
    found = {}
    for path in sorted(PACKAGE.glob("*.py")):
        module = import_module(f"{__package__}.{path.stem}")
        for kind in filter(_is_benchmark, vars(module).values()):
            if kind.__module__ == module.__name__:
                found[path.stem] = kind
    return found


def _is_benchmark(value: object) -> TypeGuard[type[Benchmark]]:
    return isinstance(value, type) and issubclass(value, Benchmark) and value is not Benchmark


def choose(wanted: str | Sequence[str]) -> dict[str, type[Benchmark]]:
    """Return the benchmarks of a setting: ``all``, one name, or several.

    Raises
    ------
    ConfigError
        If there is no benchmark of a name, or none is named.
    """
    known = benchmark_types()
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if names == [ALL]:
        return known
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"bench={name} does not exist; {hint}use all or {', '.join(known)}.")
    if not names:
        raise ConfigError(f"bench is empty; use all or {', '.join(known)}.")
    return {name: known[name] for name in names}


def require_close(what: str, plain: ArrayLike, fast: ArrayLike, tolerance: float = 0.0) -> None:
    """Raise MismatchError unless two arrays agree to ``tolerance``, absolute."""
    plain, fast = np.asarray(plain), np.asarray(fast)
    if plain.shape != fast.shape:
        raise MismatchError(f"{what}: plain has shape {plain.shape}, fast has {fast.shape}")
    far = np.abs(plain - fast).max(initial=0)
    if not far <= tolerance:
        raise MismatchError(f"{what}: plain and fast differ by {far:.3g}, {tolerance:g} is allowed")


def changed(node: DictConfig | ListConfig, settings: Mapping[str, object]) -> DictConfig:
    """Return a config with other settings, which may be nested."""
    merged = OmegaConf.merge(node, settings)
    assert isinstance(merged, DictConfig)
    return merged
