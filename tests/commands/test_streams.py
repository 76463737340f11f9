"""What the system refuses a command: one line each, whenever it happens, and never a traceback."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dagrec_cli.cli import COMMANDS

ROOT = Path(__file__).parents[2]
SHORT = ("trainer.epochs=2", "model=popularity")

Answer = Any
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A function of words and shell redirections: ``dagrec WORDS`` in a process of its own."""

    def run(words: str, then: str = "", before: str = "", **env: str) -> Any:
        line = f"{before} exec {sys.executable} -m dagrec_cli {words} {then}"
        return subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            timeout=60,
        )

    return run


def verbs(run: Path) -> dict[str, str]:
    """Return a short command line of every verb that writes to standard output."""
    model = f"run={run}"
    return {
        "help": "--help",
        "version": "--version",
        "train --help": "train --help",
        "data": "data",
        "guide": "guide",
        "data describe": "data describe",
        "data describe json": "data describe format=json",
        "data validate": "data validate data=synthetic",
        "data convert": "data convert data=synthetic output=converted.jsonl",
        "data export": "data export output=exported",
        "train": f"train {' '.join(SHORT)}",
        "train -m": f"train -m {' '.join(SHORT)} seed=0,1",
        "predict": f"predict {model} 'context=[table_1]'",
        "evaluate": f"evaluate {model}",
        "compare": f"compare {run}",
    }


VERBS = list(verbs(Path()))


def check_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    *_, last = done.stderr.splitlines()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "Exception ignored" not in done.stderr
    assert last.startswith("dagrec")
    for part in parts:
        assert part in last


def test_every_verb_that_answers_is_tried() -> None:
    others = {"export", "bench", "reproduce", "data prepare", "data fetch", "serve", "new", "check"}
    others |= {"score"}
    assert set(COMMANDS) - others <= set(VERBS)  # they take minutes, networks, or files


@pytest.mark.parametrize(("verb", "unbuffered"), [("help", ""), ("help", "1"), ("predict", "")])
def test_a_full_standard_output(shell: Shell, trained: Answer, verb: str, unbuffered: str) -> None:
    done = shell(verbs(trained.run)[verb], ">/dev/full", PYTHONUNBUFFERED=unbuffered)
    check_line(done, "cannot write to standard output: No space left on device", ">FILE")


def test_a_closed_standard_output_is_told_before_any_work(shell: Shell, tmp_path: Path) -> None:
    done = shell(f"train {' '.join(SHORT)}", ">&-")
    check_line(done, "dagrec train: standard output is closed", ">/dev/null")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_stumbles_over_its_streams(shell: Shell, trained: Answer, verb: str) -> None:
    words = verbs(trained.run)[verb]
    check_line(shell(words, ">/dev/full"), "standard output")
    check_line(shell(words, ">&-"), "standard output is closed")
    plain = shell(words)
    for then in ("2>/dev/full", "2>&-", "<&-", "<&- 2>&-"):
        done = shell(words, then)
        assert done.returncode == plain.returncode == 0, (then, done.stderr)
        assert done.stdout.count("\n") == plain.stdout.count("\n") > 0


def test_a_full_standard_error_stops_nothing(shell: Shell) -> None:
    done = shell("train trainer.epochs=1 progress=true", "2>/dev/full")
    assert done.returncode == 0
    assert "Run folder: " in done.stdout


def test_a_wrong_word_into_a_closed_standard_error_still_exits_2(shell: Shell) -> None:
    assert shell("train model=nosuch", "2>&-").returncode == 2


def test_no_file_is_taken_for_a_closed_stream(shell: Shell, tmp_path: Path) -> None:
    shell(f"train {' '.join(SHORT)} hydra.run.dir=run", "<&- 2>&-")
    plain = shell(f"train {' '.join(SHORT)} hydra.run.dir=plain")
    assert plain.returncode == 0
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "plain").iterdir())
    for name in ("predictions.csv", "vocabulary.json", "graph.json"):
        one, two = (tmp_path / run / name for run in ("run", "plain"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("n_files", [6, *(pytest.param(n, marks=pytest.mark.slow) for n in (7, 8))])
def test_too_few_files_may_be_open(shell: Shell, tmp_path: Path, n_files: int) -> None:
    words = "train trainer.epochs=1 hydra.run.dir=run"
    done = shell(words, before=f"ulimit -n {n_files};")
    check_line(done, "too many files are open; allow more with: ulimit -n")
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("code", ["EIO", "ENXIO", "ESTALE", "EMFILE"])
def test_any_error_of_the_system_is_one_line(dagrec: Callable[..., Any], code: str) -> None:
    number = getattr(errno, code)

    def broken(descriptor: int) -> None:
        raise OSError(number, os.strerror(number), "here")

    with patch.object(os, "fsync", broken):
        answer = dagrec("train", "model=popularity")
    assert "here" in answer.refusal
