from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dagrec_cli.models.layers import node_graph
from dagrec_cli.models.layers.edge_attention import EdgeAttention, segment_softmax
from dagrec_cli.models.layers.node_graph import EdgeList


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


@pytest.fixture
def edges_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor, Tensor, bool], EdgeList]:
    """A function of source, target, and whether the edges are a table."""

    def made(source: Tensor, target: Tensor, is_table: bool) -> EdgeList:
        monkeypatch.setattr(node_graph, "SMALL_CLOSURE", 1e9 if is_table else 0)
        monkeypatch.setattr(node_graph, "CELLS_PER_EDGE", 0)
        edges = EdgeList(source, target)
        assert (edges.closed is not None) == is_table
        return edges

    return made


def test_a_table_and_a_list_give_the_same(
    edges_of: Callable[[Tensor, Tensor, bool], EdgeList],
) -> None:
    torch.manual_seed(0)
    source, target = torch.tensor([3, 0, 1, 2, 4, 4, 1]), torch.tensor([0, 0, 1, 1, 1, 2, 2])
    attention = EdgeAttention(8, 2, 0.0).double()
    found = []
    for is_table in (False, True):
        torch.manual_seed(1)
        receivers, senders = (
            (9 * torch.randn(n, 8, dtype=torch.float64)).requires_grad_() for n in (3, 5)
        )
        out = attention(receivers, senders, edges_of(source, target, is_table).double())
        learned = [receivers, senders, *attention.parameters()]
        weight = torch.randn_like(out)
        found.append([out, *torch.autograd.grad((weight * out).sum(), learned)])
    for by_list, by_table in zip(*found, strict=True):
        assert by_list.abs().max() > 0.01
        assert torch.allclose(by_list, by_table, rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_table", [False, True])
def test_dropout_zeroes_whole_attentions_while_training(
    is_table: bool, edges_of: Callable[[Tensor, Tensor, bool], EdgeList]
) -> None:
    torch.manual_seed(0)
    attention = EdgeAttention(8, 2, 0.5)
    torch.nn.init.eye_(attention.out.weight)
    states, each = torch.randn(50, 8), torch.arange(50)  # one edge per receiver: attention 1
    edges = edges_of(each, each, is_table)
    value = attention.key_value(states)[:, 8:].view(50, 2, 4)
    found = attention(states, states, edges).view(50, 2, 4)
    is_dropped = (found == 0).all(dim=2)
    assert torch.allclose(found[~is_dropped], 2 * value[~is_dropped])
    assert 30 <= is_dropped.sum() <= 70
    whole = attention.eval()(states, states, edges).view(50, 2, 4)
    assert torch.allclose(whole, value)
