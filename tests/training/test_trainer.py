from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import CatalogueLoss
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.state import History
from dagrec_cli.training.step import BatchLoss
from dagrec_cli.training.trainer import Trainer

CROSS_ENTROPY = CrossEntropy(label_smoothing=0.0)

Make = Callable[..., GRU4Rec]
MakeTrainer = Callable[..., Trainer]
Fit = Callable[..., History]
Flat = Callable[[nn.Module], Tensor]


class Normalised(TorchModel):
    """Batch-normalised embeddings of last nodes: running statistics are buffers."""

    def __init__(self, facts: Facts) -> None:
        drops = {"edge_dropout": 0.0, "node_dropout": 0.0, "owner_dropout": 0.0}
        super().__init__(facts, hidden=4, mask="none", owner="none", **drops)
        self.embedding = nn.Embedding(facts.n_nodes + 1, 4)
        self.norm = nn.BatchNorm1d(4)

    def encode(self, contexts: Contexts) -> Tensor:
        states: Tensor = self.norm(self.embedding(contexts.last))
        return states


class FailsAt(CatalogueLoss):
    """Cross-entropy until one call, whose loss or gradient is not finite."""

    def __init__(self, call: int, *, is_gradient: bool) -> None:
        self.left = call
        self.is_gradient = is_gradient

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        self.left -= 1
        loss = CROSS_ENTROPY(scores, target)
        if self.left:
            return loss
        return loss + (0 * loss).sqrt() if self.is_gradient else loss * torch.inf


def batch_of(dataset: Dataset, model: TorchModel, *, distinct: bool = True) -> Batch:
    rows = np.arange(len(dataset.pairs.context))
    return TrainingPairs.of(dataset, rows, model.hard_mask, distinct=distinct).whole


def scripted(*values: float) -> Callable[[], dict[str, float]]:
    script: Iterator[float] = iter(values)
    return lambda: {"ndcg": next(script)}


def test_two_steps_at_learning_rate_0_give_equal_gradients(
    trainer: MakeTrainer, gru4rec: Make, tiny: Dataset, fit: Fit, weights: Flat, gradients: Flat
) -> None:
    model = gru4rec()
    before, found = weights(model), []
    still = trainer(epochs=2, learning_rate=0.0, gradient_clip=1e9)  # a clip would hide a sum
    fit(still, model, tiny, watch=lambda _: found.append(gradients(model)))
    assert found[0].norm() > 0
    assert torch.equal(*found)
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("mask", ["none", "hard"])
def test_weighted_distinct_rows_equal_repeated_rows(
    gru4rec: Make, tiny: Dataset, gradients: Flat, mask: str
) -> None:
    losses, found = [], []
    for distinct in (True, False):
        model = gru4rec(mask=mask)
        batch = batch_of(tiny, model, distinct=distinct)
        loss = BatchLoss(model, CROSS_ENTROPY, NoSampler(), Generator())(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        found.append(gradients(model))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert found[0].norm() > 0.01
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_the_loss_is_the_mean_over_pairs_of_masked_scores(
    facts: Facts, gru4rec: Make, tiny: Dataset
) -> None:
    model = gru4rec(mask="hard")
    batch = batch_of(tiny, model)
    found = BatchLoss(model, CROSS_ENTROPY, NoSampler(), Generator())(batch)
    expected = []
    for context, target in zip(tiny.pairs.context, tiny.pairs.target, strict=True):
        one = Contexts(tiny.contexts, np.array([context], np.int32))
        allowed = tiny.graph().allowed(one.last.tolist(), facts.n_services)[0]
        chances = model(one)[0].exp() * torch.from_numpy(allowed)
        expected.append(-(chances[target] / chances.sum()).log().item())
    assert found.item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_it_learns(
    trainer: MakeTrainer, facts: Facts, gru4rec: Make, tiny: Dataset, fit: Fit
) -> None:
    history = fit(trainer(epochs=80, learning_rate=0.02), gru4rec(), tiny)
    losses = [row["loss"] for row in history.rows]
    assert losses[0] == pytest.approx(np.log(facts.n_services), abs=0.3)
    shares = np.bincount(tiny.pairs.target) / len(tiny.pairs.target)
    assert losses[-1] < 0.6 * -(shares * np.log(shares)).sum()  # knowing popularities only
    assert [row["epoch"] for row in history.rows] == list(range(1, 81))
    assert history.best_epoch == 80
    assert all(row["seconds"] > 0 for row in history.rows)


def test_gradients_are_clipped(
    trainer: MakeTrainer, gru4rec: Make, tiny: Dataset, fit: Fit, gradients: Flat
) -> None:
    norms: list[float] = []
    model = gru4rec()
    clipped = trainer(epochs=2, gradient_clip=0.01)
    fit(clipped, model, tiny, watch=lambda _: norms.append(gradients(model).norm().item()))
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


@pytest.mark.parametrize("is_gradient", [False, True])
def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(
    trainer: MakeTrainer,
    gru4rec: Make,
    tiny: Dataset,
    fit: Fit,
    weights: Flat,
    is_gradient: bool,
) -> None:
    model, good, rows = gru4rec(), gru4rec(), []
    fit(trainer(epochs=1), good, tiny)
    fails = FailsAt(3, is_gradient=is_gradient)
    with pytest.raises(TrainingError, match=r"epoch 3: .* weights of epoch 1 are kept"):
        fit(trainer(epochs=9), model, tiny, fails, watch=rows.append)
    assert torch.equal(weights(model), weights(good))
    assert [row["epoch"] for row in rows] == [1, 2]


def test_early_stopping_keeps_the_best_weights(
    trainer: MakeTrainer, facts: Facts, tiny: Dataset, fit: Fit, weights: Flat
) -> None:
    torch.manual_seed(0)
    model, kept = Normalised(facts), []
    patient = trainer(epochs=20, validation_share=0.2, patience=2)
    history = fit(
        patient,
        model,
        tiny,
        validate=scripted(0.1, 0.5, 0.5, 0.4),
        watch=lambda _: kept.append(weights(model)),
    )
    assert history.best_epoch == 2
    assert [row["validation_ndcg"] for row in history.rows] == [0.1, 0.5, 0.5, 0.4]
    assert not torch.equal(kept[1], kept[-1])
    assert torch.equal(weights(model), kept[1])

    script = scripted(0.1, 0.5, *(0.4 for _ in range(9)))
    settings = {"batch_size": 8, "validation_share": 0.2, "patience": 2, "patience_steps": 7}
    patient = trainer("mini_batch", epochs=20, **settings)
    rows = fit(patient, model, tiny, validate=script).rows
    every = np.arange(len(tiny.pairs.context))
    pairs = TrainingPairs.of(tiny, every, None, distinct=True)
    n_steps = len(list(patient.steps(pairs, epoch=1, seed=0)))
    assert len(rows) == 2 + -(-7 // n_steps) > 4


def test_without_patience_all_epochs_run_and_the_best_is_kept(
    trainer: MakeTrainer, gru4rec: Make, tiny: Dataset, fit: Fit, weights: Flat, gradients: Flat
) -> None:
    model, kept = gru4rec(), []
    every_other = trainer(epochs=7, validation_share=0.2, validate_every=2)
    history = fit(
        every_other,
        model,
        tiny,
        validate=scripted(0.3, 0.9, 0.2),
        watch=lambda _: kept.append(weights(model)),
    )
    assert [row["epoch"] for row in history.rows if "validation_ndcg" in row] == [2, 4, 6]
    assert (len(history.rows), history.best_epoch) == (7, 4)
    assert torch.equal(weights(model), kept[3])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "trainer.epochs is 0"),
        ({"learning_rate": -1.0}, "trainer.learning_rate is -1.0"),
        ({"learning_rate": float("nan")}, "trainer.learning_rate is nan"),
        ({"optimizer": "adamW"}, "trainer.optimizer is 'adamW'; did you mean adamw?"),
        ({"weight_decay": -0.1}, "trainer.weight_decay is -0.1; use a number of 0 or more"),
        ({"momentum": 1.0}, "trainer.momentum is 1.0; use a number from 0"),
        ({"momentum": 0.9}, "trainer.momentum is 0.9 but adam has no momentum"),
        ({"schedule": "step"}, "trainer.schedule is 'step'; use one of constant, linear, cosine"),
        ({"warmup": 10}, "trainer.warmup is 10; use a number from 0"),
        ({"gradient_clip": 0.0}, "trainer.gradient_clip is 0.0"),
        ({"validation_share": 1.0}, "trainer.validation_share is 1.0"),
        ({"validate_every": 0}, "trainer.validate_every is 0"),
        ({"patience": -1}, "trainer.patience is -1"),
        ({"patience": 3}, "trainer.patience needs validation pairs"),
        ({"checkpoint_every": -1}, "trainer.checkpoint_every is -1"),
    ],
)
def test_settings_out_of_range(trainer: MakeTrainer, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer(**setting)
