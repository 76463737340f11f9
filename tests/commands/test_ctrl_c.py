"""Ctrl-C from a command's first moment to its last: one line and exit code 130, or it was done."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

ROOT = Path(__file__).parents[2]
SHORT = ("trainer.epochs=20", "seeds=[0,1]")
SECONDS = 10  # from Ctrl-C to the end, on a busy machine
BEGIN = """
import sys
from dagrec_cli import cli
from dagrec_cli.cli import main

def begin(words, then=cli._command_in):
    sys.stdout.write("begun ")
    sys.stdout.flush()
    return then(words)

cli._command_in = begin
main()
"""
COMMAND = [sys.executable, "-c", BEGIN]

Dagrec = Callable[..., Any]


def interrupted(folder: Path, moment: float, *words: str) -> tuple[int, str, str]:
    """Press Ctrl-C ``moment`` seconds after :func:`main` has begun; return code, out and err."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, *words], cwd=folder, env=env, **pipes) as child:  # type: ignore[call-overload]
        assert child.stdout.read(len("begun ")) == "begun "
        time.sleep(moment)
        child.send_signal(signal.SIGINT)
        try:
            out, err = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return child.returncode, out, err


def check(moment: float, code: int, out: str, err: str) -> None:
    """Either the command says in its last line that it was interrupted, or it was done before."""
    if code == 130:
        *before, last = err.splitlines()
        assert last.startswith("dagrec"), (moment, err)
        assert "interrupted" in last, (moment, err)
        assert before in ([], ["Stopping after this epoch; Ctrl-C again stops at once."]), err
    else:
        assert code in (0, -signal.SIGINT), (moment, code, err)
        assert "Run folder: " in out, (moment, code, err)
        assert err == "", moment


def test_ctrl_c_in_the_first_half_second(tmp_path: Path) -> None:
    for moment in (0.002, 0.03, 0.06, 0.12, 0.25, 0.5):
        check(moment, *interrupted(tmp_path, moment, "train", *SHORT, f"hydra.run.dir=run{moment}"))


@pytest.mark.slow
def test_ctrl_c_at_ninety_moments_of_a_whole_training(tmp_path: Path) -> None:
    start = time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*COMMAND, "train", *SHORT], cwd=tmp_path, env=env, check=True)
    whole = time.perf_counter() - start
    random, n_stopped, times = Random(0), 0, 90
    for k in range(times):
        moment = 0.002 + whole * (k + random.random()) / times
        answer = interrupted(tmp_path, moment, "train", *SHORT, f"hydra.run.dir=run{k}")
        check(moment, *answer)
        n_stopped += answer[0] == 130
        assert not list((tmp_path / f"run{k}").rglob("*.tmp"))
    assert n_stopped > times / 2  # or nothing was tried


MOMENTS = (
    *("fit.cached_dataset", "components.seed_everything", "fit.evaluate_rows"),
    *("fit.ceilings", "fit.write_predictions"),
)


def press_at(where: str) -> Any:
    """Return a patch that presses Ctrl-C when a function of ``experiment/`` is called."""
    file, _, name = where.partition(".")
    module = import_module(f"dagrec_cli.experiment.{file}")
    plain = getattr(module, name)

    def pressed(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return plain(*arguments, **named)

    return patch.object(module, name, pressed)


@pytest.mark.parametrize("model", ["gru4rec", "popularity"])
@pytest.mark.parametrize("where", MOMENTS)
def test_outside_of_training_the_first_ctrl_c_stops_at_once(
    dagrec: Dagrec, model: str, where: str
) -> None:
    words = ("train", f"model={model}", "trainer.epochs=1")
    with press_at(where):
        answer = dagrec(*words, "hydra.run.dir=run")
    assert answer.code == 130
    assert answer.err.startswith("dagrec train: interrupted")
    assert answer.err.count("\n") == 1
    assert "Run folder" not in answer.out


def test_a_ctrl_c_that_a_library_turns_into_its_own_error_is_still_one(dagrec: Dagrec) -> None:
    def imports(*_: Any, **__: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as stop:
            raise ImportError("numpy.core.multiarray failed to import") from stop

    with patch("dagrec_cli.experiment.fit.cached_dataset", imports):
        answer = dagrec("train", "model=popularity")
    assert (answer.code, answer.err) == (130, "dagrec train: interrupted.\n")
