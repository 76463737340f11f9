"""The optimisers, against torch's classes of the same names."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Generator
from torch.nn import Parameter

from dagrec_cli.training.optimizers import OPTIMIZERS, Optimizer

SHAPES = ((3, 4), (5,), ())
N_STEPS = 20
THEIRS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "sgd": torch.optim.SGD,
}
CASES = [
    (name, {"weight_decay": decay, **momentum})
    for name in THEIRS
    for decay in (0.0, 0.1)
    for momentum in ([{}, {"momentum": 0.9}] if name == "sgd" else [{}])
]


def weights() -> list[Parameter]:
    generator = Generator().manual_seed(0)
    return [Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def take_steps(
    optimizer: Optimizer | torch.optim.Optimizer, trained: list[Parameter], *numbers: int
) -> None:
    """Take steps with gradients that their number decides; odd ones leave the second weight out."""
    for number in numbers:
        generator = Generator().manual_seed(number)
        optimizer.zero_grad()
        for k, each in enumerate(trained):
            gradient = 3.0 ** (number % 5) * torch.randn(each.shape, generator=generator)
            each.grad = None if k == 1 and number % 2 else gradient
        optimizer.step()


def are_equal(one: list[Parameter], two: list[Parameter]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_every_optimizer_is_compared_with_torch_s() -> None:
    assert OPTIMIZERS.keys() == THEIRS.keys()


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_steps_are_torch_s(name: str, settings: dict[str, float]) -> None:
    ours, theirs = weights(), weights()
    other = THEIRS[name](theirs, lr=0.01, **settings)
    for number in range(N_STEPS):
        take_steps(other, theirs, number)
    take_steps(Optimizer(OPTIMIZERS[name], ours, 0.01, **settings), ours, *range(N_STEPS))
    for one, two in zip(ours, theirs, strict=True):
        assert torch.allclose(one, two, rtol=0, atol=1e-6)
    assert not are_equal(ours, weights())


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_every_setting_changes_the_steps(name: str, settings: dict[str, float]) -> None:
    given, bare = weights(), weights()
    take_steps(Optimizer(OPTIMIZERS[name], given, 0.01, **settings), given, *range(3))
    take_steps(Optimizer(OPTIMIZERS[name], bare, 0.01), bare, *range(3))
    assert are_equal(given, bare) == (not any(settings.values()))


@pytest.mark.parametrize("learning_rate", [0.0, 0.01, 3.0])
def test_adam_s_steps_are_torch_s_bit_for_bit(learning_rate: float) -> None:
    ours, theirs = weights(), weights()
    take_steps(Optimizer(OPTIMIZERS["adam"], ours, learning_rate), ours, *range(N_STEPS))
    take_steps(torch.optim.Adam(theirs, learning_rate, fused=True), theirs, *range(N_STEPS))
    assert are_equal(ours, theirs)
    assert are_equal(ours, weights()) == (learning_rate == 0)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_changed_learning_rate_is_that_of_the_next_step(
    name: str, settings: dict[str, float]
) -> None:
    ours, theirs = weights(), weights()
    optimizer, other = (
        Optimizer(OPTIMIZERS[name], ours, 0.0, **settings),
        THEIRS[name](theirs, **settings),
    )
    for number in range(4):
        optimizer.learning_rate = other.param_groups[0]["lr"] = 0.1 / (1 + number)
        take_steps(optimizer, ours, number)
        take_steps(other, theirs, number)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_moments_are_torch_s_by_name(name: str) -> None:
    ours, theirs = weights(), weights()
    optimizer, other = (
        Optimizer(OPTIMIZERS[name], ours, 0.01),
        THEIRS[name](theirs, 0.01, fused=True),
    )
    take_steps(optimizer, ours, *range(N_STEPS))
    take_steps(other, theirs, *range(N_STEPS))
    expected = {
        f"{number}.{name}": moment
        for number, moments in other.state_dict()["state"].items()
        for name, moment in moments.items()
    }
    assert optimizer.moments.keys() == expected.keys()
    moments = optimizer.moments.items()
    assert all(torch.allclose(each, expected[name], rtol=1e-5) for name, each in moments)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_loaded_moments_go_on_bit_for_bit(name: str, settings: dict[str, float]) -> None:
    def made(trained: list[Parameter]) -> Optimizer:
        return Optimizer(OPTIMIZERS[name], trained, 0.01, **settings)

    through, halves = weights(), weights()
    take_steps(made(through), through, 0, 1, 2, 3)
    first, second = made(halves), made(halves)
    take_steps(first, halves, 0, 1)
    saved = {key: each.clone() for key, each in first.moments.items()}
    second.load(saved)
    take_steps(second, halves, 2, 3)
    assert are_equal(halves, through)
    assert all(torch.equal(each, saved[key]) for key, each in first.moments.items())  # a copy


@pytest.mark.parametrize(("name", "shape"), [("0.exp_avg", 4), ("2.step", 1)])
def test_a_moment_of_another_shape_is_refused(name: str, shape: int) -> None:
    optimizer = Optimizer(OPTIMIZERS["adam"], weights(), 0.01)
    with pytest.raises(ValueError, match=f"optimizer.{name} has shape"):
        optimizer.load({**optimizer.moments, name: torch.zeros(shape)})


def test_a_missing_moment_is_missed() -> None:
    optimizer = Optimizer(OPTIMIZERS["adam"], weights(), 0.01)
    moments = optimizer.moments
    del moments["1.exp_avg_sq"]
    with pytest.raises(KeyError, match=r"1\.exp_avg_sq"):
        optimizer.load(moments)


def test_no_optimizer_imports_torch_s_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from dagrec_cli.training.optimizers import OPTIMIZERS, Optimizer\n"
        "for rule in OPTIMIZERS.values():\n"
        "    weight = torch.nn.Parameter(torch.ones(2))\n"
        "    optimizer = Optimizer(rule, [weight], 0.1, weight_decay=0.1, momentum=0.9)\n"
        "    weight.sum().backward()\n"
        "    optimizer.step()\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
