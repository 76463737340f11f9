"""The loss of a batch: scores within the mask alone give what all scores give."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Generator, Tensor

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.layers import dag_mask, scoring_head
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.step import BatchLoss


def lists_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dag_mask, "SMALL_TABLE", 0)
    patch.setattr(dag_mask, "DENSE_PER_CHOICE", 0)
    patch.setattr(scoring_head, "DENSE_PER_CANDIDATE", 0)


def value_and_gradients(model: TorchModel, batch: Batch, smoothing: float) -> list[Tensor]:
    model.zero_grad()
    loss = CrossEntropy(label_smoothing=smoothing)
    value = BatchLoss(model, loss, NoSampler(), Generator())(batch)
    value.backward()  # type: ignore[no-untyped-call]
    return [value.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("distinct", [True, False])
def test_lists_give_the_numbers_of_the_table(
    config: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
    tiny: Dataset,
    smoothing: float,
    tied: bool,
    distinct: bool,
) -> None:
    """Also after nodes of which the graph, of half of the pairs, knows no successor."""
    rows = np.arange(len(tiny.pairs.context))
    facts = Facts(tiny.vocabulary, tiny.graph(rows[: len(rows) // 2]), tiny.followed)
    settings = {"tie_weights": tied, "embedding_dim": 8, "hidden": 8}
    torch.manual_seed(0)
    model: TorchModel = build(config("model", "gru4rec", **settings), "model", facts).eval()
    torch.nn.init.normal_(model.head.bias)
    whole = TrainingPairs.of(tiny, rows, model.hard_mask, distinct=distinct).whole
    assert whole.choices is not None
    is_valid = ~whole.choices.forbidden[whole.row, whole.target]
    row, target, weight = (each[is_valid] for each in (whole.row, whole.target, whole.weight))
    batch = whole._replace(row=row, target=target, weight=weight)
    assert not whole.choices.size.all()

    dense = value_and_gradients(model, batch, smoothing)
    lists_only(monkeypatch)
    batch = batch._replace(choices=model.hard_mask.choices(batch.contexts.last))  # type: ignore[union-attr]
    listed = value_and_gradients(model, batch, smoothing)
    for one, other in zip(dense, listed, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_forbidden_target_costs_infinitely_much(
    config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tiny: Dataset
) -> None:
    """So that training stops instead of learning another service in its place."""
    facts = Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
    model: TorchModel = build(config("model", "gru4rec"), "model", facts)
    lists_only(monkeypatch)
    batch = TrainingPairs.of(tiny, np.arange(4), model.hard_mask, distinct=True).whole
    assert batch.choices is not None
    batch.target[0] = batch.choices.forbidden[batch.row[0]].nonzero()[0]
    loss = CrossEntropy(label_smoothing=0.0)
    assert BatchLoss(model, loss, NoSampler(), Generator())(batch).isinf()


def test_a_batch_adds_its_share_of_the_weighted_mean(
    config: Callable[..., DictConfig], tiny: Dataset
) -> None:
    """Of three rows of some, whose weights are how often they occur: by the weight of all."""
    facts = Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
    model: TorchModel = build(config("model", "gru4rec", mask="none"), "model", facts).eval()
    whole = TrainingPairs.of(tiny, np.arange(len(tiny.pairs.context)), None, distinct=True).whole
    some = whole.weight.argsort(descending=True)[[0, 1, -1]]
    row, target, weight = (each[some] for each in (whole.row, whole.target, whole.weight))
    assert weight[0] > weight[2] == 1
    batch = whole._replace(row=row, target=target, weight=weight)
    chance = model(batch.contexts).softmax(1)[row, target]
    expected = -(weight * chance.log()).sum() / len(tiny.pairs.context)
    found = value_and_gradients(model, batch, smoothing=0.0)[0]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
