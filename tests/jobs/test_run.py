"""The engine: what it does when a launcher's process dies, and what it counts as done."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import RunError
from dagrec_cli.jobs.job import Job, by_part
from dagrec_cli.jobs.plugins import PoolLauncher
from dagrec_cli.jobs.run import Display, Engine, engine_of
from dagrec_cli.jobs.tables import row_job
from dagrec_cli.jobs.task import WorkerProgress
from dagrec_cli.training.progress import Silent

CtrlC = Callable[[int], Any]
EngineOf = Callable[[str], Engine]

COUNTS = ("model=popularity",)
NETWORK = ("trainer=full_batch", "trainer.epochs=4", "model.hidden=4", "model.embedding_dim=4")
SAME = ("predictions.csv", "model.safetensors")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineOf]:
    """A function of a launcher's name: an engine whose jobs lie in ``rows``."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):

        def engine_with(launcher: str) -> Engine:
            words = [f"hydra/launcher={launcher}"]
            hydra = compose("reproduce", words, return_hydra_config=True).hydra
            return engine_of(hydra, tmp_path / "rows")

        yield engine_with


def run(engine: Engine, jobs: Sequence[Job], *, resume: bool = True) -> list[str]:
    """Run jobs and return what is said of them, without numbers and times."""
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        engine.run(jobs, Display(len(jobs), Silent()), resume=resume)
    return [line.partition("] ")[2] for line in said.getvalue().splitlines()]


class Deadly:
    """Stands for a launcher of two processes, one of which dies of seed 1."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.launched: list[list[str]] = []

    def launch(self, pool: Any, jobs: Sequence[Sequence[str]], number: int) -> Any:
        seeds = [next(word[5:] for word in job if word.startswith("seed=")) for job in jobs]
        self.launched.append(seeds)
        basic: Any = BasicLauncher()
        context, task, config = pool._job
        basic.setup(hydra_context=context, task_function=task, config=config)
        for seed, job in zip(seeds, jobs, strict=True):
            if seed == "1":
                folder = next(word for word in job if word.startswith("hydra.sweep.subdir="))
                Path(folder.partition("=")[2].strip("'")).mkdir(parents=True, exist_ok=True)
                raise self.error
            basic.launch([job], number)


def test_a_job_whose_process_dies_takes_only_those_that_had_begun_along(
    engine: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = Deadly(RuntimeError("a worker was\nkilled"))
    monkeypatch.setattr(PoolLauncher, "launch", lambda *words: deadly.launch(*words))
    rows = engine("pool")
    jobs = [row_job(rows, f"job {seed}", [*COUNTS, f"seed={seed}"]) for seed in range(4)]
    lines = run(rows, jobs)
    assert deadly.launched == [["0", "1", "2", "3"], ["1"], ["2", "3"]]
    assert [line.split(":")[0] for line in lines] == ["job 0", "job 1", "job 2", "job 3"]
    assert lines[1] == "job 1: failed: its process died: RuntimeError: a worker was killed"
    assert [bool(job.state.run) for job in jobs] == [True, False, True, True]


def test_a_job_that_ended_just_before_ctrl_c_is_shown(
    engine: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagrec_cli.jobs.job.POLL", 60.0)
    deadly = Deadly(KeyboardInterrupt())
    monkeypatch.setattr(PoolLauncher, "launch", lambda *words: deadly.launch(*words))
    rows = engine("pool")
    jobs = [row_job(rows, f"job {seed}", [*COUNTS, f"seed={seed}"]) for seed in range(2)]
    display, said = Display(len(jobs), Silent()), StringIO()
    with redirect_stdout(said), pytest.raises(KeyboardInterrupt, match="continues"):
        rows.run(jobs, display, resume=True)
    assert display.reached == {jobs[0].folder}
    assert "job 0: accuracy ." in said.getvalue()


def test_a_job_beside_others_says_which_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    WorkerProgress(tmp_path / "stop", str(tmp_path / "rows/a")).say("seed 0: it still rose")
    assert capsys.readouterr().err == "rows/a: seed 0: it still rose\n"


def test_a_launcher_that_cannot_start_is_one_line(
    engine: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: Any) -> None:
        raise RuntimeError("no srun here")

    monkeypatch.setattr(PoolLauncher, "launch", fail)
    rows = engine("pool")
    with pytest.raises(RunError, match=r"=pool could not start a job: RuntimeError: no srun here$"):
        run(rows, [row_job(rows, "job", COUNTS)])


def test_a_job_that_was_stopped_continues(
    engine: EngineOf, tmp_path: Path, ctrl_c_in: CtrlC
) -> None:
    rows = engine("basic")
    whole, halved = (row_job(rows, name, [*NETWORK, f"seed={name}"]) for name in "12")
    other = Job("whole", halved.overrides, tmp_path / "whole", halved.config)
    assert run(rows, [other])[0].startswith("whole: accuracy .")
    with ctrl_c_in(3), pytest.raises(KeyboardInterrupt, match="the same command continues"):
        run(rows, [halved, whole])
    assert (halved.state.reason, whole.state.reason) == ("interrupted", "did not start")
    with ctrl_c_in(2):  # the second epoch that is left does not come
        run(rows, [halved])
    for name in SAME:
        assert (other.folder / name).read_bytes() == (halved.folder / name).read_bytes()


def test_what_is_done_is_reused_unless_it_is_damaged(engine: EngineOf) -> None:
    rows = engine("basic")
    job = row_job(rows, "job", COUNTS)
    assert run(rows, [job])[0].startswith("job: accuracy .")
    assert run(rows, [job])[0].startswith("job: finished before: accuracy .")
    assert run(rows, [job], resume=False)[0].startswith("job: accuracy .")
    (job.folder / "predictions.csv").write_text("damaged")
    assert "predictions.csv" in job.state.reason
    assert run(rows, [job])[0].startswith("job: accuracy .")


def test_a_folder_with_other_settings_is_not_done(engine: EngineOf) -> None:
    rows = engine("basic")
    job = row_job(rows, "job", COUNTS)
    run(rows, [job])
    other = row_job(rows, "other", [*COUNTS, "seed=1"])
    there = Job("other", other.overrides, job.folder, other.config)
    assert there.state.reason == "its folder holds a run of other settings, data or version"


def test_rows_on_two_files_are_two_jobs_and_two_ways_of_reading_one_are_one(
    engine: EngineOf,
) -> None:
    rows = engine("pool")

    def folder(*words: str) -> Path:
        return row_job(rows, "job", ["data=compositions", *words]).folder

    first = folder("data.path=a.jsonl")
    assert folder("data.path=b.jsonl") != first  # what is in them is not known before they are read
    assert folder("data.path=a.jsonl", "seed=1") != first
    assert folder("data.path=a.jsonl", "data.cache=false", "threads=2", "logger=mlflow") == first


def test_a_job_whose_split_has_parts_is_a_job_for_each(engine: EngineOf) -> None:
    rows = engine("basic")
    (alone,) = by_part(job := row_job(rows, "job", COUNTS))
    assert alone is job
    (named,) = by_part(row_job(rows, "job", [*COUNTS, "split.folds=2", "split.part=1"]))
    assert named.name == "job"
    words = [*COUNTS, "data.compositions=60", "split.repeats=2"]
    parts = by_part(whole := row_job(rows, "job", words))
    assert [part.folder for part in parts] == [whole.folder / f"part{k}" for k in (0, 1)]
    assert [line.partition(": ")[0] for line in run(rows, parts)] == [
        f"job split.part={k}" for k in (0, 1)
    ]
    tested = [part.state.run.finished.data.part for part in parts if part.state.run]
    assert [(part.number, part.of) for part in tested if part] == [(0, 2), (1, 2)]
    assert all("finished before" in line for line in run(rows, by_part(whole)))
