"""How soon a command answers: what it imports, and its whole time beside that of torch's import."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import perf_counter
from typing import Any

import pytest

from hand_made import paths_of

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; from dagrec_cli.cli import main; main(); "
NEEDLESS = {"torch._dynamo", "sympy", "scipy", "pandas", "networkx", "matplotlib.pyplot", "pooch"}
TRAINING = ("train", "model=gru4rec", "trainer.device=cpu")
N_ROUNDS = 5

Trained = Any
Python = Callable[..., str]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """A function of words: what ``python -c WORDS`` says."""

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ).stdout

    return run


def prediction(trained: Trained) -> tuple[str, ...]:
    node = next(iter(paths_of(trained.run).values()))[0]
    return "predict", f"run={trained.run}", f"context=[{node}]"


def imported(python: Python, words: tuple[str, ...]) -> set[str]:
    return set(python(f"{COMMAND} print(*sys.modules)", *words).splitlines()[-1].split())


def test_training_imports_only_what_it_uses(python: Python) -> None:
    found = imported(python, (*TRAINING, "trainer.epochs=1"))
    assert found & NEEDLESS == set()
    assert {"torch", "matplotlib"} <= found


def test_prediction_imports_only_what_it_uses(python: Python, trained: Trained) -> None:
    found = imported(python, prediction(trained))
    assert found & (NEEDLESS | {"matplotlib", "rich", "jinja2"}) == set()
    assert "torch" in found


def times_torch(python: Python, *words: str) -> float:
    """Return how long ``dagrec WORDS`` takes, in imports of torch: the median of some rounds."""

    def seconds(*words: str) -> float:
        start = perf_counter()
        python(*words)
        return perf_counter() - start

    return median(seconds(COMMAND, *words) / seconds("import torch") for _ in range(N_ROUNDS))


@pytest.mark.slow
def test_help_takes_a_twentieth_of_a_second(python: Python) -> None:
    def seconds() -> float:
        """Return the processor's time, which others that compute change less than the clock's."""
        start = getrusage(RUSAGE_CHILDREN)
        assert "Usage: dagrec COMMAND" in python(COMMAND, "--help")
        end = getrusage(RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime

    assert min(seconds() for _ in range(4 * N_ROUNDS)) <= 0.05  # measured: 0.04


@pytest.mark.slow
def test_a_prediction_takes_less_than_a_third_more(python: Python, trained: Trained) -> None:
    assert times_torch(python, *prediction(trained)) <= 1.3  # measured: 1.1


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.usefixtures("geoportal")
def test_a_whole_training_takes_two_and_a_half_imports(python: Python) -> None:
    words = (*TRAINING, "data=geoportal", "trainer=full_batch", "trainer.epochs=150")
    assert times_torch(python, *words) <= 2.5  # measured: 1.95; the rest is for a busy machine
