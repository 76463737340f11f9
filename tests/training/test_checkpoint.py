"""What a checkpoint holds comes back the same; what is damaged is refused; training goes on."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig
from safetensors.torch import load, save

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import RunError, TrainingError
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.training.checkpoint import Checkpoint, Standing, pack, unpack
from dagrec_cli.training.history import History
from dagrec_cli.training.interrupt import Brake
from dagrec_cli.training.state import State

Make = Callable[..., Any]

STANDING = Standing(2, 0.5, [{"epoch": 1, "loss": 0.1}], 1, None, 0, 1)
CONTENT = pack(Checkpoint({"weight": torch.arange(6.0).reshape(2, 3)}, STANDING))


class Shelf:
    """Keeps every checkpoint as the bytes of its file, and starts from one."""

    def __init__(self, start: bytes | None = None) -> None:
        self.start = start
        self.kept: dict[int, bytes] = {}

    def load(self, state: State) -> None:
        if self.start:
            state.load(unpack(self.start))

    def save(self, checkpoint: Checkpoint) -> None:
        self.kept[checkpoint.standing.epoch] = pack(checkpoint)


def test_a_checkpoint_comes_back() -> None:
    tensors, standing = unpack(CONTENT)
    assert standing == STANDING
    assert tensors["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert isinstance(standing.rows[0]["epoch"], int)  # 1, not 1.0, in metrics.csv


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    with pytest.raises(RunError, match=r"damaged|of format"):
        unpack(bytes(damaged))


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_file_is_noticed(length: int) -> None:
    with pytest.raises(RunError, match="damaged"):
        unpack(CONTENT[:length])


@pytest.mark.parametrize("other", ["1", "3"])
def test_another_format_is_named(other: str) -> None:
    size = int.from_bytes(CONTENT[:8], "little")
    head = json.loads(CONTENT[8 : 8 + size])["__metadata__"]
    with pytest.raises(RunError, match=f"of format {other}, but this version of dagrec reads 2"):
        unpack(save(load(CONTENT), {**head, "format": other}))


def test_a_short_state_of_torch_does_not_fit(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    def train(shelf: Shelf, epochs: int) -> None:
        fit(trainer(epochs=epochs, checkpoint_every=1), gru4rec(), tiny, keeper=shelf)

    shelf = Shelf()
    train(shelf, 1)
    tensors, standing = unpack(shelf.kept[1])
    for name in ("random.torch", "random.sampler"):
        for short in (tensors[name][:3], tensors[name][:0], torch.zeros_like(tensors[name])):
            again = Shelf(pack(Checkpoint(tensors | {name: short}, standing)))
            with pytest.raises(RunError, match="does not fit this run"):
                train(again, 2)


@pytest.mark.parametrize("loss", ["ce", "bpr"])
@pytest.mark.parametrize("kind", ["full_batch", "mini_batch"])
def test_a_resumed_training_ends_in_the_same_bits(
    kind: str,
    loss: str,
    config: Callable[..., DictConfig],
    trainer: Make,
    gru4rec: Make,
    tiny: Dataset,
    fit: Make,
    weights: Make,
) -> None:
    """Dropout, samples, shuffling, moments and early stopping all go on where they were."""
    extra = {"batch_size": 4} if kind == "mini_batch" else {}
    settings = {"kind": kind, "epochs": 7, "learning_rate": 0.02, "validation_share": 0.2, **extra}
    script = [0.1, 0.4, 0.3, 0.2, 0.5, 0.5, 0.1]

    def run(shelf: Shelf, epochs: int, first: int = 0) -> tuple[torch.Tensor, History]:
        model = gru4rec(dropout_embed=0.3, dropout_hidden=0.3)
        sampler = build(config("sampler", "popularity", n_sample=3), "sampler")
        rule = (BPR(), sampler) if loss == "bpr" else (CrossEntropy(label_smoothing=0.0), None)
        values = iter(script[first:])
        history = fit(
            trainer(**{**settings, "epochs": epochs, "checkpoint_every": 2}),
            model,
            tiny,
            *rule,
            validate=lambda: {"ndcg": next(values)},
            keeper=shelf,
        )
        return weights(model), history

    whole = Shelf()
    expected, history = run(whole, 7)
    assert list(whole.kept) == [2, 4, 6, 7]
    for epoch in (2, 6):
        torch.manual_seed(123)
        shelf = Shelf(whole.kept[epoch])
        found, again = run(shelf, 7, first=epoch)
        assert torch.equal(found, expected)
        assert again.best_epoch == history.best_epoch == 5
        for one, other in zip(again.rows, history.rows, strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}
    short = Shelf()
    run(short, 4)
    longer, _ = run(Shelf(short.kept[4]), 7, first=4)  # epochs were raised
    assert torch.equal(longer, expected)


@pytest.mark.parametrize(
    "chosen",
    [
        {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine", "warmup": 0.3},
        {"optimizer": "adagrad", "weight_decay": 0.1, "schedule": "linear"},
        {"optimizer": "sgd", "momentum": 0.9, "warmup": 0.5},
        {"optimizer": "sgd"},
    ],
)
@pytest.mark.parametrize("kind", ["full_batch", "mini_batch"])
def test_every_optimizer_and_schedule_goes_on_where_it_was(
    kind: str,
    chosen: dict[str, Any],
    trainer: Make,
    gru4rec: Make,
    tiny: Dataset,
    fit: Make,
    weights: Make,
) -> None:
    extra = {"batch_size": 4} if kind == "mini_batch" else {}
    settings = {"epochs": 5, "checkpoint_every": 1, "learning_rate": 0.02, **extra, **chosen}

    def run(shelf: Shelf) -> torch.Tensor:
        model = gru4rec(dropout_embed=0.3)
        fit(trainer(kind, **settings), model, tiny, keeper=shelf)
        found: torch.Tensor = weights(model)
        return found

    whole = Shelf()
    expected = run(whole)
    for epoch in (1, 3):
        torch.manual_seed(123)
        assert torch.equal(run(Shelf(whole.kept[epoch])), expected)


def test_patience_goes_on_where_it_was(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    settings = {"epochs": 9, "validation_share": 0.2, "patience": 2, "checkpoint_every": 1}
    shelf = Shelf()
    values = iter([0.5, 0.1, 0.2, 0.9])
    fit(trainer(**settings), gru4rec(), tiny, validate=lambda: {"ndcg": next(values)}, keeper=shelf)
    assert list(shelf.kept) == [1, 2, 3]
    for epoch in (2, 3):
        values = iter([0.2, 0.9])
        history = fit(
            trainer(**settings),
            gru4rec(),
            tiny,
            validate=lambda: {"ndcg": next(values)},  # noqa: B023 - used before it changes
            keeper=Shelf(shelf.kept[epoch]),
        )
        assert (len(history.rows), history.best_epoch) == (3, 1)


def test_the_last_good_weights_outlive_an_interruption(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make, weights: Make
) -> None:
    shelf, model, good = Shelf(), gru4rec(), gru4rec()
    fit(trainer(epochs=1), good, tiny)
    fit(trainer(epochs=2), gru4rec(), tiny, keeper=shelf)

    class Fails(CrossEntropy):
        def __call__(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return super().__call__(scores, target) * torch.nan

    with pytest.raises(TrainingError, match=r"epoch 3: .* weights of epoch 1 are kept"):
        fit(
            trainer(epochs=5),
            model,
            tiny,
            Fails(label_smoothing=0.0),
            keeper=Shelf(shelf.kept[2]),
        )
    assert torch.equal(weights(model), weights(good))


def test_a_pulled_brake_keeps_the_epoch_and_stops(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    brake, shelf = Brake(), Shelf()

    def watch(row: dict[str, float]) -> None:
        brake.is_pulled = row["epoch"] == 3

    with pytest.raises(KeyboardInterrupt):
        fit(trainer(epochs=9), gru4rec(), tiny, watch=watch, brake=brake, keeper=shelf)
    assert list(shelf.kept) == [3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_dim": 5}, "size mismatch for embedding.weight"),
        ({"num_layers": 2}, "Missing key"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make, change: dict[str, int], message: str
) -> None:
    shelf = Shelf()
    fit(trainer(epochs=1), gru4rec(), tiny, keeper=shelf)
    with pytest.raises(RunError, match=f"does not fit this run .*{message}"):
        fit(trainer(epochs=2), gru4rec(**change), tiny, keeper=Shelf(shelf.kept[1]))


@pytest.mark.parametrize("name", ["optimizer.0.exp_avg", "random.torch", "random.sampler"])
def test_a_tensor_of_another_shape_is_refused(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make, name: str
) -> None:
    shelf = Shelf()
    fit(trainer(epochs=1), gru4rec(), tiny, keeper=shelf)
    tensors, standing = unpack(shelf.kept[1])
    forged = pack(Checkpoint({**tensors, name: tensors[name][:1].clone()}, standing))
    with pytest.raises(RunError, match="does not fit this run"):
        fit(trainer(epochs=2), gru4rec(), tiny, keeper=Shelf(forged))
