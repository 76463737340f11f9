import math

import pytest
import torch

from dagrec_cli.losses.top1 import TOP1


def test_a_hand_counted_row() -> None:
    # sigmoid(log 3 - 0) = 3/4, sigmoid(0 - 0) = sigmoid(0^2) = 1/2
    found = TOP1()(torch.tensor([[0.0]]), torch.tensor([[math.log(3), 0.0]]))
    squared = 1 / (1 + math.exp(-(math.log(3) ** 2)))
    assert found.tolist() == pytest.approx([(3 / 4 + squared + 1 / 2 + 1 / 2) / 2])


def test_a_won_comparison_costs_a_half_at_score_zero() -> None:
    found = TOP1()(torch.tensor([[50.0]]), torch.zeros(1, 4))
    assert found.tolist() == pytest.approx([0.5])
