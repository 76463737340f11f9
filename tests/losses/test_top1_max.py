import math

import pytest
import torch

from dagrec_cli.losses.top1 import TOP1
from dagrec_cli.losses.top1_max import TOP1Max


def test_a_hand_counted_row() -> None:
    # weights 1/4 and 3/4; sigmoid(0 - 0) = sigmoid(0^2) = 1/2, sigmoid(log 3 - 0) = 3/4
    found = TOP1Max()(torch.tensor([[0.0]]), torch.tensor([[0.0, math.log(3)]]))
    squared = 1 / (1 + math.exp(-(math.log(3) ** 2)))
    assert found.tolist() == pytest.approx([1 / 4 * (1 / 2 + 1 / 2) + 3 / 4 * (3 / 4 + squared)])


def test_more_weak_negatives_do_not_thin_out_the_strong_one() -> None:
    positive, strong = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    weak = torch.full((1, 500), -20.0)
    crowd = torch.cat([strong, weak], dim=1)
    alone = TOP1Max()(positive, strong).item()
    assert TOP1Max()(positive, crowd).item() == pytest.approx(alone, rel=1e-3)
    assert TOP1()(positive, crowd).item() < 0.6 * alone
