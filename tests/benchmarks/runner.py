"""Runs a benchmark: both ways in turn in one process, and what the times say.

Alternating keeps what disturbs the machine from falling on one way alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.base import Benchmark, MismatchError

LEAST_ROUNDS = 3
QUARTILES = (25, 75)

Watch = Callable[[int], None]


@dataclass
class Runs:
    """One way's runs.

    Attributes
    ----------
    seconds
        One entry per round.
    peak_bytes
        Most memory above what was held before, over the rounds; None where it cannot be told.
    """

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return float(np.median(self.seconds))

    def time(self, work: Callable[[], object]) -> None:
        """Run the work once more."""
        before = _start_peak()
        start = time.perf_counter()
        work()
        self.seconds.append(time.perf_counter() - start)
        if before is not None:
            self.peak_bytes = max(self.peak_bytes or 0, _memory("VmHWM") - before)

    def to_json(self) -> dict[str, Any]:
        """Return the times, their median and quartiles, and the memory."""
        low, high = spread(self.seconds)
        return {
            "median": self.median,
            "low": low,
            "high": high,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
        }


@dataclass
class Measurement:
    """A benchmark at one size.

    Attributes
    ----------
    promise
        Least ratio promised, None where nothing is.
    mismatch
        How the two ways differ; empty if they agree. Ways that differ are not timed.
    """

    size: int
    promise: float | None
    plain: Runs = field(default_factory=Runs)
    fast: Runs = field(default_factory=Runs)
    mismatch: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster the fast way is: median over median."""
        return self.plain.median / self.fast.median if self.fast.seconds else None

    @property
    def ratio_spread(self) -> tuple[float, float] | None:
        """Quartiles of the rounds' own ratios."""
        pairs = zip(self.plain.seconds, self.fast.seconds, strict=True)
        return spread([p / f for p, f in pairs]) if self.fast.seconds else None

    @property
    def fault(self) -> str:
        """What is wrong, in words; empty if results agree and the promise is kept."""
        if self.mismatch:
            return self.mismatch
        if self.promise is not None and self.ratio is not None and self.ratio < self.promise:
            return f"{self.ratio:.3g} times faster, {self.promise:g} promised"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return all of it, ``plain`` and ``fast`` only if they were timed."""
        ways = {"plain": self.plain, "fast": self.fast} if self.fast.seconds else {}
        return {
            "size": self.size,
            "ratio": self.ratio,
            "ratio_spread": self.ratio_spread,
            "promise": self.promise,
            "fault": self.fault,
            **{way: runs.to_json() for way, runs in ways.items()},
        }


def measure(
    benchmark: Benchmark, size: int, *, repeats: int, limit: float, watch: Watch | None = None
) -> Measurement:
    """Check one size, warm up, and time both ways in turn.

    Parameters
    ----------
    repeats
        Rounds; each runs the plain way, then the fast one.
    limit
        Seconds after which no further round is begun, but three are always run.
    watch
        Called with the number of rounds done.
    """
    result = Measurement(size, benchmark.promise(size))
    case = benchmark.case(size)
    try:
        case.check()
    except MismatchError as difference:
        result.mismatch = str(difference)
        return result
    case.plain()
    case.fast()
    start = time.perf_counter()
    for done in range(repeats):
        if done >= LEAST_ROUNDS and time.perf_counter() - start > limit:
            break
        result.plain.time(case.plain)
        result.fast.time(case.fast)
        if watch:
            watch(done + 1)
    return result


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and upper quartile."""
    low, high = np.percentile(values, QUARTILES)
    return float(low), float(high)


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> float | None:
    """Return the slope of log seconds over log size: 1 is linear; None for fewer than two sizes.

    >>> round(growth([10, 100, 1000], [2.0, 20.0, 200.0]), 6)
    1.0
    """
    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _start_peak() -> int | None:
    """Set the process's peak memory back to what it holds now; return that, None if it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _memory("VmRSS")
    except OSError:
        return None  # only Linux tells


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
