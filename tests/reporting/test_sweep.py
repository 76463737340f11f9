import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.jobs.sweep_folder import (
    has_ended,
    newest_sweep,
    outcome,
    save_sweep_table,
    sweep_entries,
    sweep_table,
    write_death,
    write_sweep_request,
)
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import state_of, whole_run


def write_result(path: Path, **content: Any) -> Path:
    path.mkdir()
    (path / "result.json").write_text(json.dumps(content))
    return path


def test_the_newest_sweep_with_the_same_overrides(tmp_path: Path) -> None:
    for name, overrides in [("1", ["a=1"]), ("2", ["a=1"]), ("3", ["a=1", "b=2"])]:
        write_sweep_request(RunFolder(tmp_path / name), overrides)
    (tmp_path / "4").mkdir()
    (tmp_path / "4/sweep_request.json").write_text('["a=')
    assert newest_sweep(tmp_path, ["a=1"]) == tmp_path / "2"
    assert newest_sweep(tmp_path, ["b=2", "a=1"]) is None


def test_a_result_from_before_the_sitting_does_not_count(tmp_path: Path) -> None:
    job = write_result(tmp_path / "0", status="failed")
    write_sweep_request(RunFolder(tmp_path), [])
    assert not has_ended(job, tmp_path)
    (job / "result.json").touch()
    assert has_ended(job, tmp_path)
    assert not has_ended(tmp_path / "1", tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "stopped without a result"),
        ('{"status": "fini', "damaged"),
        ('{"status": "interrupted"}', "interrupted"),
        ('{"status": "failed", "error": "seed is -1"}', "seed is -1"),
        ('{"status": "finished"}', "no data in it"),
    ],
)
def test_why_a_job_did_not_finish(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    assert expected in state_of(tmp_path).reason


def test_a_job_that_did_not_start(tmp_path: Path) -> None:
    assert state_of(tmp_path / "0").reason == "did not start"


def test_a_death_is_a_failure(tmp_path: Path) -> None:
    write_death(tmp_path, "WorkerCrashedError", ["seed=1"])
    assert outcome(tmp_path, tmp_path) == ("failed: its process died: WorkerCrashedError", False)


def test_jobs_without_a_result_are_rows_with_a_reason(tmp_path: Path) -> None:
    jobs = {
        write_result(tmp_path / "0", status="failed", error="=1+1"): "job 0 seed=0",
        tmp_path / "1": "job 1 seed=1",
    }
    table = sweep_table(sweep_entries(jobs), n_jobs=2, metric="ndcg")
    assert table.title == "2 jobs, 2 not finished"
    assert table.notes == [
        "Not finished: job 0 seed=0: =1+1",
        "Not finished: job 1 seed=1: did not start",
    ]
    save_sweep_table(table, RunFolder(tmp_path))
    head, *lines = (tmp_path / "sweep.csv").read_text().splitlines()
    assert head.startswith("row,mark,accuracy,")
    assert head.endswith(",reason")
    assert [line.split(",")[0::2][0] for line in lines] == ["job 0 seed=0", "job 1 seed=1"]
    assert [line.split(",")[-1] for line in lines] == ["'=1+1", "did not start"]


def test_jobs_with_seeds_in_common_count_them_once(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """``-m seeds=[0,1],[1,2]``: three seeds of one row."""
    for job, seeds in enumerate([(0, 1), (1, 2)]):
        run_of(tmp_path / str(job), seeds=seeds, started=f"2026-01-0{job + 1}")
    (entry,) = sweep_entries({tmp_path / "0": "job 0", tmp_path / "1": "job 1"})
    assert [run.result["seeds"] for run in entry.runs] == [[0], [1, 2]]


def test_a_job_whose_predictions_do_not_fit_is_run_again(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    path = run_of(tmp_path / "0").path
    assert whole_run(path)
    file = path / "predictions.csv"
    file.write_text(file.read_text().replace('"7","3"', '"7","-7"'))
    assert whole_run(path) is None
    assert "does not fit result.json: composition -7, but there are 5" in state_of(path).reason
