"""Jobs of rows: from their checkpoints on, and beside others that die."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.jobs import row_jobs
from dagrec_cli.jobs.row_jobs import RowJob, run_all, run_row

CtrlC = Callable[[int], Any]

WORDS = ("trainer.epochs=4", "model.hidden=4", "model.embedding_dim=4")
SAME = ("predictions.csv", "model.safetensors")


def die(job: RowJob, resume: bool) -> None:
    """Stands for a row that the system kills for its memory, unless it is the one to live."""
    if "seed=2" not in job.overrides:
        os.kill(os.getpid(), signal.SIGKILL)
    run_row(job, resume=resume)


def run(jobs: list[RowJob], n_jobs: int = 2) -> list[RowJob]:
    done: list[RowJob] = []
    run_all(jobs, n_jobs, resume=True, watch=done.append, say=print)
    return done


def test_a_row_that_dies_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_jobs, "_be_started", die)
    jobs = [RowJob.of([*WORDS, f"seed={seed}"], tmp_path) for seed in range(4)]
    done = run(jobs)
    assert sorted(job.folder for job in done) == sorted(job.folder for job in jobs)
    assert [bool(job.finished) for job in jobs] == [False, False, True, False]
    killed = "its process died: SIGKILL"
    assert [job.reason for job in jobs] == [killed, killed, "", killed]


def test_a_row_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c_in: CtrlC
) -> None:
    whole, halved = (RowJob.of(WORDS, tmp_path / name) for name in ("whole", "halved"))
    run_row(whole, resume=True)
    with ctrl_c_in(3), pytest.raises(KeyboardInterrupt, match="interrupted"):
        run_row(halved, resume=True)
    assert not halved.is_done
    assert halved.reason == "interrupted"
    with ctrl_c_in(2):  # the second epoch that is left does not come
        run_row(halved, resume=True)
    assert halved.is_done
    for name in SAME:
        assert (whole.folder / name).read_bytes() == (halved.folder / name).read_bytes()


def test_a_damaged_row_is_not_done(tmp_path: Path) -> None:
    job = RowJob.of(["model=popularity"], tmp_path)
    assert (job.is_done, job.reason) == (False, "did not start")
    run_row(job, resume=True)
    assert (job.is_done, job.reason) == (True, "")
    (job.folder / "predictions.csv").write_text("damaged")
    assert not job.is_done
    assert "predictions.csv" in job.reason


def test_rows_on_two_files_are_two_jobs_and_two_ways_of_reading_one_are_one(
    tmp_path: Path,
) -> None:
    def folder(*words: str) -> Path:
        return RowJob.of(["data=compositions", *words], tmp_path).folder

    first = folder("data.path=a.jsonl")
    assert folder("data.path=b.jsonl") != first  # what is in them is not known before they are read
    assert folder("data.path=a.jsonl", "seed=1") != first
    assert folder("data.path=a.jsonl", "data.cache=false", "threads=2", "rerun=true") == first
