from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.training import hardware
from dagrec_cli.training.hardware import find_device

Make = Callable[..., Any]
MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "n_devices", "found"),
    [
        ("cpu", 0, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 1, "cuda"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_the_device_of_a_name(name: str, n_devices: int, found: str) -> None:
    with (
        patch.object(torch.cuda, "is_available", lambda: n_devices > 0),
        patch.object(torch.cuda, "device_count", lambda: n_devices),
    ):
        assert str(find_device(name)) == found


@pytest.mark.parametrize(
    ("name", "n_devices", "message"),
    [
        ("cuda", 0, "trainer.device is 'cuda' but torch finds 0 CUDA devices here; use trainer.d"),
        ("cuda:2", 2, "trainer.device is 'cuda:2' but torch finds 2 CUDA devices"),
        ("gpu", 1, "trainer.device is 'gpu'; use auto, cpu, cuda, or cuda:1"),
        ("cuda:x", 1, "trainer.device is 'cuda:x'; use auto"),
        (0, 1, "trainer.device is 0; use auto"),
    ],
)
def test_an_absent_device_fails_loudly(name: object, n_devices: int, message: str) -> None:
    with (
        patch.object(torch.cuda, "device_count", lambda: n_devices),
        pytest.raises(ConfigError, match=message),
    ):
        find_device(name)


def test_an_unknown_precision(trainer: Make) -> None:
    with pytest.raises(ConfigError, match=r"trainer.precision is 16; use one of 32, bf16"):
        trainer(precision=16)


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_trains_every_model_nearly_alike(
    name: str, config: Callable[..., DictConfig], trainer: Make, fit: Make, tiny: Dataset
) -> None:
    facts = Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
    losses = []
    for precision in (32, "bf16"):
        torch.manual_seed(0)
        still = {k: 0.0 for k in map(str, config("model", name)) if k.startswith("dropout")}
        model = build(config("model", name, **still), "model", facts)
        if not isinstance(model, TorchModel):
            pytest.skip("counts, and has no precision")
        history = fit(trainer(precision=precision, epochs=3, learning_rate=0.01), model, tiny)
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        losses.append([row["loss"] for row in history.rows])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.06)


def test_bfloat16_trains_with_samples(
    config: Callable[..., DictConfig], trainer: Make, gru4rec: Make, fit: Make, tiny: Dataset
) -> None:
    losses = []
    for precision in (32, "bf16"):
        sampler = build(config("sampler", "popularity", n_sample=4), "sampler")
        history = fit(trainer(precision=precision, epochs=3), gru4rec(), tiny, BPR(), sampler)
        losses.append(np.array([row["loss"] for row in history.rows]))
    assert (losses[0] != losses[1]).any()
    assert losses[0] == pytest.approx(losses[1], rel=0.06)


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_small_data_gets_one_thread(tiny: Dataset) -> None:
    assert hardware.set_threads("auto", tiny) == 1


@pytest.mark.usefixtures("_two_threads")
def test_large_data_gets_all_cores_also_after_small_data(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "ALL_THREADS", 2)
    hardware.set_threads("auto", tiny)
    monkeypatch.setattr(hardware, "SMALL_EPOCH", 1)
    assert hardware.set_threads("auto", tiny) == torch.get_num_threads() == 2


@pytest.mark.usefixtures("_two_threads")
def test_a_number_is_taken_as_it_is(tiny: Dataset) -> None:
    assert hardware.set_threads(2, tiny) == torch.get_num_threads() == 2
