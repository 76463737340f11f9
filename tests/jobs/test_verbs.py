"""The same three jobs by ``train -m``, ``reproduce`` and a search, in turn, in the pool, by joblib.

Each command is killed once in the midst of its jobs and given again; then every record holds the
bytes of a plain ``dagrec train``, but for times and command lines.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from begun import begun
from dagrec_cli.runs.folder import is_in_use

pytestmark = pytest.mark.slow

RATES = ("0.001", "0.002", "0.004")
SETTINGS = (
    *("data.compositions=200", "model.hidden=8", "model.embedding_dim=8", "threads=1"),
    *("trainer.epochs=150", "trainer.checkpoint_every=10", "trainer.validation_share=0.3"),
    *("evaluate_on=validation",),
)
OF_A_COMMAND = {"command_line", "overrides", "seconds", "started", "sweep"}  # of result.json
KEY = "trainer.learning_rate"

Verb = Callable[[Path], list[str]]


def sweep(folder: Path) -> list[str]:
    return ["train", "-m", *SETTINGS, f"{KEY}={','.join(RATES)}", "hydra.sweep.dir=jobs"]


def table(folder: Path) -> list[str]:
    rows = [{"name": rate, "overrides": [*SETTINGS, f"{KEY}={rate}"]} for rate in RATES]
    (folder / "own/table").mkdir(parents=True, exist_ok=True)
    (folder / "own/table/mine.yaml").write_text(yaml.dump({"base": [], "rows": rows}))
    return ["reproduce", "-cd", "own", "table=mine"]


def search(folder: Path) -> list[str]:
    optuna = pytest.importorskip("optuna", reason="needs the extra 'search'")
    (folder / "jobs").mkdir()
    storage = f"sqlite:///{folder}/jobs/study.db"
    study = optuna.create_study(storage=storage, study_name="mine", direction="maximize")
    for rate in RATES:
        study.enqueue_trial({KEY: rate})
    sweeper = {"study_name": "mine", "n_trials": len(RATES), "n_jobs": len(RATES)}
    words = [f"hydra.sweeper.{name}={value}" for name, value in sweeper.items()]
    words += ["hydra/sweeper=optuna", f"{KEY}=choice({','.join(RATES)})", "hydra.sweep.dir=jobs"]
    return ["train", "-m", *SETTINGS, *words]


def record(run: Path) -> dict[str, Any]:
    """Return what a run holds: its result without times and words, and the bytes of two files."""
    result = json.loads((run / "result.json").read_text())
    kept = {key: value for key, value in result.items() if key not in OF_A_COMMAND}
    files = {name: (run / name).read_bytes() for name in ("predictions.csv", "model.safetensors")}
    return kept | files


def rate_of(run: Path) -> str:
    return str(yaml.safe_load((run / "config.yaml").read_text())["trainer"]["learning_rate"])


def runs_in(folder: Path) -> Iterator[Path]:
    """Yield the run folders of the jobs, but not that of the search's best trial run again."""
    for file in folder.rglob("request.json"):
        if file.parent.name != "best":
            yield file.parent


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The records of the jobs, each by a plain command."""
    folder = tmp_path_factory.mktemp("plain")
    for rate in RATES:
        words = ["train", *SETTINGS, f"{KEY}={rate}", f"hydra.run.dir={rate}"]
        command = [sys.executable, "-m", "dagrec_cli", *words]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return {rate: record(folder / rate) for rate in RATES}


def kill_in_the_midst(folder: Path, words: list[str]) -> None:
    """Start a command and kill all its processes once a job has kept a checkpoint."""
    process = begun(folder, words, "**/checkpoints/*.safetensors")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(is_in_use, runs_in(folder))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("launcher", ["basic", "pool", "joblib"])
@pytest.mark.parametrize("verb", [sweep, table, search])
def test_a_killed_command_given_again_leaves_the_records_of_plain_ones(
    tmp_path: Path, plain: dict[str, dict[str, Any]], verb: Verb, launcher: str
) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    words = [*verb(tmp_path), f"hydra/launcher={launcher}"]
    if launcher != "basic":
        words.append("hydra.launcher.n_jobs=2")
    kill_in_the_midst(tmp_path, words)
    n_whole = sum((run / "result.json").exists() for run in runs_in(tmp_path))
    assert n_whole < len(RATES)
    command = [sys.executable, "-m", "dagrec_cli", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("finished before: ") == n_whole
    assert {rate_of(run): record(run) for run in runs_in(tmp_path)} == plain
    assert not list(tmp_path.rglob(".stop-*"))


@pytest.mark.parametrize("to_all", [True, False])
@pytest.mark.parametrize("launcher", ["basic", "pool", "joblib"])
def test_ctrl_c_ends_the_jobs_after_their_epoch(
    tmp_path: Path, launcher: str, to_all: bool
) -> None:
    """At a terminal every process gets it; from ``kill -INT`` the command alone."""
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    words = [*sweep(tmp_path), f"hydra/launcher={launcher}", "trainer.epochs=100000"]
    if launcher != "basic":
        words.append("hydra.launcher.n_jobs=2")
    n_at_once = 1 if launcher == "basic" else 2
    process = begun(tmp_path, words, "jobs/*/checkpoints", n_at_once)
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    first, *others, last = err.splitlines()
    assert process.returncode == 130
    assert first.endswith(" after their epoch; Ctrl-C again stops at once.") or n_at_once == 1
    assert (others, "Traceback" in out) == ([], False)
    assert last == "dagrec train: interrupted; the same command continues with the rest."
    results = [json.loads(file.read_text()) for file in tmp_path.glob("jobs/*/result.json")]
    assert [result["status"] for result in results] == ["interrupted"] * n_at_once
    assert not any(map(is_in_use, runs_in(tmp_path)))
