import pytest
import torch

from dagrec_cli.models.layers.scoring_head import ScoringHead

SERVICES = 7


@pytest.mark.parametrize("n_candidates", [1, SERVICES - 1, SERVICES, 3 * SERVICES])
def test_candidates_have_the_scores_and_gradients_of_the_whole_catalogue(
    n_candidates: int,
) -> None:
    torch.manual_seed(0)
    head = ScoringHead(4, SERVICES)
    states = torch.randn(5, 4, requires_grad=True)
    classes = torch.randint(SERVICES, (5, n_candidates))
    weights = torch.randn(5, n_candidates)
    variables = (states, head.weight, head.bias)

    dense = (states @ head.weight.T + head.bias).gather(1, classes)
    picked = head.candidates(states, classes)

    assert torch.allclose(picked, dense, atol=1e-6)
    expected = torch.autograd.grad((dense * weights).sum(), variables)
    found = torch.autograd.grad((picked * weights).sum(), variables)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
