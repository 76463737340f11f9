"""The hand-written gradient, against torch's own of the same sum written plainly."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dagrec_cli.models.layers.segment_attention import SegmentAttention

# query, key_value, keep, source, target, place, number of places
Case = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, int]
HEADS = 2
HIDDEN = 6
RECEIVERS = torch.tensor([2, 0, 4, 1])  # of each place; nothing ends at the second


def drawn(places: list[int], dtype: torch.dtype, size: float = 1.0) -> Case:
    torch.manual_seed(0)
    place = torch.tensor(places)
    query = (size * torch.randn(5, HIDDEN, dtype=dtype)).requires_grad_()
    key_value = torch.randn(7, 2 * HIDDEN, dtype=dtype).requires_grad_()
    keep = 2 * (torch.rand(len(place), HEADS) < 0.5).to(dtype)
    source = torch.randint(7, place.shape)
    return query, key_value, keep, source, RECEIVERS[place], place, len(RECEIVERS)


def attend(*case: Tensor | int) -> Tensor:
    found: Tensor = SegmentAttention.apply(*case)  # type: ignore[no-untyped-call]
    return found


def attend_plainly(
    query: Tensor,
    key_value: Tensor,
    keep: Tensor,
    source: Tensor,
    target: Tensor,
    place: Tensor,
    n_places: int,
) -> Tensor:
    rows = []
    for k in range(n_places):
        is_here = place == k
        asked = query[target[is_here]].view(-1, HEADS, HIDDEN // HEADS)
        key, value = key_value[source[is_here]].view(-1, 2, HEADS, HIDDEN // HEADS).unbind(1)
        attention = (asked * key).sum(dim=2).softmax(dim=0) * keep[is_here]
        rows.append((attention[:, :, None] * value).sum(dim=0).flatten())
    return torch.stack(rows)


def results(way: Callable[..., Tensor], case: Case) -> list[Tensor]:
    """The sums and the gradients of a function of them that is not linear."""
    found = way(*case)
    return [found, *torch.autograd.grad((found * found.sin()).sum(), case[:2])]


PLACES = [[3, 0, 3, 2, 0, 3, 0, 3], [2]]


@pytest.mark.parametrize("places", PLACES)
def test_gradients_are_those_of_small_differences(places: list[int]) -> None:
    assert torch.autograd.gradcheck(attend, drawn(places, torch.float64))


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_equals_the_plain_way(places: list[int], size: float) -> None:
    case = drawn(places, torch.float64, size)
    for found, expected in zip(results(attend, case), results(attend_plainly, case), strict=True):
        assert found.isfinite().all()
        assert torch.allclose(found, expected, atol=1e-6)


def test_scores_far_below_those_of_another_place() -> None:
    query = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    key_value = torch.tensor([[1.0, 3.0], [1.0, 5.0]], requires_grad=True)
    source, target = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    found = attend(query, key_value, torch.ones(4, 1), source, target, target, 2)
    assert found.tolist() == [[4.0], [4.0]]  # two equal attentions each
    found[0].sum().backward()  # type: ignore[no-untyped-call]
    assert query.grad is not None
    assert key_value.grad is not None
    assert query.grad.tolist() == [[0.0], [0.0]]
    assert key_value.grad.tolist() == [[-5e3, 0.5], [5e3, 0.5]]  # 1e4 * 1/2 * (3 - 4), ...


def test_brain_floats_give_gradients_of_their_own_kind() -> None:
    case = drawn(PLACES[0], torch.float32)
    expected = results(attend_plainly, case)
    halved = (*(each.detach().bfloat16().requires_grad_() for each in case[:2]), *case[2:])
    with torch.autocast("cpu", torch.bfloat16):
        found = results(attend, halved)  # type: ignore[arg-type]
    assert [each.dtype for each in found[1:]] == [torch.bfloat16] * 2
    for each, wanted in zip(found, expected, strict=True):
        assert torch.allclose(each.float(), wanted, atol=0.05)
