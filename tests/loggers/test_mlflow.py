"""What an MLflow store holds after each thing that a run can do."""

import shutil
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.loggers import mlflow as mlflow_logger
from dagrec_cli.loggers.base import SafeLogger
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Request
from hand_made import finished_result, stopped_result

pytest.importorskip("mlflow", reason="logger=mlflow needs its extra")
pytest.importorskip("sqlalchemy", reason="logger=mlflow needs its extra")

SETTINGS = OmegaConf.create({"trainer": {"epochs": 5}, "many": {f"k{k}": k for k in range(250)}})
ROWS = [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in range(1, 6)]
FINISHED = finished_result()
FAILED = stopped_result(ValueError("the loss is nan"))
INTERRUPTED = stopped_result(KeyboardInterrupt("by hand"))

Begin = Callable[..., Any]


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture
def begin(config: Callable[..., DictConfig], store: Path, tmp_path: Path) -> Begin:
    """A function of a run folder's name and of a sweep: a logger that has begun."""

    def begin(name: str = "run", sweep: Path | None = None) -> Any:
        logger = build(config("logger", "mlflow", uri=f"sqlite:///{store}"), "logger")
        request = Request({"model": "gru4rec"}, ["a=1"], str(sweep) if sweep else None)
        logger.begin(RunFolder(tmp_path / name), SETTINGS, request)
        return logger

    return begin


def runs_of(store: Path) -> dict[str, Any]:
    client = mlflow_logger._connect(f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("dagrec").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


def steps_of(store: Path, run: Any, name: str) -> list[int]:
    history = mlflow_logger._connect(f"sqlite:///{store}").get_metric_history(run.info.run_id, name)
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
    mlflow_logger._connect(f"sqlite:///{store}").delete_run(named)
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


def silent_server() -> socket.socket:
    """A server on loopback that takes every connection and never says a word."""
    server = socket.create_server(("127.0.0.1", 0))
    server.listen(9)
    return server


@pytest.mark.parametrize("is_there", [False, True])
def test_a_server_that_does_not_answer_costs_seconds(
    config: Callable[..., DictConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_there: bool,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    for name in mlflow_logger.ENVIRONMENT.keys() - {"MLFLOW_HTTP_REQUEST_TIMEOUT"}:
        monkeypatch.delenv(name, raising=False)
    said: list[str] = []
    with closing(silent_server()) as server, SafeLogger(said.append) as safe:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        if not is_there:
            server.close()
        logger = build(config("logger", "mlflow", uri=uri), "logger")
        start = time.monotonic()
        safe.begin(logger, RunFolder(tmp_path / "run"), SETTINGS, Request({}, []))
        safe.epochs(0, ROWS)
        safe.end(FINISHED)
    assert time.monotonic() - start < 15
    (line,) = said
    assert line.startswith("MlflowLogger stopped (MlflowException: API request to")
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_ctrl_c_while_it_connects_is_not_told_of(
    config: Callable[..., DictConfig], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(uri: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow_logger, "_connect", press)
    said: list[str] = []
    logger = build(config("logger", "mlflow", uri=f"sqlite:///{store}"), "logger")
    with pytest.raises(KeyboardInterrupt), SafeLogger(said.append) as safe:
        safe.begin(logger, RunFolder(tmp_path / "run"), SETTINGS, Request({}, []))
    assert said == []


def test_the_parent_of_a_sweep_has_its_table(begin: Begin, store: Path, tmp_path: Path) -> None:
    job = begin("sweep/0", tmp_path / "sweep")
    job.end(FINISHED)
    for name in ("sweep.csv", "report.html", ".lock"):
        (tmp_path / "sweep" / name).write_text("x")
    job.end_sweep(RunFolder(tmp_path / "sweep"))
    parent = runs_of(store)["sweep"].info.run_id
    files = mlflow_logger._connect(f"sqlite:///{store}").list_artifacts(parent)
    assert {file.path for file in files} == {"sweep.csv", "report.html", "mlflow_run.txt"}
    assert (tmp_path / "mlflow_artifacts").is_dir()
