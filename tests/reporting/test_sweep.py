import json
from pathlib import Path
from typing import Any

from dagrec_cli.reporting.sweep import sweep_table


def job(folder: Path, number: int, status: str, *overrides: str, **more: Any) -> None:
    path = folder / str(number)
    path.mkdir()
    result = {"status": status, "overrides": overrides, **more}
    (path / "result.json").write_text(json.dumps(result))


def test_jobs_in_order_with_what_differs(tmp_path: Path) -> None:
    metrics = {"accuracy": {"mean": 0.5, "std": None, "low": 0.4, "high": 0.6}}
    for number in (10, 2):
        job(tmp_path, number, "finished", "a=1", f"seed={number}", metrics=metrics)
    (tmp_path / "multirun.yaml").touch()
    table, n_failed = sweep_table(tmp_path)
    assert n_failed == 0
    assert [(row["job"], row["overrides"]) for row in table.rows] == [
        ("2", "seed=2"),
        ("10", "seed=10"),
    ]
    assert table.rows[0]["accuracy"] == metrics["accuracy"]
    assert table.notes == []


def test_a_job_that_did_not_finish_is_named_with_its_reason(tmp_path: Path) -> None:
    job(tmp_path, 0, "failed", "seed=-1", error="seed is -1")
    job(tmp_path, 1, "interrupted", "seed=1")
    (tmp_path / "2").mkdir()
    (tmp_path / "3").mkdir()
    (tmp_path / "3/result.json").write_text('{"status": "fini')
    table, n_failed = sweep_table(tmp_path)
    assert n_failed == 4
    assert table.title == "4 jobs, 4 not finished"
    assert [row["status"] for row in table.rows] == ["failed", "interrupted", "missing", "missing"]
    assert table.notes == [
        "job 0: seed is -1",
        "job 1: interrupted",
        "job 2: result.json is missing or damaged",
        "job 3: result.json is missing or damaged",
    ]


def test_a_single_job_shows_all_its_overrides(tmp_path: Path) -> None:
    job(tmp_path, 0, "finished", "model=popularity", "seed=1")
    assert sweep_table(tmp_path)[0].rows[0]["overrides"] == "model=popularity seed=1"
