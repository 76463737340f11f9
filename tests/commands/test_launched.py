"""``dagrec train trainer=distributed`` in processes that ``torchrun`` or ``srun`` started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STILL = ("model.dropout_embed=0", "model.dropout_hidden=0")
WORDS = ("trainer.device=cpu", "trainer.batch_size=13", "trainer.epochs=5", *STILL)

Dagrec = Callable[..., Any]
Srun = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture
def srun(tmp_path: Path) -> Iterator[Srun]:
    """A function of a number and words: starts so many tasks, one on each of as many nodes."""
    tasks: list[subprocess.Popen[str]] = []

    def started(n_tasks: int, *words: str) -> list[subprocess.Popen[str]]:
        for rank in range(n_tasks):
            told = {"PROCID": rank, "NODEID": rank, "LOCALID": 0, "NTASKS": n_tasks}
            told |= {"JOB_ID": os.getpid(), "JOB_NODELIST": "localhost"}
            tasks.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dagrec_cli", "train", *words],
                    cwd=tmp_path,
                    env={**environment(), **{f"SLURM_{k}": str(v) for k, v in told.items()}},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return tasks

    yield started
    for task in tasks:
        task.kill()
        task.communicate()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ends(tasks: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Return exit code, output and errors of each task; none may hang."""
    told = [task.communicate(timeout=300) for task in tasks]
    return [(task.returncode, *each) for task, each in zip(tasks, told, strict=True)]


def train_alone(dagrec: Dagrec) -> None:
    assert dagrec("train", "trainer=mini_batch", *WORDS, "hydra.run.dir=alone").code == 0


def check_same_model(folder: Path, other: str) -> None:
    one, two = (load_file(folder / run / "model.safetensors") for run in ("alone", other))
    for name, weight in one.items():
        assert torch.allclose(weight, two[name], atol=1e-4)


def test_three_tasks_of_slurm_give_the_model_of_one_process(
    dagrec: Dagrec, srun: Srun, tmp_path: Path
) -> None:
    """Shares of 5, 4 and 4 contexts; only the first task says or writes anything."""
    train_alone(dagrec)
    first, *others = ends(srun(3, "trainer=distributed", *WORDS, "hydra.run.dir=run"))
    assert (first[0], first[2]) == (0, "")
    assert first[1].endswith("Run folder: run\n")
    assert others == [(0, "", "")] * 2
    check_same_model(tmp_path, "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "run"]


def test_torchrun_gives_the_model_of_one_process(dagrec: Dagrec, tmp_path: Path) -> None:
    train_alone(dagrec)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    words = ["dagrec_cli", "train", "trainer=distributed", *WORDS, "hydra.run.dir=run"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Run folder: run") == 1
    check_same_model(tmp_path, "run")


def test_jobs_of_a_multirun_share_the_tasks(srun: Srun, tmp_path: Path) -> None:
    """One job fails in the first task alone, and one trains without the others."""
    words = [
        "trainer=distributed,mini_batch",
        "model.hidden=0,4",
        *(f"++{word}" if "batch_size" in word else word for word in WORDS[:4]),
        "hydra.sweep.dir=run",
    ]
    first, other = ends(srun(2, "-m", *words))
    assert (first[0], other) == (1, (0, "", ""))
    assert first[2].count("failed: model.hidden is 0") == 2
    assert (tmp_path / "run" / "sweep.csv").read_text().count("failed") == 2


def test_a_mistake_is_told_once(srun: Srun, tmp_path: Path) -> None:
    first, other = ends(srun(2, "trainer=distributed", "trainer.epochs=0"))
    assert first[:2] == (2, "")
    assert first[2].startswith("dagrec train: trainer.epochs is 0; ")
    assert other == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("killed", "signal_sent", "code"), [(1, "SIGKILL", 1), (0, "SIGKILL", -9), (0, "SIGINT", 130)]
)
def test_all_end_when_one_does(
    srun: Srun, tmp_path: Path, killed: int, signal_sent: str, code: int
) -> None:
    endless = ("trainer.epochs=100000", "trainer.checkpoint_every=1", "hydra.run.dir=run")
    tasks = srun(3, "trainer=distributed", *WORDS, *endless)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/*.safetensors")):  # until they train
        assert time.monotonic() < deadline
        assert all(task.poll() is None for task in tasks)
        time.sleep(0.1)
    tasks[killed].send_signal(getattr(signal, signal_sent))
    first, *others = ends(tasks)
    assert first[0] == code
    assert all(each[0] in (1, -9) and each[1:] == ("", "") for each in others)
    if killed == 1:
        assert first[2].startswith(
            "dagrec train: another training process died and the others were"
        )
        assert first[2].count("\n") == 1
