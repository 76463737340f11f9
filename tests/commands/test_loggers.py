"""``dagrec train logger=…``: what other tools find, also after Ctrl-C, in sweeps and in trouble."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

WORDS = ["trainer.epochs=3", "model.hidden=8", "model.embedding_dim=4"]

Dagrec = Callable[..., Any]
CtrlC = Callable[..., Any]


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Callable[[], Any]:
    """A function that returns a client of the store that runs of this test write."""
    from mlflow import MlflowClient

    (tmp_path / "outputs").mkdir()
    shutil.copy(empty_store, tmp_path / "outputs/mlflow.db")

    return lambda: MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")


def runs_of(client: Any) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("dagrec").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


def test_mlflow_goes_on_with_an_interrupted_run(
    dagrec: Dagrec, store: Callable[[], Any], tmp_path: Path, ctrl_c_in: CtrlC
) -> None:
    with ctrl_c_in(2):
        assert dagrec("train", *WORDS, "logger=mlflow", "hydra.run.dir=run").code == 130
    (stopped,) = runs_of(store()).values()
    assert (stopped.info.status, stopped.data.params["trainer.epochs"]) == ("KILLED", "3")
    assert stopped.data.tags["error"].endswith("dagrec train resume=run")
    assert dagrec("train", "resume=run").err == ""
    client = store()
    (run,) = runs_of(client).values()
    assert (run.info.run_id, run.info.status) == (stopped.info.run_id, "FINISHED")
    assert "error" not in run.data.tags
    history = client.get_metric_history(run.info.run_id, "seed_0/loss")
    assert [metric.step for metric in history] == [1, 2, 3]
    result = json.loads((tmp_path / "run/result.json").read_text())
    summary = result["metrics"]["ndcg"]
    logged = {key: run.data.metrics[f"ndcg_{key}"] for key in ("low", "high")}
    assert logged == {key: summary[key] for key in ("low", "high")}
    assert run.data.metrics["ndcg"] == run.data.metrics["seed_0/ndcg"] == summary["mean"]
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names >= {"result.json", "model.safetensors", "predictions.csv", "metrics.csv"}


@pytest.mark.slow
def test_the_jobs_of_a_sweep_have_one_parent_with_its_report(
    dagrec: Dagrec, store: Callable[[], Any], tmp_path: Path
) -> None:
    rates = "trainer.learning_rate=0.1,1e38"
    words = ["-m", *WORDS, rates, "logger=mlflow", "hydra.sweep.dir=sweep"]
    assert dagrec("train", *words).code == 1
    runs = runs_of(store())
    parent = runs.pop("sweep")
    told = {name: (r.info.status, r.data.tags["mlflow.parentRunId"]) for name, r in runs.items()}
    family = parent.info.run_id
    assert told == {"0": ("FINISHED", family), "1": ("FAILED", family)}
    assert parent.info.status == "FAILED"
    names = {file.path for file in store().list_artifacts(parent.info.run_id)}
    assert names >= {"sweep.csv", "sweep.md", "report.html"}
    assert runs["1"].data.tags["error"].startswith("epoch 2: the loss is")
    told_sweep = json.loads((tmp_path / "sweep/0/result.json").read_text())["sweep"]
    assert Path(told_sweep).name == "sweep"


def test_a_store_that_locks_does_not_stop_the_training(
    dagrec: Dagrec, store: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagrec_cli.loggers.mlflow import MlflowLogger

    plain = MlflowLogger.epochs

    def drop(logger: MlflowLogger, *given: Any) -> None:
        with closing(sqlite3.connect(tmp_path / "outputs/mlflow.db")) as other:
            other.execute("DROP TABLE metrics")
        plain(logger, *given)

    monkeypatch.setattr(MlflowLogger, "epochs", drop)
    answer = dagrec("train", *WORDS, "logger=mlflow", "hydra.run.dir=run")
    assert answer.code == 0
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("MlflowLogger stopped (MlflowException: ")
    assert answer.err.endswith("; the run continues without it.\n")
    assert json.loads((tmp_path / "run/result.json").read_text())["status"] == "finished"
    assert "MlflowLogger stopped" in (tmp_path / "run/run.log").read_text()


@pytest.mark.slow
def test_a_store_elsewhere_is_named_again(
    dagrec: Dagrec, empty_store: Path, tmp_path: Path, ctrl_c_in: CtrlC
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(empty_store, tmp_path / "elsewhere/runs.db")
    words = ["logger=mlflow", f"logger.uri=sqlite:///{tmp_path}/elsewhere/runs.db"]
    with ctrl_c_in(1):
        answer = dagrec("train", *WORDS, *words, "hydra.run.dir=run")
    assert answer.err.endswith(f"dagrec train resume=run {' '.join(words)}\n")
    assert "add logger.uri=sqlite:///" in dagrec("train", "resume=run").refusal
    assert dagrec("train", "resume=run", *words).code == 0
    assert not (tmp_path / "outputs").exists()


def test_runs_that_differ_in_the_logger_alone_are_one_row(dagrec: Dagrec, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="logger=tensorboard needs its extra")
    for logger, seed in (("csv", 0), ("tensorboard", 1)):
        words = ["model=popularity", f"logger={logger}", f"seed={seed}"]
        assert dagrec("train", *words, f"hydra.run.dir=both/{seed}").code == 0
    answer = dagrec("compare", "runs=[both]", "hydra.run.dir=table")
    assert answer.code == 0, answer.err
    (row,) = json.loads((tmp_path / "table/table.json").read_text())["rows"]
    assert row["seeds"] == 2
