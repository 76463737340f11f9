"""What a checkpoint holds comes back the same; what is damaged is refused; training continues."""

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
from dagrec_cli.training.checkpoint import Checkpoint, Header, pack_checkpoint, unpack_checkpoint
from dagrec_cli.training.state import History

Make = Callable[..., Any]

HEADER = Header(2, 0.5, [{"epoch": 1, "loss": 0.1}], 1, None, 0, 0, 1)
CONTENT = pack_checkpoint(Checkpoint({"weight": torch.arange(6.0).reshape(2, 3)}, HEADER))


def test_a_checkpoint_comes_back() -> None:
    tensors, header = unpack_checkpoint(CONTENT)
    assert header == HEADER
    assert tensors["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert isinstance(header.rows[0]["epoch"], int)  # 1, not 1.0, in metrics.csv


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    with pytest.raises(RunError, match=r"damaged|of format"):
        unpack_checkpoint(bytes(damaged))


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_file_is_noticed(length: int) -> None:
    with pytest.raises(RunError, match="damaged"):
        unpack_checkpoint(CONTENT[:length])


@pytest.mark.parametrize("other", ["1", "4"])
def test_another_format_is_named(other: str) -> None:
    size = int.from_bytes(CONTENT[:8], "little")
    head = json.loads(CONTENT[8 : 8 + size])["__metadata__"]
    with pytest.raises(RunError, match=f"of format {other}, but this version of dagrec reads 3"):
        unpack_checkpoint(save(load(CONTENT), {**head, "format": other}))


def test_a_tensor_of_another_shape_and_no_state_of_torch_do_not_fit(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    saved: dict[int, bytes] = {}
    fit(trainer(epochs=1), gru4rec(), tiny, saved=saved)
    tensors, header = unpack_checkpoint(saved[1])
    wrong = [("optimizer.0.exp_avg", tensors["optimizer.0.exp_avg"][:1].clone())]
    for name in ("random.torch", "random.sampler"):
        state = tensors[name]
        wrong += [(name, each) for each in (state[:3], state[:0], torch.zeros_like(state))]
    for name, tensor in wrong:
        start = pack_checkpoint(Checkpoint(tensors | {name: tensor}, header))
        with pytest.raises(RunError, match="does not fit this run"):
            fit(trainer(epochs=2), gru4rec(), tiny, start=start)


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

    def run(epochs: int, first: int = 0, **files: Any) -> tuple[torch.Tensor, History]:
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
            **files,
        )
        return weights(model), history

    whole: dict[int, bytes] = {}
    expected, history = run(7, saved=whole)
    assert list(whole) == [2, 4, 6, 7]
    for epoch in (2, 6):
        torch.manual_seed(123)
        found, again = run(7, first=epoch, start=whole[epoch])
        assert torch.equal(found, expected)
        assert again.best_epoch == history.best_epoch == 5
        for one, other in zip(again.rows, history.rows, strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}
    short: dict[int, bytes] = {}
    run(4, saved=short)
    longer, _ = run(7, first=4, start=short[4])  # epochs were raised
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

    def run(**files: Any) -> torch.Tensor:
        model = gru4rec(dropout_embed=0.3)
        fit(trainer(kind, **settings), model, tiny, **files)
        found: torch.Tensor = weights(model)
        return found

    whole: dict[int, bytes] = {}
    expected = run(saved=whole)
    for epoch in (1, 3):
        torch.manual_seed(123)
        assert torch.equal(run(start=whole[epoch]), expected)


def test_patience_goes_on_where_it_was(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    patient = {"validation_share": 0.2, "patience": 2, "patience_steps": 2}
    settings = {"epochs": 9, "checkpoint_every": 1, **patient}
    saved: dict[int, bytes] = {}
    values = iter([0.5, 0.1, 0.2, 0.9])
    fit(trainer(**settings), gru4rec(), tiny, validate=lambda: {"ndcg": next(values)}, saved=saved)
    assert list(saved) == [1, 2, 3]
    for epoch in (2, 3):
        values = iter([0.2, 0.9])
        history = fit(
            trainer(**settings),
            gru4rec(),
            tiny,
            validate=lambda: {"ndcg": next(values)},  # noqa: B023 - used before it changes
            start=saved[epoch],
        )
        assert (len(history.rows), history.best_epoch) == (3, 1)


def test_the_last_good_weights_outlive_an_interruption(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make, weights: Make
) -> None:
    saved: dict[int, bytes] = {}
    model, good = gru4rec(), gru4rec()
    fit(trainer(epochs=1), good, tiny)
    fit(trainer(epochs=2), gru4rec(), tiny, saved=saved)

    class Fails(CrossEntropy):
        def __call__(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return super().__call__(scores, target) * torch.nan

    with pytest.raises(TrainingError, match=r"epoch 3: .* weights of epoch 1 are kept"):
        fit(
            trainer(epochs=5),
            model,
            tiny,
            Fails(label_smoothing=0.0),
            start=saved[2],
        )
    assert torch.equal(weights(model), weights(good))


def test_a_request_to_stop_saves_the_epoch_and_stops(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    saved: dict[int, bytes] = {}
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(epochs=9), gru4rec(), tiny, stop_after=3, saved=saved)
    assert list(saved) == [3]


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
    saved: dict[int, bytes] = {}
    fit(trainer(epochs=1), gru4rec(), tiny, saved=saved)
    with pytest.raises(RunError, match=f"does not fit this run .*{message}"):
        fit(trainer(epochs=2), gru4rec(**change), tiny, start=saved[1])
