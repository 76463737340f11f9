"""``dagrec train -m``: one table over all jobs, whatever came of them, and the rest next time."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.models.popularity import Popularity
from dagrec_cli.runs.folder import RunFolder
from hand_made import result_of

Dagrec = Callable[..., Any]

SWEEP = ("train", "-m", "model=popularity", "model.ranking=one_hot,counts")
LAUNCHERS = [
    ("", "pool"),
    ("hydra_joblib_launcher", "joblib"),
    ("hydra_submitit_launcher", "submitit_local"),
    ("hydra_ray_launcher", "ray"),
]


def rows_of(sweep: Path) -> list[dict[str, str]]:
    """The table's rows without their seconds, and without the ceilings."""
    with (sweep / "sweep.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if "ceiling" not in row["row"]]
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def stamps(sweep: Path) -> list[int]:
    return [file.stat().st_mtime_ns for file in sorted(sweep.glob("*/predictions.csv"))]


def fail_at(monkeypatch: pytest.MonkeyPatch, ranking: str, error: BaseException) -> None:
    count = Popularity.count

    def failing(self: Popularity, *words: Any) -> None:
        if self.ranking == ranking:
            raise error
        count(self, *words)

    monkeypatch.setattr(Popularity, "count", failing)


def test_a_row_per_combination_with_its_seeds_pooled(dagrec: Dagrec) -> None:
    words = ["model=popularity,gru4rec", "seed=0,1", "trainer=full_batch", "trainer.epochs=1"]
    answer = dagrec("train", "-m", *words)
    assert (answer.code, answer.err) == (0, "")
    rows = rows_of(answer.run)
    assert [(row["row"], row["seeds"]) for row in rows] == [("popularity", "2"), ("gru4rec", "2")]
    of_job = [result_of(answer.run / job)["metrics"]["ndcg"]["mean"] for job in "0123"]
    assert float(rows[1]["ndcg"]) == pytest.approx((of_job[2] + of_job[3]) / 2)
    assert float(rows[1]["ndcg_std"]) == pytest.approx(abs(of_job[2] - of_job[3]) / 2**0.5)
    assert {row["mark"] for row in rows} == {"best", "≈ best"}  # two seeds cannot tell
    assert (answer.run / "sweep.md").read_text().count("ceiling of the ") == 3
    assert {file.suffix for file in answer.run.glob("sweep.*")} == {".csv", ".md", ".tex", ".json"}
    told = [line.split(": accuracy ")[0] for line in answer.out.splitlines()[:4]]
    assert [line.split("] ")[1] for line in told] == [
        f"job {k} model={model} seed={seed}"
        for k, (model, seed) in enumerate([(m, s) for m in ("popularity", "gru4rec") for s in "01"])
    ]
    assert re.fullmatch(r"\[4/4 \d+:\d\d\] job 3 .*", told[3])  # however busy the machine is


def test_all_parts_of_a_split_are_one_row(dagrec: Dagrec) -> None:
    words = ("data.compositions=60", "split.folds=2", "hydra.run.dir=x")
    answer = dagrec("train", "model=popularity", *words)
    sweep = answer.folder / "x"
    assert (answer.code, answer.err, answer.runs) == (0, "", [])
    told = [line.split(": accuracy ")[0].split("] ")[1] for line in answer.out.splitlines()[:2]]
    assert told == ["job 0 split.part=0", "job 0 split.part=1"]
    (row,) = rows_of(sweep)
    each = [result_of(sweep / f"0/part{k}")["metrics"]["ndcg"]["mean"] for k in (0, 1)]
    assert (row["row"], row["parts"]) == ("popularity", "2")
    assert float(row["ndcg"]) == pytest.approx(sum(each) / 2)


def test_the_report_shows_rows_and_reasons(dagrec: Dagrec) -> None:
    answer = dagrec("train", "-m", "model=popularity", "seed=0,-1")
    page = (answer.run / "report.html").read_text()
    assert "job 1 seed=-1" in page
    assert "seed is -1; use a whole number" in page
    assert page.count("<svg") > 3


def test_a_failing_job_does_not_stop_the_others(dagrec: Dagrec) -> None:
    answer = dagrec("train", "-m", "model=popularity", "seed=-1,0")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "job 0 seed=-1: failed: seed is -1; use a whole number" in answer.err
    results = [result_of(answer.run / job) for job in "01"]
    assert [result["status"] for result in results] == ["failed", "finished"]
    finished, failed = rows_of(answer.run)
    assert (finished["seeds"], finished["reason"]) == ("1", "")
    assert (failed["row"], failed["mark"]) == ("job 0 seed=-1", "failed")
    assert failed["reason"] == results[0]["error"]


def test_all_failed_is_a_table_too(dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: Any) -> None:
        raise ZeroDivisionError("no pairs")

    monkeypatch.setattr(Popularity, "count", fail)
    answer = dagrec("train", "-m", "model=popularity", "seed=0,1")
    assert answer.code == 1
    assert answer.err.count("failed: ZeroDivisionError: no pairs\n") == 2
    assert [row["reason"] for row in rows_of(answer.run)] == ["ZeroDivisionError: no pairs"] * 2


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("model=popularity,gru4rek", "did you mean gru4rec?"),
        ("hydra.launcher._target_=os.system", "hydra.launcher is 'os.system', no launcher of"),
        ("hydra.sweeper.max_batch_size=0", "hydra.sweeper.max_batch_size is 0; use a whole"),
        ("seed=range(0,2000000)", "2,000,000 jobs are asked for; give values for one or more, 10"),
        ("seed=range(5,0)", "0 jobs are asked for; give values for one or more, 10,000 at most."),
        ("seed=range(0,9,0)", "seed=range(0,9,0): a range has two ends, and a step that is not 0."),
    ],
)
def test_a_mistake_stops_before_the_first_job(
    dagrec: Dagrec, tmp_path: Path, word: str, told: str
) -> None:
    assert told in dagrec("train", "-m", "hydra.sweep.dir=s", word).refusal
    assert not list(tmp_path.iterdir())


def test_the_same_sweep_again_tries_only_what_is_missing(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, "counts", ZeroDivisionError("no pairs"))
        first = dagrec(*SWEEP)
    assert (first.code, len(stamps(first.run))) == (1, 1)
    before = stamps(first.run)
    second = dagrec(*SWEEP)
    assert (second.code, second.err) == (0, "")
    assert stamps(second.run)[0] == before[0]
    said = [line.split(": ")[1].split()[0] for line in second.out.splitlines()[:2]]
    assert said == ["finished", "accuracy"]
    assert [row["mark"] for row in rows_of(second.run)].count("failed") == 0
    other = dagrec(*SWEEP, "seed=3")
    assert len(other.runs) == 2


def test_two_processes_on_one_sweep(dagrec: Dagrec, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    assert dagrec(*SWEEP, "hydra.sweep.dir=sweep").code == 0
    before = stamps(sweep)
    with RunFolder(sweep).locked():
        second = dagrec(*SWEEP, "hydra.sweep.dir=sweep", "rerun=true")
    assert second.code == 2
    assert "sweep is in use by another process; wait for it" in second.err
    assert "hydra.sweep.dir=FOLDER" in second.err
    assert stamps(sweep) == before


def test_rerun_begins_a_new_folder(dagrec: Dagrec) -> None:
    first = dagrec(*SWEEP)
    before = stamps(first.run)
    again = dagrec(*SWEEP, "rerun=true")
    assert len(again.runs) == 2
    assert stamps(again.runs[0]) == before
    assert "finished before" not in again.out


def test_changed_data_are_not_reused(dagrec: Dagrec, tmp_path: Path) -> None:
    link = {"source": "t1", "target": 1}
    chain = {
        "nodes": [{"id": "t1"}, {"id": 1, "mid": "a"}, {"id": 2, "mid": "b"}],
        "links": [link, {"source": 1, "target": 2}],
    }
    data = tmp_path / "mine.jsonl"
    words = (*SWEEP, "data=compositions", "data.path=mine.jsonl", "hydra.sweep.dir=outputs/train/s")
    for n, expected in [(9, 0), (9, 2), (12, 0)]:
        data.write_text(f"{json.dumps(chain)}\n" * n)
        assert dagrec(*words).out.count("finished before") == expected


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (["split=composition", "split.folds=3"], "only 1 group of compositions can be dealt out"),
        (["split=prequential"], "split=prequential needs"),
    ],
)
def test_what_no_part_can_do_is_said_once(
    dagrec: Dagrec, tmp_path: Path, split: list[str], message: str
) -> None:
    nodes = [{"id": "t1"}, {"id": 1, "mid": "a"}, {"id": 2, "mid": "b"}]
    links = [{"source": "t1", "target": 1}, {"source": 1, "target": 2}]
    line = json.dumps({"nodes": nodes, "links": links})
    (tmp_path / "mine.jsonl").write_text(f"{line}\n" * 9)
    words = ["data=compositions", "data.path=mine.jsonl", "model=popularity", *split]
    assert message in dagrec("train", *words).refusal
    assert not (tmp_path / "outputs").exists()


def test_ctrl_c_leaves_the_table_of_what_is_finished(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, "counts", KeyboardInterrupt())
        answer = dagrec(*SWEEP)
    assert answer.code == 130
    assert answer.err.endswith("interrupted; the same command continues with the rest.\n")
    assert [row["mark"] for row in rows_of(answer.run)] == ["", "failed"]
    again = dagrec(*SWEEP)
    assert (again.code, again.out.count("finished before")) == (0, 1)


PRESS = """
import os, signal, sys
from dagrec_cli.cli import main

class Press:
    at = sys.argv.pop(1)

    def find_spec(self, name, path=None, target=None):
        if name == self.at:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
main()
"""


@pytest.mark.parametrize(
    "module", ["matplotlib.ft2font", pytest.param("pandas.core.api", marks=pytest.mark.slow)]
)
def test_ctrl_c_during_an_import_does_not_import_again(tmp_path: Path, module: str) -> None:
    """The one ended in a segmentation fault, the other in an AttributeError of matplotlib's."""
    command = [sys.executable, "-c", PRESS, module, *SWEEP]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)
    assert last == "dagrec train: interrupted; the same command continues with the rest."


def test_a_missing_launcher_names_its_extra(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagrec_cli.app import hints

    monkeypatch.setattr(hints, "LAUNCHERS", ("cloud_batch",))
    answer = dagrec("train", "-m", "hydra/launcher=cloud_batch")
    assert answer.code == 2
    assert "hydra/launcher=cloud_batch needs an extra; " in answer.err
    assert answer.err.endswith("[cloud]'.\n")


def dagrec_process(folder: Path, *words: str) -> tuple[int, list[str], Path]:
    """Run a command as users do: launchers pickle what the instrumented one here does not let."""
    command = [sys.executable, "-m", "dagrec_cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = sorted(line.split("] ")[1] for line in done.stdout.splitlines() if line[0] == "[")
    return done.returncode, told, max(folder.glob("outputs/train/*"))


@pytest.mark.slow
@pytest.mark.parametrize(("package", "launcher"), LAUNCHERS)
def test_every_launcher_gives_the_same_table(tmp_path: Path, package: str, launcher: str) -> None:
    if package:
        pytest.importorskip(
            f"hydra_plugins.{package}", reason=f"hydra/launcher={launcher}: no extra"
        )
    words = ("train", "-m", "model=popularity,gru4rec", "seed=0,-1", "trainer.epochs=2")
    code, told, plain = dagrec_process(tmp_path, *words)
    again = dagrec_process(tmp_path, *words, f"hydra/launcher={launcher}", "rerun=true")
    assert (code, told) == again[:2] == (1, told)
    assert plain != again[2]
    assert rows_of(plain) == rows_of(again[2])


@pytest.mark.slow
def test_a_killed_worker_takes_only_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    (tmp_path / "sitecustomize.py").write_text(DEATH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    words = ("train", "-m", "model=popularity", "seed=0,1,2", "hydra/launcher=joblib")
    code, told, sweep = dagrec_process(tmp_path, *words)
    finished, failed = rows_of(sweep)
    assert (code, len(told)) == (1, 2)
    assert (finished["seeds"], failed["row"]) == ("2", "job 1 seed=1")
    assert failed["reason"].startswith("its process died: TerminatedWorkerError")


DEATH = """
import importlib.util, os, sys

class Finder:  # seed 1 is deadly
    def find_spec(self, name, path=None, target=None):
        if name == "dagrec_cli.experiment.components":
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            fill = spec.loader.exec_module

            def exec_module(module):
                fill(module)
                seed_everything = module.seed_everything
                module.seed_everything = lambda seed: (
                    os.kill(os.getpid(), 9) if seed == 1 else seed_everything(seed)
                )

            spec.loader.exec_module = exec_module
            return spec

sys.meta_path.insert(0, Finder())
"""
