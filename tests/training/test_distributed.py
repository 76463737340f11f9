"""Two processes train as one does, and none is left behind."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.training import distributed
from dagrec_cli.training.interrupt import Brake

pytest.importorskip("lightning_fabric", reason="needs the extra fabric")

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("batch_size", "accumulate"),
    [
        pytest.param(5, 1, marks=pytest.mark.slow),  # shares of 3 and 2 contexts
        (13, 1),  # the second step has one context, and so the second process none
        pytest.param(3, 2, marks=pytest.mark.slow),  # steps of 3 and 3 contexts
    ],
)
def test_two_processes_give_the_model_of_one(
    trainer: Make,
    gru4rec: Make,
    tiny: Dataset,
    fit: Make,
    weights: Make,
    batch_size: int,
    accumulate: int,
) -> None:
    assert len(set(tiny.pairs.context.tolist())) == 14
    settings = {"batch_size": batch_size, "epochs": 5, "learning_rate": 0.01}
    models, histories = [], []
    for kind in ("distributed", "mini_batch"):
        models.append(gru4rec(dag_mask=True))
        asked = trainer(kind, accumulate=accumulate, **settings)
        histories.append([row["loss"] for row in fit(asked, models[-1], tiny).rows])
    one, other = map(weights, models)
    assert torch.allclose(one, other, atol=1e-4)
    assert not torch.allclose(one, weights(gru4rec(dag_mask=True)), atol=1e-2)
    assert histories[0] == pytest.approx(histories[1], abs=1e-5)
    check_nothing_is_left()


def check_nothing_is_left() -> None:
    assert multiprocessing.active_children() == []
    assert not torch.distributed.is_initialized()
    assert not {"MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "LOCAL_RANK"} & set(os.environ)


def test_a_process_that_dies_takes_the_others_down(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    seen = []

    def watch(row: dict[str, float]) -> None:
        seen.append(row["epoch"])
        if len(seen) == 2:
            multiprocessing.active_children()[0].kill()

    told = r"training process 1 died \(exit code -9\) and the others were stopped"
    with pytest.raises(TrainingError, match=told):
        fit(trainer("distributed", epochs=99), gru4rec(), tiny, watch=watch)
    assert seen == [1, 2]
    check_nothing_is_left()


@pytest.mark.slow
def test_a_pulled_brake_stops_all(trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make) -> None:
    brake = Brake()
    brake.is_pulled = True
    with pytest.raises(KeyboardInterrupt):
        fit(trainer("distributed", epochs=99), gru4rec(), tiny, brake=brake)
    check_nothing_is_left()


def test_without_lightning_fabric_it_says_how_to_install_it(trainer: Make) -> None:
    with (
        patch.object(distributed, "find_spec", lambda name: None),
        pytest.raises(ConfigError, match=r"Lightning Fabric; .* pip install .* '\.\[fabric\]'"),
    ):
        trainer("distributed")


def test_one_process_is_too_few(trainer: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"trainer\.processes is 1; use a whole number of 2 or more"
    ):
        trainer("distributed", processes=1)
