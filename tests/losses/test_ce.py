import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch.nn.functional import cross_entropy

from dagrec_cli.config.build import build
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.ce import CrossEntropy

INF = float("inf")


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothing_is_torch_s_where_nothing_is_masked(smoothing: float) -> None:
    torch.manual_seed(0)
    scores, target = torch.randn(6, 5), torch.tensor([0, 4, 2, 2, 1, 3])
    expected = cross_entropy(scores, target, reduction="none", label_smoothing=smoothing)
    assert torch.allclose(CrossEntropy(label_smoothing=smoothing)(scores, target), expected)


def test_a_masked_service_gets_no_share_of_the_target() -> None:
    # valid probabilities 3/4 and 1/4; target .8 + .1 and .1
    scores = torch.tensor([[math.log(3), -INF, 0.0]], requires_grad=True)
    found = CrossEntropy(label_smoothing=0.2)(scores, torch.tensor([0]))
    assert found.item() == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))
    found.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad[0].tolist() == pytest.approx([0.75 - 0.9, 0, 0.25 - 0.1])


def test_a_single_valid_service_costs_nothing() -> None:
    scores = torch.tensor([[-INF, 5.0]])
    assert CrossEntropy(label_smoothing=0.5)(scores, torch.tensor([1])).item() == 0


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range(config: Callable[..., DictConfig], smoothing: float) -> None:
    with pytest.raises(ConfigError, match="label_smoothing is"):
        build(config("loss", "ce", label_smoothing=smoothing), "loss")
