"""The optimiser, against torch's class of the same name."""

import pytest
import torch
from torch import Generator
from torch.nn import Parameter

from dagrec_cli.training.adam import Adam

SHAPES = ((3, 4), (5,), ())
N_STEPS = 5


def weights() -> list[Parameter]:
    generator = Generator().manual_seed(0)
    return [Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def take_steps(optimizer: Adam | torch.optim.Adam, trained: list[Parameter], *numbers: int) -> None:
    """Take steps with gradients that their number decides; odd ones leave the second weight out."""
    for number in numbers:
        generator = Generator().manual_seed(number)
        optimizer.zero_grad()
        for k, each in enumerate(trained):
            gradient = 10.0**number * torch.randn(each.shape, generator=generator)
            each.grad = None if k == 1 and number % 2 else gradient
        optimizer.step()


def are_equal(one: list[Parameter], two: list[Parameter]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("learning_rate", [0.0, 0.01, 3.0])
def test_steps_are_torch_s_bit_for_bit(learning_rate: float) -> None:
    ours, theirs = weights(), weights()
    take_steps(Adam(ours, learning_rate), ours, *range(N_STEPS))
    take_steps(torch.optim.Adam(theirs, learning_rate, fused=True), theirs, *range(N_STEPS))
    assert are_equal(ours, theirs)
    assert are_equal(ours, weights()) == (learning_rate == 0)


def test_moments_are_torch_s_by_name() -> None:
    ours, theirs = weights(), weights()
    optimizer, other = Adam(ours, 0.01), torch.optim.Adam(theirs, 0.01, fused=True)
    take_steps(optimizer, ours, *range(N_STEPS))
    take_steps(other, theirs, *range(N_STEPS))
    expected = {
        f"{number}.{name}": moment
        for number, moments in other.state_dict()["state"].items()
        for name, moment in moments.items()
    }
    assert optimizer.moments.keys() == expected.keys()
    assert all(torch.equal(each, expected[name]) for name, each in optimizer.moments.items())


def test_loaded_moments_go_on_bit_for_bit() -> None:
    through, halves = weights(), weights()
    take_steps(Adam(through, 0.01), through, 0, 1, 2, 3)
    first, second = Adam(halves, 0.01), Adam(halves, 0.01)
    take_steps(first, halves, 0, 1)
    saved = {name: each.clone() for name, each in first.moments.items()}
    second.load(saved)
    take_steps(second, halves, 2, 3)
    assert are_equal(halves, through)
    assert all(torch.equal(each, saved[name]) for name, each in first.moments.items())  # a copy


@pytest.mark.parametrize(("name", "shape"), [("0.exp_avg", 4), ("2.step", 1)])
def test_a_moment_of_another_shape_is_refused(name: str, shape: int) -> None:
    optimizer = Adam(weights(), 0.01)
    with pytest.raises(ValueError, match=f"optimizer.{name} has shape"):
        optimizer.load({**optimizer.moments, name: torch.zeros(shape)})


def test_a_missing_moment_is_missed() -> None:
    optimizer = Adam(weights(), 0.01)
    moments = optimizer.moments
    del moments["1.exp_avg_sq"]
    with pytest.raises(KeyError, match=r"1\.exp_avg_sq"):
        optimizer.load(moments)
