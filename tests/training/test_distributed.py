"""Two processes train as one does, and none is left behind."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError, TrainingError

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
    settings = {"batch_size": batch_size, "accumulate": accumulate, "learning_rate": 0.01}
    patient = {"validation_share": 0.2, "patience": 2, "patience_steps": 0, "epochs": 9}
    models, histories = [], []
    for kind in ("distributed", "mini_batch"):
        models.append(gru4rec(mask="hard"))
        values = iter([0.1, 0.5, 0.3, 0.4])  # the second epoch's weights are kept
        history = fit(
            trainer(kind, **settings, **patient),
            models[-1],
            tiny,
            validate=lambda: {"ndcg": next(values)},  # noqa: B023 - used before it changes
        )
        histories.append([row["loss"] for row in history.rows])
        assert history.best_epoch == 2
    one, other = map(weights, models)
    assert torch.allclose(one, other, rtol=0, atol=1e-6)
    assert not torch.allclose(one, weights(gru4rec(mask="hard")), atol=1e-2)
    assert histories[0] == pytest.approx(histories[1], abs=1e-6)
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
def test_a_request_to_stop_stops_all(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(trainer("distributed", epochs=99), gru4rec(), tiny, stop_after=1)
    check_nothing_is_left()


def test_one_process_is_too_few(trainer: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"trainer\.processes is 1; use a whole number of 2 or more"
    ):
        trainer("distributed", processes=1)
