import pytest
import torch

from dagrec_cli.models.layers.scoring_head import ScoringHead

SERVICES = 60


@pytest.mark.parametrize("n_candidates", [1, 11, 12, SERVICES, 2 * SERVICES])
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


def test_one_matrix_product_for_many_candidates_single_ones_for_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, states, dense = ScoringHead(4, SERVICES), torch.randn(2, 4), []
    monkeypatch.setattr(head, "forward", lambda each: dense.append(1) or each @ head.weight.T)
    for n_candidates in (11, 12):  # five services for each candidate, and less
        head.candidates(states, torch.zeros(2, n_candidates).long())
        assert dense == [1] * (n_candidates - 11)


def test_padding_of_a_list_scores_minus_infinity() -> None:
    head, states = ScoringHead(4, SERVICES), torch.randn(2, 4)
    classes = torch.tensor([[0, 5, SERVICES], [2, SERVICES, SERVICES]])
    found = head.listed(states, classes)
    assert found.isinf().tolist() == [[False, False, True], [False, True, True]]
    assert torch.allclose(found[0, :2], head(states)[0, [0, 5]], atol=1e-6)
