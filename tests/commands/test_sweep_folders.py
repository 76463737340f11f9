"""Folders of a sweep's jobs that the user names himself, as ``hydra.sweep.subdir`` and ``.dir``."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hand_made import result_of

Dagrec = Callable[..., Any]

SWEEP = ("train", "-m", "model=popularity", "model.ranking=one_hot,counts")
TWICE = ("train", "-m", "model=popularity", "seed=0", "model.ranking=one_hot,counts")


def written(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("subdir", "folders"),
    [
        pytest.param("${hydra.job.num}", ["0", "1"], marks=pytest.mark.slow),  # Hydra's default
        ("${model.ranking}/seed_${seed}", ["one_hot/seed_0", "counts/seed_0"]),
        pytest.param("job_${hydra:job.num}", ["job_0", "job_1"], marks=pytest.mark.slow),
        pytest.param("x/../${hydra.job.num}", ["0", "1"], marks=pytest.mark.slow),
    ],
)
def test_a_named_subdir_is_as_by_default(dagrec: Dagrec, subdir: str, folders: list[str]) -> None:
    words = (*SWEEP, f"hydra.sweep.subdir={subdir}")
    first = dagrec(*words)
    assert (first.code, first.err) == (0, "")
    predictions = [first.run / folder / "predictions.csv" for folder in folders]
    before = [file.stat().st_mtime_ns for file in predictions]
    rows = list(csv.DictReader((first.run / "sweep.csv").read_text().splitlines()))
    assert [row["row"].rpartition("=")[2] for row in rows[:2]] == ["one_hot", "counts"]
    again = dagrec(*words)
    assert again.out.count("finished before") == 2
    assert [file.stat().st_mtime_ns for file in predictions] == before


def test_a_failed_job_in_a_named_subdir_is_exit_code_1(dagrec: Dagrec) -> None:
    words = ("train", "-m", "model=popularity", "seed=0,-1")
    answer = dagrec(*words, "hydra.sweep.subdir=${hydra.job.num}")
    assert answer.code == 1
    assert (answer.run / "sweep.csv").is_file()


def test_jobs_find_the_moment_that_the_sweep_found(dagrec: Dagrec) -> None:
    answer = dagrec(*SWEEP, "hydra.sweep.subdir=${now:%f}_${hydra.job.num}")
    assert answer.code == 0
    assert len({file.parent.name.split("_")[0] for file in answer.run.glob("*/result.json")}) == 1


@pytest.mark.parametrize(
    ("subdir", "told"),
    [
        ("${seed}", "job 0 and job 1 would share the folder {sweep}/0; use ${hydra.job.num}"),
        ("same", "job 0 and job 1 would share the folder {sweep}/same; use"),
        ("a/../${seed}", "job 0 and job 1 would share the folder {sweep}/0; use"),
        (".", "the sweep, job 0 and job 1 would share the folder {sweep}; use"),
        ("..", "job 0 and job 1 would share the folder {above}; use"),
        ("${hydra.job.id}", "hydra.sweep.subdir is not known before its job runs"),
    ],
)
def test_jobs_that_would_share_a_folder_are_refused(
    dagrec: Dagrec, tmp_path: Path, subdir: str, told: str
) -> None:
    answer = dagrec(*TWICE, "hydra.sweep.dir=s", f"hydra.sweep.subdir={subdir}")
    told = told.replace("{sweep}", str(tmp_path / "s")).replace("{above}", str(tmp_path))
    assert told in answer.refusal
    assert written(tmp_path) == []


def test_a_job_around_another_one_is_refused(dagrec: Dagrec, tmp_path: Path) -> None:
    words = ("train", "-m", "data=compositions", "data.path=a,a/b", "hydra.sweep.dir=s")
    answer = dagrec(*words, "hydra.sweep.subdir=${data.path}")
    assert answer.code == 2
    assert f"job 0 would have the folder {tmp_path / 's/a'}, which holds that of job 1" in (
        answer.err
    )
    assert written(tmp_path) == []


def test_a_run_folder_is_no_folder_for_a_sweep(dagrec: Dagrec, tmp_path: Path) -> None:
    assert dagrec("train", "model=popularity", "hydra.run.dir=r").code == 0
    before = written(tmp_path)
    answer = dagrec(*SWEEP, "hydra.sweep.dir=r")
    assert f"{tmp_path / 'r'}: that of a training; nothing is written there" in answer.refusal
    assert written(tmp_path) == before


def test_a_setting_that_looks_up_another_is_kept_as_written(dagrec: Dagrec) -> None:
    answer = dagrec("train", "model=popularity", "seed=3", "threads=${seed}")
    assert answer.code == 0
    assert "threads=${seed}" in answer.result()["overrides"]


def test_a_job_s_number_is_kept_as_its_own(dagrec: Dagrec) -> None:
    """So that the recorded words make the run again, and a launch of some jobs counts as before."""
    answer = dagrec(*SWEEP, "seed=${hydra:job.num}")
    assert (answer.code, answer.err) == (0, "")
    results = [result_of(answer.run / job) for job in "01"]
    assert [result["seeds"] for result in results] == [[0], [1]]
    assert "seed=1" in results[1]["overrides"]
    assert dagrec(*SWEEP, "seed=${hydra:job.num}").out.count("finished before") == 2
