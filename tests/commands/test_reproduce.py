"""``dagrec reproduce``: rows run apart, verdicts, what is reused, and what survives trouble."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from begun import begun
from dagrec_cli.config.where import config_dir
from dagrec_cli.evaluation.ceiling import CEILINGS
from dagrec_cli.runs.folder import RunFolder, is_in_use

Dagrec = Callable[..., Any]
Tabled = Callable[..., Any]

TINY = ["model.hidden=4", "model.embedding_dim=4"]


def write_table(folder: Path, rows: list[dict[str, Any]], **more: Any) -> None:
    content = {"title": "Mine", "base": ["trainer.epochs=2"], "seeds": [0, 1]}
    (folder / "own/table").mkdir(parents=True, exist_ok=True)
    (folder / "own/table/mine.yaml").write_text(yaml.dump({**content, "rows": rows, **more}))


@pytest.fixture
def tabled(dagrec: Dagrec, tmp_path: Path) -> Tabled:
    """A function of rows and words: ``dagrec reproduce`` of a table of these rows, in turn."""

    def answer(rows: list[dict[str, Any]], *words: str, **more: Any) -> Any:
        write_table(tmp_path, rows, **more)
        shared = ("-cd", "own", "table=mine", "progress=false", "hydra/launcher=basic")
        return dagrec("reproduce", *shared, *words)

    return answer


def row(name: str, *overrides: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "overrides": list(overrides), **more}


def newest(folder: Path) -> Path:
    return max(folder.glob("outputs/reproduce/2*"))


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((newest(folder) / "mine.json").read_text())["rows"]
    return {each["row"]: each for each in found}


def results(folder: Path) -> dict[Path, dict[str, Any]]:
    files = sorted(folder.glob("outputs/reproduce/rows/*/result.json"))
    return {file.parent: json.loads(file.read_text()) for file in files}


def begun_at(folder: Path) -> dict[Path, int]:
    files = folder.glob("outputs/reproduce/rows/*/request.json")
    return {file.parent: file.stat().st_mtime_ns for file in files}


def test_a_row_that_fails_is_shown_and_tried_again(tabled: Tabled, tmp_path: Path) -> None:
    rows = [
        row("counts", "model=popularity"),
        row("pairs", "model=markov"),
        row("broken", "model=gru4rec", "model.hidden=0"),
        row("pairs again", "model=markov"),
    ]
    answer = tabled(rows)
    assert answer.code == 1
    assert answer.err.startswith("dagrec reproduce: mine: row 'broken' failed: model.hidden is 0")
    assert answer.err.count("\n") == 1
    found = rows_of(tmp_path)
    assert found["pairs"]["accuracy"] == found["pairs again"]["accuracy"]
    assert found["counts"]["accuracy"] != found["pairs"]["accuracy"]
    assert "Not finished: broken: model.hidden is 0" in " ".join(answer.out.split())
    assert len(results(tmp_path)) == 3  # equal rows are one job
    assert {file.suffix for file in newest(tmp_path).glob("mine.*")} == {
        *(".csv", ".json", ".md", ".tex")
    }
    before = begun_at(tmp_path)
    assert tabled(rows).code == 1
    assert begun_at(tmp_path) == before
    assert rows_of(tmp_path)["pairs"] == found["pairs"]
    rows[2] = row("fixed", "model=backoff")
    assert tabled(rows, "resume=false").code == 0
    assert all(begun_at(tmp_path)[folder] > stamp for folder, stamp in before.items())


def test_verdicts_beside_what_is_published(tabled: Tabled, tmp_path: Path) -> None:
    assert tabled([row("counts", "model=popularity")]).code == 0
    ours = {k: v["mean"] for k, v in next(iter(results(tmp_path).values()))["metrics"].items()}
    given = {
        "reference": {
            "outcomes": [[ours["accuracy"], ours["f1"]]],
            "ndcg": [ours["ndcg"], ours["ndcg"]],
        },
        "tolerance": {"outcome": 0.001, "ndcg": 0.001},
    }
    paper = {name: ours[name] for name in ("accuracy", "ndcg", "f1")}
    higher = {**paper, "accuracy": ours["accuracy"] + 0.1}
    other = {**given, "reference": {**given["reference"], "ndcg": [0.1, 0.2]}}
    rows = [
        row("same", "model=popularity", paper=paper, **given),
        row("lucky", "model=popularity", paper=higher, why="a lucky seed", **given),
        row("counts", "model=markov"),
    ]
    answer = tabled(rows)
    assert (answer.code, answer.err) == (0, "")
    told = json.loads((newest(tmp_path) / "mine_paper.json").read_text())["rows"]
    assert [(each["row"], each["metric"], each["verdict"]) for each in told] == [
        (name, metric, verdict)
        for name, verdict in (
            ("same", "reproduced"),
            ("lucky", "not reproduced: a lucky seed"),
        )
        for metric in ("accuracy", "nDCG", "F1")
    ]
    assert told[3]["difference"] == pytest.approx(-0.1)
    page = (newest(tmp_path) / "mine_paper.md").read_text()
    assert [page.count(once) for once in ("| lucky |", "not reproduced: a lucky seed")] == [1, 1]
    claims = {
        "published": {"accuracy": 0.9, "ndcg@3": 0.3},
        "notebook": {"accuracy": ours["accuracy"] + 0.01, "f1": ours["f1"] + 0.5},
    }
    answer = tabled(
        [
            row("missed", "model=popularity", paper=paper, **other),
            row("claimed", "model=popularity", **claims),
        ]
    )
    assert answer.code == 1
    assert "mine: row 'missed': MISSED in 2 of 2 seeds" in answer.err
    assert "mine: row 'claimed': F1 -0.500 to its notebook" in answer.err
    bounds = rows_of(tmp_path)[CEILINGS["context"][0]]
    above = 0.9 - bounds["accuracy"]["mean"]
    told = json.loads((newest(tmp_path) / "mine_published.json").read_text())["rows"]
    assert [(each["metric"], each["verdict"]) for each in told] == [
        ("accuracy", f"above the bound of its own test labels by {above:.4f}; as its notebook"),
        ("nDCG@3", "within its bound"),
        ("F1", "-0.500 to its notebook"),
    ]
    assert [each["bound"] for each in told] == [bounds["accuracy"], bounds["ndcg@3"], None]


@pytest.mark.slow
def test_a_table_for_each_split_and_its_report(tabled: Tabled, tmp_path: Path) -> None:
    rows = [row("counts", "model=popularity"), row("pairs", "model=markov")]
    words = ("seeds=[0]", "progress=auto")
    variant = {"name": "whole ones", "overrides": ["split=composition", "data.seed=1"]}
    answer = tabled(rows, *words, vary=["split=paper", variant])
    assert answer.code == 0
    told = answer.out.splitlines()[:4]
    assert [line.split()[0] for line in told] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert sum("mine_whole_ones: pairs: accuracy ." in line for line in told) == 1
    names = {path.name for path in newest(tmp_path).iterdir()}
    assert {"mine_split_paper.csv", "mine_whole_ones.csv", "report.html"} <= names
    ranks = json.loads((newest(tmp_path) / "mine_ranks.json").read_text())
    assert ranks["columns"] == ["row", "mark", "mean_rank", "split=paper", "whole ones"]
    assert "mine_ranks_diagram.svg" in {f.name for f in (newest(tmp_path) / "pictures").iterdir()}
    assert len(results(tmp_path)) == 4
    assert all(len(each["seeds"]) == 1 for each in results(tmp_path).values())


def test_rows_and_tables_of_one_s_own(tabled: Tabled, tmp_path: Path) -> None:
    (tmp_path / "own/model").mkdir(parents=True)
    model = yaml.safe_load((config_dir() / "model/popularity.yaml").read_text())
    (tmp_path / "own/model/counts.yaml").write_text(yaml.dump({**model, "ranking": "counts"}))
    rows = [row("theirs", "model=popularity"), row("mine", "model=counts")]
    assert tabled(rows, metrics=["ndcg@2"], average="both").code == 0
    assert (newest(tmp_path) / "mine_by_composition.md").is_file()
    found = rows_of(tmp_path)
    for metric in ("ndcg", "ndcg@2"):
        assert found["mine"][metric]["mean"] > found["theirs"][metric]["mean"]
    (tmp_path / "own/table/both.yaml").write_text("tables: [mine, losses]")
    answer = tabled(rows, "table=both", "seeds=[0,0]")
    assert "seeds is [0, 0]" in answer.err
    (tmp_path / "own/table/both.yaml").write_text("tables: [mine, nowhere]")
    answer = tabled(rows, "table=both")
    assert "table nowhere does not exist" in answer.refusal


@pytest.mark.slow
def test_rows_with_other_test_pairs_are_told_apart_in_the_report(
    tabled: Tabled, tmp_path: Path
) -> None:
    rows = [row("a", "model=popularity"), row("b", "model=popularity", "split.seed=7")]
    answer = tabled(rows, "seeds=[0]")
    assert (answer.code, answer.err) == (0, "")
    found = json.loads((newest(tmp_path) / "mine.json").read_text())["rows"]
    ceilings = [name for name, _ in CEILINGS.values()]
    assert [(each["test"], each["row"]) for each in found] == [
        (test, name)
        for test, first in (("test 1", "a"), ("test 2", "b"))
        for name in (first, *ceilings)
    ]
    assert {"mine_1_accuracy.svg", "mine_2_accuracy.svg"} <= {
        path.name for path in (newest(tmp_path) / "pictures").iterdir()
    }


PAPER = {"accuracy": 0.5, "ndcg": 0.5, "f1": 0.5}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rows": []}, "length >= 1 at `rows`"),
    ({"rows": {"a": 1}}, "Expected `array`, got `object` at `rows`"),
    ({"rows": ["a"]}, "got `str` at `rows[0]`"),
    ({"rows": [{"name": "a", "overrides": []}], "metrics": ["hr"]}, "metrics is 'hr'; did you"),
    ({"rows": [row("a")], "average": "all"}, "Invalid enum value 'all' at `average`"),
    ({"rows": [{"name": "a"}]}, "missing required field `overrides`"),
    ({"rows": [{"name": 1, "overrides": []}]}, "Expected `str`, got `int` at `rows[0].name`"),
    ({"rows": [{"name": "", "overrides": []}]}, "length >= 1 at `rows[0].name`"),
    ({"rows": [{"name": "a", "overrides": "seed=1"}]}, "at `rows[0].overrides`"),
    ({"rows": [{"name": "a", "overrides": [], "papr": PAPER}]}, "unknown field `papr`"),
    ({"rows": [{"name": "a", "overrides": [], "paper": PAPER}]}, "row 'a' has a paper but no"),
    ({"rows": [row("a"), row("a")]}, "2 rows are called 'a'"),
    ({"rows": [row("a")], "seeds": None}, "at `seeds`"),
    ({"rows": [row("a")], "base": "seed=1"}, "at `base`"),
    ({"rows": [row("a")], "vary": []}, "length >= 1 at `vary`"),
    ({"rows": [row("a")], "vary": [{"name": "b"}]}, "field `overrides` at `vary[0]`"),
    ({"rows": [row("a")], "vary": ["seed=1", "seed=1"]}, "2 entries of vary are called 'seed_1'"),
    ({"rows": [row("a")], "more": 1}, "unknown field `more`"),
    (
        {"rows": [row(str(k)) for k in range(101)], "vary": [f"seed={k}" for k in range(100)]},
        "10,100 jobs are asked for; give values for one or more, 10,000 at most.",
    ),
    (
        {"rows": [row("a", "trainer.epoch=1")]},
        "row 'a': unknown setting 'trainer.epoch'; did",
    ),
    ({"rows": [row("a", "model=gru")]}, "table mine, row 'a': model=gru does not exist"),
    ({"rows": [row("${b}")]}, "'b'"),
]


@pytest.mark.parametrize(("content", "told"), WRONG)
def test_a_table_that_is_not_as_it_must_be(
    tabled: Tabled, tmp_path: Path, content: dict[str, Any], told: str
) -> None:
    answer = tabled(**content)
    assert told in answer.refusal
    assert not (tmp_path / "outputs").exists()


def test_a_table_that_is_part_of_itself(dagrec: Dagrec, tmp_path: Path) -> None:
    (tmp_path / "own/table").mkdir(parents=True)
    for name, other in ("ab", "ba"):
        (tmp_path / f"own/table/{name}.yaml").write_text(f"tables: [{other}]")
    answer = dagrec("reproduce", "-cd", "own", "table=a")
    assert answer.code == 2
    assert answer.err == "dagrec reproduce: table a is part of itself (a > b > a).\n"


@pytest.mark.slow
def test_other_data_under_the_same_name_is_trained_again(tabled: Tabled, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    nodes = '[{"id": "t"}, {"id": 1, "mid": "NAME"}]'
    line = f'{{"nodes": {nodes}, "links": [{{"source": "t", "target": 1}}]}}\n'
    file.write_text("".join(line.replace("NAME", name) for name in "abab" * 5))
    rows = [row("counts", "model=popularity", "data=compositions", f"data.path={file}")]
    assert tabled(rows).code == 0
    (folder,) = before = begun_at(tmp_path)
    file.write_text("".join(line.replace("NAME", name) for name in "abaaab" * 5))
    assert tabled(rows).code == 0
    assert begun_at(tmp_path)[folder] > before[folder]
    file.unlink()
    assert tabled(rows).code == 0
    answer = tabled([*rows, row("pairs", "model=markov", *rows[0]["overrides"][1:])])
    assert answer.code == 1
    assert f"row 'pairs' failed: {file}" in answer.err
    assert "accuracy" in rows_of(tmp_path)["counts"]


def test_no_row_finishes_and_the_report_says_so(tabled: Tabled, tmp_path: Path) -> None:
    answer = tabled([row("broken", "model=gru4rec", "model.hidden=0")])
    assert answer.code == 1
    assert answer.out.startswith("Mine\n")
    assert "Not finished: broken: model.hidden is 0" in answer.out
    assert "model.hidden is 0" in (newest(tmp_path) / "report.html").read_text()
    assert answer.err.count("\n") == 1


@pytest.mark.slow
def test_a_row_in_use_elsewhere(tabled: Tabled, tmp_path: Path) -> None:
    rows = [row("counts", "model=popularity"), row("pairs", "model=markov")]
    assert tabled(rows).code == 0
    for folder, result in results(tmp_path).items():
        if result["choices"]["model"] == "markov":
            (folder / "result.json").unlink()
            with RunFolder(folder).locked():
                answer = tabled(rows)
    assert answer.code == 1
    assert answer.err == "dagrec reproduce: mine: row 'pairs' failed: in use by another process\n"
    assert "accuracy" in rows_of(tmp_path)["counts"]
    assert tabled(rows).code == 0


# In a process of its own.


@pytest.fixture
def started(tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """A function that starts the command on two long rows and waits until both train."""
    longs = [row(str(n), "model=gru4rec", "trainer.epochs=100000", f"seed={n}") for n in (4, 5, 6)]
    write_table(tmp_path, longs, base=["trainer.checkpoint_every=5", *TINY])

    def start() -> subprocess.Popen[str]:
        words = ("reproduce", "-cd", "own", "table=mine", "n_jobs=2", "seeds=null")
        return begun(tmp_path, words, "outputs/reproduce/rows/*/checkpoints", 2)

    return start


def wait_until_let_go(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while any(map(is_in_use, folder.glob("outputs/reproduce/rows/*"))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("to_group", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_ctrl_c_ends_after_the_epoch(
    started: Callable[[], subprocess.Popen[str]], tmp_path: Path, to_group: bool
) -> None:
    process = started()
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == [
        "Jobs stop after their epoch; Ctrl-C again stops at once.",
        "dagrec reproduce: interrupted; the same command continues with the rest.",
    ]
    found = results(tmp_path)
    assert [result["status"] for result in found.values()] == ["interrupted"] * 2
    assert not any(map(is_in_use, found))


@pytest.mark.slow
def test_killed_it_leaves_no_process(
    started: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = started()
    process.kill()
    process.communicate()
    wait_until_let_go(tmp_path)
    assert not results(tmp_path)


DEADLY = """
import os, signal

from dagrec_cli.models.popularity import Popularity

class Deadly(Popularity):
    def count(self, *words):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "reason"),
    [("pool", "BrokenProcessPool: SIGKILL"), ("joblib", "TerminatedWorkerError")],
)
def test_a_row_whose_process_dies_leaves_the_others_alone(
    tmp_path: Path, launcher: str, reason: str
) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    deadly = row("deadly", "model=deadly")
    others = [row(f"seed {seed}", "model=popularity", f"split.seed={seed}") for seed in range(4)]
    write_table(tmp_path, [*others[:1], deadly, *others[1:]])
    (tmp_path / "own/model").mkdir()
    (tmp_path / "own/deadly.py").write_text(DEADLY)
    model = yaml.safe_load((config_dir() / "model/popularity.yaml").read_text())
    model["_target_"] = "deadly.Deadly"
    (tmp_path / "own/model/deadly.yaml").write_text(yaml.dump(model))
    words = ["reproduce", "-cd", "own", "table=mine", "n_jobs=2", f"hydra/launcher={launcher}"]
    done = subprocess.run(
        [sys.executable, "-m", "dagrec_cli", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    told, problem = done.stderr.splitlines()
    assert f"mine: deadly: failed: its process died: {reason}" in told
    assert problem.startswith("dagrec reproduce: mine: row 'deadly' failed: its process died: ")
    states = [result["status"] for result in results(tmp_path).values()]
    assert sorted(states) == ["failed", *["finished"] * 4]
