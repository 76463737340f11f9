"""SIGKILL at random moments: the run is absent, or it is readable and goes on to the same bytes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

SAME = ("predictions.csv", "model.safetensors", "model_seed1.safetensors", "learning_curve.png")
WORDS = ("trainer.epochs=8", "model.hidden=8", "seeds=[0,1]", "loss=bpr")
OFTEN = ("trainer.checkpoint_every=1", "sampler.n_sample=4")

Dagrec = Callable[..., Any]


def killed_after(seconds: float, dagrec: Dagrec, *words: str) -> bool:
    """Run in a child process, kill it, and return whether that was before its end."""
    child = os.fork()
    if child == 0:
        dagrec(*words)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def seconds_of_a_child(dagrec: Dagrec, *words: str) -> float:
    """Run to the end in a child process, with everything imported, and return how long it took."""
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        dagrec(*words)
        os._exit(0)
    os.waitpid(child, 0)
    return time.perf_counter() - start


def check_kills(dagrec: Dagrec, folder: Path, times: int) -> None:
    """Kill at moments spread over a whole run, from before its first file to after its last."""
    assert dagrec("train", *WORDS, *OFTEN, "hydra.run.dir=whole").code == 0
    whole = seconds_of_a_child(dagrec, "train", *WORDS, *OFTEN, "hydra.run.dir=timed")
    random, n_resumed = Random(times), 0
    for k in range(times):
        name = f"run{k}"
        moment = whole * (k + random.random()) / times
        killed_after(moment, dagrec, "train", *WORDS, *OFTEN, f"hydra.run.dir={name}")
        run = folder / name
        if (run / "config.yaml").exists():
            n_resumed += 1
            again = dagrec("train", f"resume={name}")
            assert (again.code, again.err) == (0, ""), moment
            for file in SAME:
                assert (run / file).read_bytes() == (folder / "whole" / file).read_bytes(), moment
            left = {path.name for path in run.rglob("*")}
            assert left == {path.name for path in (folder / "whole").rglob("*")}, moment
        else:
            assert not (run / "result.json").exists()
            assert not (run / "checkpoints").exists()
    assert n_resumed > times / 3  # or nothing was tried


def test_killed_at_a_few_moments(dagrec: Dagrec, tmp_path: Path) -> None:
    check_kills(dagrec, tmp_path, times=5)


@pytest.mark.slow
def test_killed_at_fifty_moments(dagrec: Dagrec, tmp_path: Path) -> None:
    check_kills(dagrec, tmp_path, times=50)
