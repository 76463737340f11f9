import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dagrec_cli.evaluation.ceiling import CEILINGS

Dagrec = Callable[..., Any]
DagrecIn = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, dagrec_in: DagrecIn) -> Path:
    """Two counting models on one split, one of them on another; for reading only."""
    folder = tmp_path_factory.mktemp("runs")
    for model, split in (("popularity", "paper"), ("markov", "paper"), ("markov", "composition")):
        words = [f"model={model}", f"split={split}", f"hydra.run.dir={model}_{split}"]
        words += ["metrics=[ndcg@2,recall@2,coverage@2]"] * (model == "popularity")
        assert dagrec_in(folder, ["train", *words]).code == 0
    return folder


def test_the_report_of_runs_of_two_splits_and_a_missing_one(
    runs: Path, dagrec: Dagrec, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    answer = dagrec(
        "compare",
        str(runs),
        "empty",
        "average=both",
        "metrics=[recall@2,coverage@2]",
        "metric=ndcg@2",
    )
    assert answer.code == 1
    assert "synthetic composition" in answer.out  # above its row
    assert "Not finished: empty: no result.json" in " ".join(answer.out.split())
    (folder,) = (tmp_path / "outputs/compare").iterdir()
    shown = folder.relative_to(tmp_path)
    assert answer.out.endswith(f"\nTables: {shown}\nReport: {shown}/report.html\n")
    rows = json.loads((folder / "table.json").read_text())["rows"]
    ceilings = [name for key, (name, _) in CEILINGS.items() if key != "owner"]
    assert [(row["row"], row["test"], "p" in row) for row in rows] == [
        ("markov", "synthetic composition", False),
        *((name, "synthetic composition", False) for name in ceilings),
        ("markov", "synthetic paper", False),
        ("popularity", "synthetic paper", True),
        *((name, "synthetic paper", False) for name in ceilings),
    ]
    computed = json.loads((runs / "popularity_paper/result.json").read_text())
    shown = {row["row"]: row for row in rows[4:]}
    for metric in ("ndcg@2", "recall@2"):  # as the run has it that was asked
        assert shown["popularity"][metric] == computed["metrics"][metric]
    for name in ("last_node", "context"):  # of the run that was not asked
        assert shown[CEILINGS[name][0]]["ndcg@2"] == computed["ceilings"][name]["ndcg@2"]
    n_services = computed["data"]["services"]
    assert shown["popularity"]["coverage@2"] == 2 / n_services  # the same two everywhere
    assert "coverage@2" not in shown["markov"]  # it was not asked
    file = runs / "popularity_paper/predictions.csv"
    predicted = pd.read_csv(file).assign(right=lambda frame: frame.target == frame.predicted)
    content = json.loads((folder / "table_by_composition.json").read_text())
    assert "f1" not in content["columns"]
    (means,) = (note for note in content["notes"] if note.startswith("Every figure"))
    (row,) = (row for row in content["rows"] if row["row"] == "popularity")
    of_compositions = predicted.groupby("composition")["right"].mean()
    assert row["accuracy"]["mean"] == pytest.approx(of_compositions.mean())
    assert f" and {len(of_compositions)} compositions of synthetic paper, of each one's" in means
    assert of_compositions.mean() != pytest.approx(predicted["right"].mean(), abs=1e-3)
    assert 0 < row["detectable"] < 1
    names = {file.name for file in (folder / "pictures").glob("*.svg")}
    assert {"table_1_accuracy.svg", "table_2_accuracy.svg", "table_1_markov_confusion.svg"} <= names
    assert "table_1_markov_calibration.svg" in names
    assert not any("popularity" in name and "calibration" in name for name in names)
    assert (folder / "report.html").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "no runs given; write dagrec compare FOLDER"),
        (["nowhere"], "nowhere: no such folder"),
        (["."], "none of 1 runs is finished; .: no result.json"),
        (["RUNS", "by=[epochs]"], "has no such setting"),
        (["RUNS", "metric=ndcg10"], "metric is 'ndcg10'; did you mean ndcg@10? use one of"),
        (["RUNS", "more=1"], "unknown setting 'more'"),
        (["RUNS", "average=all"], "average is 'all'; use one of step, composition, both."),
        (["RUNS", "average=both", "metric=f1"], "metric is f1, a mean over classes, and average"),
    ],
)
def test_what_cannot_be_compared_leaves_nothing(
    runs: Path, dagrec: Dagrec, tmp_path: Path, words: list[str], expected: str
) -> None:
    answer = dagrec("compare", *(word.replace("RUNS", str(runs)) for word in words))
    assert expected in answer.refusal
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["compare", "reproduce"])
def test_help_names_the_report(dagrec: Dagrec, command: str) -> None:
    text = dagrec(command, "--help").out
    for part in ("report.html", "pictures/", ".csv .md .tex .json"):
        assert part in text, part
    assert ("table=all" in text) == (command == "reproduce")


@pytest.fixture
def json_lines(tmp_path: Path) -> Callable[[str], str]:
    """A function of a name: a file of that name, always with the same compositions."""

    def write(name: str) -> str:
        links = [{"source": 1, "target": 2}, {"source": 2, "target": 3}]
        lines = [
            {
                "nodes": [{"id": 1}, {"id": 2, "mid": 2 + k % 3}, {"id": 3, "mid": 5 + k % 2}],
                "links": links,
            }
            for k in range(40)
        ]
        (tmp_path / name).write_text("".join(f"{json.dumps(each)}\n" for each in lines))
        return name

    return write


def rows_of(folder: Path) -> list[dict[str, Any]]:
    (table,) = (folder / "outputs/compare").glob("*/table.json")
    rows = json.loads(table.read_text())["rows"]
    return [row for row in rows if "ceiling" not in row["row"]]


def test_one_experiment_in_three_guises_is_one_row(
    dagrec: Dagrec, tmp_path: Path, json_lines: Callable[[str], str]
) -> None:
    """Two paths of one content, with and without the cache, other threads, loggers."""
    base = ["train", "data=compositions", "model=markov", "split=composition"]
    for seed, words in enumerate(
        [
            [f"data.path={json_lines('one.jsonl')}"],
            [f"data.path={json_lines('two.jsonl')}", "data.cache=false"],
            [f"data.path={json_lines('one.jsonl')}", "threads=1", "trainer.checkpoint_every=1"],
        ]
    ):
        words = [*base, *words, f"seed={seed}", f"hydra.run.dir=r/{seed}"]
        assert dagrec(*words).code == 0
    assert dagrec("compare", "r").code == 0
    (row,) = rows_of(tmp_path)
    assert (row["row"], row["seeds"], "p" in row) == ("markov", 3, False)


def test_predictions_that_do_not_fit_are_a_failed_row(
    runs: Path, dagrec: Dagrec, tmp_path: Path
) -> None:
    shutil.copytree(runs, tmp_path / "r")
    file = tmp_path / "r/popularity_paper/predictions.csv"
    table = pd.read_csv(file)
    table["rank"], table["ties"] = 1, 0
    table.to_csv(file, index=False)
    answer = dagrec("compare", "r/markov_paper", "r/popularity_paper")
    assert answer.code == 1
    told = (
        "r/popularity_paper: predictions.csv does not fit result.json: a target comes first alone"
    )
    assert told in " ".join(answer.out.split())
    assert [row["row"] for row in rows_of(tmp_path)] == ["markov"]


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "~nobody-here/runs"),
        ("predict", "run=~nobody-here/run", "context=[table_1]"),
        ("train", "resume=~nobody-here/run"),
    ],
)
def test_the_home_of_nobody_is_one_line(dagrec: Dagrec, words: tuple[str, ...]) -> None:
    assert "~nobody-here" in dagrec(*words).refusal
