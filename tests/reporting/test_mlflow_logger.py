"""What an MLflow store holds after each thing that a run can do."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.reporting.loggers import mlflow as mlflow_logger
from dagrec_cli.reporting.provenance import Request
from dagrec_cli.reporting.run_folder import RunFolder

pytest.importorskip("mlflow", reason="logger=mlflow needs its extra")
pytest.importorskip("sqlalchemy", reason="logger=mlflow needs its extra")

SETTINGS = OmegaConf.create({"trainer": {"epochs": 5}, "many": {f"k{k}": k for k in range(250)}})
ROWS = [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in range(1, 6)]
FINISHED = {"status": "finished", "metrics": {}, "per_seed": {}}
FAILED = {"status": "failed", "error": "the loss is nan"}
INTERRUPTED = {"status": "interrupted", "error": "by hand"}

Begin = Callable[..., Any]


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture
def begin(config: Callable[..., DictConfig], store: Path, tmp_path: Path) -> Begin:
    """A function of a run folder's name and of a sweep: a logger that has begun."""

    def begin(name: str = "run", sweep: Path | None = None) -> Any:
        logger = build(config("logger", "mlflow", store=str(store)), "logger")
        request = Request({"model": "gru4rec"}, ["a=1"], str(sweep) if sweep else None)
        logger.begin(RunFolder(tmp_path / name), SETTINGS, request)
        return logger

    return begin


def runs_of(store: Path) -> dict[str, Any]:
    client = mlflow_logger._connect(store)
    experiment = client.get_experiment_by_name("dagrec").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


def steps_of(store: Path, run: Any, name: str) -> list[int]:
    history = mlflow_logger._connect(store).get_metric_history(run.info.run_id, name)
    return [metric.step for metric in history]


def test_every_setting_is_a_param(begin: Begin, store: Path) -> None:
    begin()
    (run,) = runs_of(store).values()
    assert run.info.status == "RUNNING"
    assert run.data.params == {
        "model": "gru4rec",
        "trainer.epochs": "5",
        **{f"many.k{k}": str(k) for k in range(250)},
    }
    assert run.data.tags["mlflow.source.name"] == "dagrec train a=1"


def test_epochs_can_be_seen_while_the_run_trains(
    begin: Begin, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = begin()
    monkeypatch.setattr(mlflow_logger, "SECONDS", 1e9)
    logger.epochs(3, ROWS[:1])
    assert steps_of(store, runs_of(store)["run"], "seed_3/loss") == []
    monkeypatch.setattr(mlflow_logger, "SECONDS", 0.0)
    logger.epochs(3, ROWS[:3])
    run = runs_of(store)["run"]
    assert steps_of(store, run, "seed_3/loss") == [1, 2, 3]
    assert run.data.metrics["seed_3/loss"] == ROWS[2]["loss"]


def test_more_epochs_than_a_batch_holds(begin: Begin, store: Path) -> None:
    logger = begin()
    logger.epochs(0, [{"epoch": epoch, "loss": 1.0} for epoch in range(1, 1501)])
    logger.end(FINISHED)
    assert steps_of(store, runs_of(store)["run"], "seed_0/loss") == list(range(1, 1501))


def test_a_resumed_run_has_every_epoch_once(begin: Begin, store: Path) -> None:
    first = begin()
    first.epochs(0, ROWS[:4])
    first.end(INTERRUPTED)
    second = begin()  # from the checkpoint of epoch 2
    assert runs_of(store)["run"].info.status == "RUNNING"
    for n in (3, 4, 5):
        second.epochs(0, ROWS[:n])
    second.end(FINISHED)
    (run,) = runs_of(store).values()
    assert steps_of(store, run, "seed_0/loss") == [1, 2, 3, 4, 5]
    assert (run.info.status, run.data.tags.get("error")) == ("FINISHED", None)


def test_a_run_that_the_store_does_not_have_is_made_anew(
    begin: Begin, store: Path, tmp_path: Path
) -> None:
    begin().end(FINISHED)
    named = (tmp_path / "run/mlflow_run.txt").read_text().strip()
    mlflow_logger._connect(store).delete_run(named)
    begin().end(FINISHED)
    (run,) = runs_of(store).values()
    assert run.info.run_id == (tmp_path / "run/mlflow_run.txt").read_text().strip() != named


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([FINISHED, FINISHED], "FINISHED"),
        ([FINISHED, FAILED], "FAILED"),
        ([FAILED, INTERRUPTED], "KILLED"),
        ([FINISHED, None], "RUNNING"),
    ],
)
def test_a_parent_is_as_well_as_its_jobs(
    begin: Begin, store: Path, tmp_path: Path, results: list[Any], status: str
) -> None:
    jobs = [begin(f"sweep/{k}", tmp_path / "sweep") for k in range(len(results))]
    for job, result in zip(jobs, results, strict=True):
        if result:
            job.end(result)
    assert runs_of(store)["sweep"].info.status == status


def test_jobs_that_begin_at_once_have_one_parent(begin: Begin, store: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: begin(f"sweep/{k}", tmp_path / "sweep"), range(4)))
    runs = runs_of(store)
    parent = runs.pop("sweep").info.run_id
    assert len(runs) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent}
