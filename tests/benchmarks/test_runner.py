"""The clock is replaced by one that each way moves by a known amount."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from benchmarks import runner
from benchmarks.base import Benchmark, Case, MismatchError
from benchmarks.runner import Measurement, Runs, growth, measure, spread


class Clockwork(Benchmark):
    """Ways that take the given seconds, first those of the warm-up."""

    unit = "things"
    sizes = (10, 100)
    target = 3

    def __init__(self, plain: list[float], fast: list[float], differ: str = "") -> None:
        super().__init__(OmegaConf.create())
        self.now = 0.0
        self.order = ""
        self.plain = self._way("p", plain)
        self.fast = self._way("f", fast)
        self.differ = differ

    def _way(self, letter: str, seconds: list[float]) -> Callable[[], None]:
        left = iter(seconds)

        def run() -> None:
            self.order += letter
            self.now += next(left)

        return run

    def check(self) -> None:
        if self.differ:
            raise MismatchError(self.differ)

    def case(self, size: int) -> Case:
        return Case(self.plain, self.fast, self.check)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Measurement]:
    def measured(benchmark: Clockwork, size: int, repeats: int, limit: float = 1e9) -> Measurement:
        clock = SimpleNamespace(perf_counter=lambda: benchmark.now)
        monkeypatch.setattr(runner, "time", clock)
        return measure(benchmark, size, repeats=repeats, limit=limit)

    return measured


def test_ways_alternate_and_the_first_round_is_not_counted(
    run: Callable[..., Measurement],
) -> None:
    benchmark = Clockwork(plain=[99, 8, 6, 7], fast=[99, 2, 1, 4])
    result = run(benchmark, 10, repeats=3)
    assert benchmark.order == "pfpfpfpf"
    assert result.plain.seconds == [8, 6, 7]
    assert result.fast.seconds == [2, 1, 4]
    assert result.ratio == 7 / 2
    assert result.ratio_spread == pytest.approx((2.875, 5))  # quartiles of 4, 6, 1.75


def test_rounds_stop_at_the_limit_but_not_before_three(run: Callable[..., Measurement]) -> None:
    for limit, rounds in ((0.0, 3), (7.5, 4), (100.0, 9)):
        result = run(Clockwork([1.0] * 10, [1.0] * 10), 10, repeats=9, limit=limit)
        assert len(result.plain.seconds) == len(result.fast.seconds) == rounds


@pytest.mark.parametrize(
    ("size", "fast", "fault"),
    [
        (100, 2.0, "2 times faster, 3 promised"),
        (100, 1.25, ""),
        (1000, 2.0, "2 times faster, 3 promised"),
        (10, 2.0, ""),  # nothing is promised below the largest size
    ],
)
def test_promise_holds_from_the_largest_size_on(
    run: Callable[..., Measurement], size: int, fast: float, fault: str
) -> None:
    assert run(Clockwork([4.0] * 4, [fast] * 4), size, repeats=3).fault == fault


def test_ways_that_differ_are_not_timed(run: Callable[..., Measurement]) -> None:
    benchmark = Clockwork([], [], differ="losses differ by 1")
    result = run(benchmark, 100, repeats=3)
    assert benchmark.order == ""
    assert result.fault == "losses differ by 1"
    assert result.ratio is None
    assert "plain" not in result.to_json()


def test_spread_is_from_quartile_to_quartile() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == (2.0, 4.0)


def test_growth_is_the_exponent() -> None:
    sizes = [10, 100, 1000]
    assert growth(sizes, [0.3 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert growth(sizes, [7.0] * 3) == pytest.approx(0)
    assert growth([10], [1.0]) is None
    assert growth([10, 10], [1.0, 2.0]) is None


def test_peak_memory_is_what_a_run_holds_on_top() -> None:
    kept = np.ones(2_000_000)  # 16 MB, there before
    runs = Runs()
    runs.time(lambda: np.ones(50_000_000).sum() + kept[0])  # 400 MB, freed at once
    if runs.peak_bytes is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 380e6 < runs.peak_bytes < 450e6  # what earlier tests left may be freed meanwhile
    runs.time(lambda: None)
    assert runs.peak_bytes > 380e6
