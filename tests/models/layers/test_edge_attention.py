import torch

from dagrec_cli.models.layers.edge_attention import EdgeAttention, segment_softmax


def test_each_segment_is_a_softmax_of_its_own() -> None:
    torch.manual_seed(0)
    scores, segment = 3 * torch.randn(7, 2), torch.tensor([3, 0, 3, 1, 0, 3, 0])
    found = segment_softmax(scores, segment, 4)
    for k in range(4):
        assert torch.allclose(found[segment == k], scores[segment == k].softmax(dim=0))


def test_a_segment_of_low_scores_beside_high_ones_is_finite() -> None:
    scores = torch.tensor([[1e4], [1e4], [-1e4], [-1e4]], requires_grad=True)
    found = segment_softmax(scores, torch.tensor([0, 0, 1, 1]), 2)
    assert found.flatten().tolist() == [0.5] * 4
    found[0].sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad.flatten().tolist() == [0.25, -0.25, 0, 0]


def test_gradients_equal_those_of_a_dense_softmax() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 1, dtype=torch.float64, requires_grad=True)
    segment = torch.tensor([0, 1, 0, 0])
    assert torch.autograd.gradcheck(lambda s: segment_softmax(s, segment, 2), scores)


def test_who_has_no_sender_hears_the_bias_alone() -> None:
    attention = EdgeAttention(4, 2, 0.0)
    torch.nn.init.constant_(attention.out.bias, 3.0)
    one = torch.zeros(1, dtype=torch.long)
    found = attention(torch.randn(2, 4), torch.randn(1, 4), one, one)
    assert found[1].tolist() == [3.0] * 4
    assert found[0].tolist() != [3.0] * 4


def test_dropout_zeroes_whole_attentions_while_training() -> None:
    torch.manual_seed(0)
    attention = EdgeAttention(8, 2, 0.5)
    torch.nn.init.eye_(attention.out.weight)
    states, each = torch.randn(50, 8), torch.arange(50)  # one edge per receiver: attention 1
    value = attention.key_value(states)[:, 8:].view(50, 2, 4)
    found = attention(states, states, each, each).view(50, 2, 4)
    is_dropped = (found == 0).all(dim=2)
    assert torch.allclose(found[~is_dropped], 2 * value[~is_dropped])
    assert 30 <= is_dropped.sum() <= 70
    whole = attention.eval()(states, states, each, each).view(50, 2, 4)
    assert torch.allclose(whole, value)
