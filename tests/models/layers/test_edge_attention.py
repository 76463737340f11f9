import torch

from dagrec_cli.models.layers.edge_attention import EdgeAttention


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
