"""One answer to what came of a run folder, and to whether running a config there is needed."""

import fcntl
import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from omegaconf import DictConfig

from dagrec_cli.config import deciding
from dagrec_cli.errors import DagrecError, ForeignError
from dagrec_cli.experiment.fit import run_experiment
from dagrec_cli.jobs.job import job_state
from dagrec_cli.runs.folder import LOCK, RunFolder
from dagrec_cli.runs.state import (
    EVALUATION,
    SCORE,
    SWEEP,
    TABLES,
    TRAINING,
    check_free,
    check_new,
    content_of,
    fits,
    state_of,
)
from dagrec_cli.training.progress import Silent
from train_config import compose_train


def write_data(file: Path, n_chains: int) -> None:
    chains = [
        {
            "nodes": [{"id": 1}, {"id": 2, "mid": k % 5}],
            "links": [{"source": 1, "target": 2}],
        }
        for k in range(n_chains)
    ]
    file.write_text(json.dumps(chains))


def config_of(folder: Path, *words: str) -> DictConfig:
    path = f"data.path={folder}/data.jsonl"
    return compose_train(["model=popularity", "data=compositions", path, *words])[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    write_data(folder / "data.jsonl", 20)
    words = ["model=popularity", "data=compositions", f"data.path={folder}/data.jsonl"]
    config, request = compose_train(words)
    run_experiment(config, RunFolder(folder / "run"), request, Silent())
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A folder with a finished run, and the data that it was made of."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "kind", "reason"),
    [
        ("result.json", None, "begun", "stopped without a result"),
        ("result.json", '{"status": "fini', "damaged", "result.json: damaged"),
        ("predictions.csv", "", "damaged", "predictions.csv: missing or damaged"),
    ],
)
def test_what_came_of_a_folder(
    folder: Path, name: str, text: str | None, kind: str, reason: str
) -> None:
    run = folder / "run"
    assert (state_of(run).kind, state_of(run).reason) == ("finished", "")
    if text is None:
        (run / name).unlink()
    else:
        (run / name).write_text(text)
    found = state_of(run)
    assert (found.kind, found.run) == (kind, None)
    assert reason in found.reason
    assert job_state(run, config_of(folder)).run is None


def test_what_took_training_is_not_replaced_unasked(folder: Path) -> None:
    run, told = folder / "run", r"run: it holds a training already; resume=\S+ continues it, "
    with pytest.raises(ForeignError, match=f"{told}rerun=true replaces it, hydra.run.dir=FOLDER"):
        check_new(run, TRAINING, word="rerun", asked=False)
    check_new(run, TRAINING, word="rerun", asked=True)
    (run / "result.json").unlink()
    check_new(run, TRAINING, asked=False)  # it failed before there was a checkpoint
    (run / "checkpoints").mkdir()
    with pytest.raises(ForeignError, match=told):
        check_new(run, TRAINING, asked=False)


MADE = {"status": "finished", "overrides": []}


@pytest.mark.parametrize(
    ("name", "content", "holds"),
    [
        ("result.json", MADE, "a training"),
        ("result.json", MADE | {"run": "r"}, "an evaluation"),
        ("result.json", MADE | {"command_line": "dagrec score x.csv"}, "a score"),
        ("request.json", {"choices": {}, "overrides": [], "data_sha256": ""}, "a training"),
        ("sweep_request.json", {"overrides": []}, "a sweep"),
        ("x.json", dict.fromkeys(("title", "columns", "rows", "notes")), "tables"),
        ("x.json", dict.fromkeys(("title", "columns", "rows")), None),
        ("run.log", {}, ""),
        (".hidden", {}, ""),
    ],
)
def test_a_command_fills_what_it_left_and_what_is_empty(
    tmp_path: Path, name: str, content: dict[str, object], holds: str | None
) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    owner = f"that of {holds}" if holds else "not empty, and not a folder that dagrec made"
    for what in (TRAINING, EVALUATION, SWEEP, TABLES, SCORE):
        with nullcontext() if holds in ("", what) else pytest.raises(ForeignError, match=owner):
            check_free(tmp_path, what)
    assert content_of(tmp_path) == holds
    assert content_of(tmp_path, besides=[name]) == ""


def test_a_folder_that_is_not_there_and_one_that_is_in_use(folder: Path) -> None:
    assert state_of(folder / "no").kind == "absent"
    with (folder / "run" / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert state_of(folder / "run").kind == "in use"
        assert job_state(folder / "run", config_of(folder)).run is None
    assert job_state(folder / "run", config_of(folder)).run


def test_what_decides_a_figure_must_be_the_same(folder: Path) -> None:
    write_data(folder / "moved.jsonl", 20)
    moved = config_of(folder, f"data.path={folder}/moved.jsonl", "threads=1", "progress=false")
    assert job_state(folder / "run", moved).run
    for word in ("seed=1", "split.test_share=0.4", "model=markov"):
        assert job_state(folder / "run", config_of(folder, word)).run is None


def test_data_of_other_content_and_data_that_are_gone(folder: Path) -> None:
    write_data(folder / "data.jsonl", 21)
    assert not fits(folder / "run", config_of(folder))
    assert state_of(folder / "run").run
    (folder / "data.jsonl").unlink()
    with pytest.raises(DagrecError, match=r"data\.jsonl"):
        fits(folder / "run", config_of(folder))
    assert job_state(folder / "run", config_of(folder)).run  # nothing better could come


def test_a_run_of_another_version_is_not_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "__version__", "0.3.0")
    assert state_of(folder / "run").kind == "finished"
    assert job_state(folder / "run", config_of(folder)).run is None
