import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.bpr_max import BPRMax

POSITIVE = torch.tensor([[0.0]])
NEGATIVES = torch.tensor([[0.0, math.log(3)]])  # softmax 1/4 and 3/4; sigmoid(0 - n) 1/2 and 1/4


@pytest.mark.parametrize("regularisation", [0.0, 1.0, 0.5])
def test_a_hand_counted_row(regularisation: float) -> None:
    beaten = 1 / 4 * 1 / 2 + 3 / 4 * 1 / 4
    expected = -math.log(beaten) + regularisation * 3 / 4 * math.log(3) ** 2
    found = BPRMax(regularisation=regularisation)(POSITIVE, NEGATIVES)
    assert found.tolist() == pytest.approx([expected])


def test_a_negative_far_below_the_others_has_no_gradient() -> None:
    negatives = torch.tensor([[1.0, -60.0]], requires_grad=True)
    BPRMax(regularisation=0.0)(POSITIVE, negatives).sum().backward()  # type: ignore[no-untyped-call]
    assert negatives.grad is not None
    assert negatives.grad[0, 0].item() == pytest.approx(1 / (1 + math.exp(-1)))  # sigmoid(n - p)
    assert abs(negatives.grad[0, 1].item()) < 1e-20


def test_regularisation_out_of_range(config: Callable[..., DictConfig]) -> None:
    with pytest.raises(ConfigError, match="regularisation is"):
        build(config("loss", "bpr_max", regularisation=-1.0), "loss")
