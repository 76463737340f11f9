from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Generator, Tensor, nn

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import CatalogueLoss
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.contexts import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import Batch
from dagrec_cli.training.full_batch import FullBatch
from dagrec_cli.training.history import History
from dagrec_cli.training.step import batch_loss

CROSS_ENTROPY = CrossEntropy(label_smoothing=0.0)

Trainer = Callable[..., FullBatch]
Make = Callable[..., GRU4Rec]


class Normalised(TorchModel):
    """Batch-normalised embeddings of last nodes: running statistics are buffers."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts, hidden=4, dag_mask=False)
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


@pytest.fixture
def facts(tiny: Dataset) -> Facts:
    return Facts(tiny.vocabulary, tiny.graph(), int(tiny.contexts.depth.max()))


@pytest.fixture
def gru4rec(facts: Facts, config: Callable[..., DictConfig]) -> Make:
    """A function of the mask: a small GRU4Rec without dropout, always with the same weights."""

    def made(*, dag_mask: bool = False) -> GRU4Rec:
        torch.manual_seed(0)
        small = {"embedding_dim": 4, "hidden": 8, "num_layers": 1}
        still = {"dropout_embed": 0.0, "dropout_hidden": 0.0}
        node = config("model", "gru4rec", dag_mask=dag_mask, **small, **still)
        model: GRU4Rec = build(node, "model", facts)
        return model

    return made


@pytest.fixture
def trainer(config: Callable[..., DictConfig]) -> Trainer:
    def made(**settings: object) -> FullBatch:
        built: FullBatch = build(config("trainer", "full_batch", **settings), "trainer")
        return built

    return made


def batch_of(dataset: Dataset, model: TorchModel, *, distinct: bool = True) -> Batch:
    rows = np.arange(len(dataset.pairs.context))
    return Batch.of(dataset, rows, model.mask, distinct=distinct)


def fit(
    trainer: FullBatch,
    model: TorchModel,
    dataset: Dataset,
    loss: CatalogueLoss | None = None,
    **options: Any,
) -> History:
    history = History()
    batch = batch_of(dataset, model)
    loss = loss or CROSS_ENTROPY
    trainer.fit(model, loss, NoSampler(), batch, history, generator=Generator(), **options)
    return history


def weights(model: nn.Module) -> Tensor:
    return torch.cat([w.flatten() for w in model.state_dict().values()])


def gradients(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def scripted(*values: float) -> Callable[[], dict[str, float]]:
    script: Iterator[float] = iter(values)
    return lambda: {"ndcg": next(script)}


def test_two_steps_at_learning_rate_0_give_equal_gradients(
    trainer: Trainer, gru4rec: Make, tiny: Dataset
) -> None:
    model = gru4rec()
    before, found = weights(model), []
    still = trainer(epochs=2, learning_rate=0.0, gradient_clip=1e9)  # a clip would hide a sum
    fit(still, model, tiny, watch=lambda _: found.append(gradients(model)))
    assert found[0].norm() > 0
    assert torch.equal(*found)
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("dag_mask", [False, True])
def test_weighted_distinct_rows_equal_repeated_rows(
    gru4rec: Make, tiny: Dataset, dag_mask: bool
) -> None:
    losses, found = [], []
    for distinct in (True, False):
        model = gru4rec(dag_mask=dag_mask)
        batch = batch_of(tiny, model, distinct=distinct)
        loss = batch_loss(model, CROSS_ENTROPY, NoSampler(), batch, Generator())
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        found.append(gradients(model))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert found[0].norm() > 0.01
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_the_loss_is_the_mean_over_pairs_of_masked_scores(
    facts: Facts, gru4rec: Make, tiny: Dataset
) -> None:
    model = gru4rec(dag_mask=True)
    batch = batch_of(tiny, model)
    found = batch_loss(model, CROSS_ENTROPY, NoSampler(), batch, Generator())
    expected = []
    for context, target in zip(tiny.pairs.context, tiny.pairs.target, strict=True):
        one = Contexts.of(tiny.contexts, np.array([context], np.int32))
        allowed = tiny.graph().allowed(one.last.tolist(), facts.n_services)[0]
        chances = model(one)[0].exp() * torch.from_numpy(allowed)
        expected.append(-(chances[target] / chances.sum()).log().item())
    assert found.item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_it_learns(trainer: Trainer, facts: Facts, gru4rec: Make, tiny: Dataset) -> None:
    history = fit(trainer(epochs=80, learning_rate=0.02), gru4rec(), tiny)
    losses = [row["loss"] for row in history.rows]
    assert losses[0] == pytest.approx(np.log(facts.n_services), abs=0.3)
    shares = np.bincount(tiny.pairs.target) / len(tiny.pairs.target)
    assert losses[-1] < 0.6 * -(shares * np.log(shares)).sum()  # knowing popularities only
    assert [row["epoch"] for row in history.rows] == list(range(1, 81))
    assert history.best_epoch == 80
    assert history.seconds_per_epoch > 0


def test_gradients_are_clipped(trainer: Trainer, gru4rec: Make, tiny: Dataset) -> None:
    norms: list[float] = []
    model = gru4rec()
    clipped = trainer(epochs=2, gradient_clip=0.01)
    fit(clipped, model, tiny, watch=lambda _: norms.append(gradients(model).norm().item()))
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


@pytest.mark.parametrize("is_gradient", [False, True])
def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(
    trainer: Trainer, gru4rec: Make, tiny: Dataset, is_gradient: bool
) -> None:
    model, good, history = gru4rec(), gru4rec(), History()
    fit(trainer(epochs=1), good, tiny)
    with pytest.raises(TrainingError, match=r"epoch 3: .* weights of epoch 1 are kept"):
        trainer(epochs=9).fit(
            model,
            FailsAt(3, is_gradient=is_gradient),
            NoSampler(),
            batch_of(tiny, model),
            history,
            generator=Generator(),
        )
    assert torch.equal(weights(model), weights(good))
    assert [row["epoch"] for row in history.rows] == [1, 2]
    assert history.best_epoch == 1


def test_early_stopping_keeps_the_best_weights(
    trainer: Trainer, facts: Facts, tiny: Dataset
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


def test_without_patience_all_epochs_run_and_the_best_is_kept(
    trainer: Trainer, gru4rec: Make, tiny: Dataset
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
        ({"gradient_clip": 0.0}, "trainer.gradient_clip is 0.0"),
        ({"validation_share": 1.0}, "trainer.validation_share is 1.0"),
        ({"validate_every": 0}, "trainer.validate_every is 0"),
        ({"patience": -1}, "trainer.patience is -1"),
        ({"patience": 3}, "trainer.patience needs validation pairs"),
    ],
)
def test_settings_out_of_range(trainer: Trainer, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer(**setting)
