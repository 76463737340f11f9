"""The learning rate over a training, by hand and against torch's schedulers."""

import doctest
from collections.abc import Callable
from itertools import pairwise
from math import cos, pi
from typing import Any
from unittest.mock import patch

import pytest
import torch

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.training import optimizers
from dagrec_cli.training.optimizers import Optimizer, Schedule

Make = Callable[..., Any]


def factors(decay: str, warmup: float, n: int) -> list[float]:
    return [Schedule(decay, warmup).factor(k / n, (k + 1) / n) for k in range(n)]


@pytest.mark.parametrize(
    ("decay", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1]),
        ("constant", 0.75, [1 / 3, 2 / 3, 1, 1]),
        ("linear", 0.0, [1, 3 / 4, 2 / 4, 1 / 4]),
        ("linear", 0.5, [1 / 2, 1, 1, 1 / 2]),
        ("cosine", 0.0, [1, (1 + cos(pi / 4)) / 2, 1 / 2, (1 + cos(3 * pi / 4)) / 2]),
        ("cosine", 0.25, [1, 1, 3 / 4, 1 / 4]),
    ],
)
def test_four_steps_by_hand(decay: str, warmup: float, expected: list[float]) -> None:
    assert factors(decay, warmup, 4) == pytest.approx(expected)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_decays_are_torch_s(decay: str) -> None:
    theirs: dict[str, Make] = {
        "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=20),
        "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20),
    }
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler, rates = theirs[decay](optimizer), []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(decay, 0.0, 20) == pytest.approx(rates, abs=1e-6)


@pytest.mark.parametrize("decay", optimizers.DECAYS)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.15, 0.99])
def test_every_step_trains_and_the_rate_rises_before_it_falls(decay: str, warmup: float) -> None:
    found = factors(decay, warmup, 40)
    assert all(0 < factor <= 1 for factor in found)
    top = found.index(max(found))
    assert all(a <= b for a, b in pairwise(found[: top + 1]))
    assert all(a >= b for a, b in pairwise(found[top:]))


@pytest.mark.parametrize("kind", ["full_batch", "mini_batch"])
def test_a_trainer_steps_at_the_scheduled_rates(
    kind: str, trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    """Mini-batches: the share of the weight that is over counts, so rates fall within an epoch."""
    rates, plain = [], Optimizer.step

    def step(optimizer: Optimizer) -> None:
        rates.append(optimizer.learning_rate)
        plain(optimizer)

    extra = {"batch_size": 4} if kind == "mini_batch" else {}
    settings = {"epochs": 4, "learning_rate": 0.5, "schedule": "linear", **extra}
    with patch.object(Optimizer, "step", step):
        fit(trainer(kind, **settings), gru4rec(), tiny)
    per_epoch = len(rates) // 4
    assert rates[::per_epoch] == pytest.approx([0.5, 0.375, 0.25, 0.125])
    assert len(set(rates)) == len(rates)
    assert (per_epoch > 1) == (kind == "mini_batch")
    assert all(a > b for a, b in pairwise(rates))


def test_the_example_holds() -> None:
    assert doctest.testmod(optimizers) == (0, 1)
