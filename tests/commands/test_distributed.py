"""``trainer=distributed`` from the command line."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

ROOT = Path(__file__).parents[2]
WORDS = ("trainer=distributed", "trainer.device=cpu", "trainer.batch_size=20")

Dagrec = Callable[..., Any]


@pytest.mark.slow
def test_jobs_of_a_multirun_follow_each_other(dagrec: Dagrec) -> None:
    answer = dagrec("train", "-m", *WORDS, "trainer.epochs=2", "seed=0,1")
    assert (answer.code, answer.err) == (0, "")
    row, *ceilings = csv.DictReader((answer.run / "sweep.csv").read_text().splitlines())
    assert row["seeds"] == "2"
    assert all("ceiling" in each["row"] for each in ceilings)


@pytest.mark.slow
def test_a_longer_run_ends_in_the_same_bytes(dagrec: Dagrec, tmp_path: Path) -> None:
    """With dropout, which every process draws for itself; and the refit, too."""
    words = [*WORDS, "trainer.validation_share=0.2"]
    dagrec("train", *words, "trainer.epochs=4", "hydra.run.dir=whole")
    dagrec("train", *words, "trainer.epochs=2", "keep_checkpoints=true", "hydra.run.dir=run")
    assert dagrec("train", "resume=run", "trainer.epochs=4").code == 0
    for name in ("predictions.csv", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def children_of(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True)
    return [int(word) for word in listed.stdout.split()]


def is_alive(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True).stdout
    return bool(state) and not state.startswith(b"Z")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_killing_the_first_process_leaves_none(tmp_path: Path) -> None:
    words = [*WORDS, "trainer.epochs=100000", "trainer.checkpoint_every=1", "hydra.run.dir=run"]
    first = subprocess.Popen(
        [sys.executable, "-m", "dagrec_cli", "train", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/*.safetensors")):  # until they train
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    others = children_of(first.pid)
    assert others
    first.send_signal(signal.SIGKILL)
    first.wait()
    while any(map(is_alive, others)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_ctrl_c_while_the_others_start_is_one_request(tmp_path: Path) -> None:
    words = [*WORDS, "trainer.epochs=100000", "hydra.run.dir=run"]
    first = subprocess.Popen(
        [sys.executable, "-m", "dagrec_cli", "train", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(children_of(first.pid)) < 2:  # Python's resource tracker, and the other rank
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)  # it imports torch now
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does
    out, err = first.communicate(timeout=120)
    assert (first.returncode, out) == (130, "")
    said, last = err.splitlines()
    assert said == "Stopping after this epoch; Ctrl-C again stops at once."
    assert last == "dagrec train: interrupted; continue with: dagrec train resume=run"


TORCHRUN = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize("rank", ["0", "1"])
def test_torchrun_for_a_training_that_is_not_distributed_is_refused_once(
    dagrec: Dagrec, rank: str
) -> None:
    with patch.dict(os.environ, TORCHRUN | {"RANK": rank}):
        answer = dagrec("train", "trainer=mini_batch")
    line = (
        "dagrec train: torchrun started 2 processes, and each would train the whole; add "
        "trainer=distributed, or start dagrec without torchrun.\n"
    )
    assert (answer.code, answer.out, answer.err) == ((2, "", line) if rank == "0" else (0, "", ""))
    assert list(answer.folder.iterdir()) == []


def test_one_process_of_torchrun_may_train_alone(dagrec: Dagrec) -> None:
    with patch.dict(os.environ, TORCHRUN | {"WORLD_SIZE": "1"}):
        assert dagrec("train", "model=popularity").code == 0
