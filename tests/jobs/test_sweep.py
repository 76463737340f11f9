"""The folder of a sweep, and the table over what its jobs left."""

from pathlib import Path

from omegaconf import OmegaConf

from dagrec_cli.jobs.job import Job
from dagrec_cli.jobs.sweep import add_reasons, newest_sweep, sweep_entries, sweep_table
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.record import SweepRequest, write_failure, write_record


def job_in(folder: Path) -> Job:
    return Job(f"job {folder.name} seed={folder.name}", (), folder, OmegaConf.create())


def test_the_newest_sweep_with_the_same_overrides(tmp_path: Path) -> None:
    for name, overrides in [("1", ["a=1"]), ("2", ["a=1"]), ("3", ["a=1", "b=2"])]:
        write_record(RunFolder(tmp_path / name), SweepRequest(overrides))
    (tmp_path / "4").mkdir()
    (tmp_path / "4/sweep_request.json").write_text('["a=')
    assert newest_sweep(tmp_path, ["a=1"]) == tmp_path / "2"
    assert newest_sweep(tmp_path, ["b=2", "a=1"]) is None


def test_jobs_without_a_result_are_rows_with_a_reason(tmp_path: Path) -> None:
    write_failure(RunFolder(tmp_path / "0"), Request({}, []), "=1+1")
    jobs = [job_in(tmp_path / name) for name in "01"]
    table = sweep_table(sweep_entries(jobs, []), n_jobs=2, metric="ndcg")
    assert table.title == "2 jobs, 2 not finished"
    assert table.notes == [
        "Not finished: job 0 seed=0: =1+1",
        "Not finished: job 1 seed=1: did not start",
    ]
    table.save(RunFolder(tmp_path))
    add_reasons(table, RunFolder(tmp_path))
    head, *lines = (tmp_path / "sweep.csv").read_text().splitlines()
    assert head.startswith("row,mark,accuracy,")
    assert head.endswith(",reason")
    assert [line.split(",")[0::2][0] for line in lines] == ["job 0 seed=0", "job 1 seed=1"]
    assert [line.split(",")[-1] for line in lines] == ["'=1+1", "did not start"]
