"""``dagrec score``: what another tool predicted, held against our own runs on the same steps."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.runs.model import load_model
from dagrec_cli.runs.run import Run
from hand_made import result_of

Dagrec = Callable[..., Any]
WORDS = ("data.compositions=120", "split=composition")
EQUAL = ("metrics", "per_seed", "ceilings", "strata", "data", "tie_rule", "unseen")


def steps_of(folder: Path) -> list[str]:
    with (folder / "pairs.csv").open(newline="") as lines:
        return [row["step"] for row in csv.DictReader(lines) if row["side"] == "test"]


def write(file: Path, columns: str, lines: list[tuple[object, ...]]) -> None:
    file.write_text("\n".join([columns, *(",".join(map(str, line)) for line in lines)]))


def figures_of(folder: Path) -> dict[str, Any]:
    found = result_of(folder)
    return {key: found[key] for key in EQUAL}


@pytest.mark.parametrize("ranking", [pytest.param("counts", marks=pytest.mark.slow), "one_hot"])
def test_popularity_in_a_file_has_the_figures_of_popularity(
    dagrec: Dagrec, tmp_path: Path, ranking: str
) -> None:
    """Its scores tie; of the favourite alone, all others rank behind it, level."""
    words = ("model=popularity", f"model.ranking={ranking}")
    more = "metrics=[ndcg@10,recall@5]"
    run = Run.load(dagrec("train", *WORDS, *words, more).run)
    assert dagrec("data", "export", *WORDS, "output=peer").code == 0
    counts = load_model(run).state_dict()["counts"].tolist()
    scores = counts if ranking == "counts" else [float(c == max(counts)) for c in counts]
    named = zip(scores, run.vocabulary.services, strict=False)  # the rest is in the test alone
    ranked = list(enumerate(sorted(named, key=lambda each: -each[0]), 1))
    assert len(set(scores)) < len(scores)
    steps = steps_of(tmp_path / "peer")
    lines = [(s, rank, name, repr(score)) for s in steps for rank, (score, name) in ranked]
    write(tmp_path / "peer/popular.csv", "step,rank,service,score", lines[::-1])
    assert dagrec("score", "peer/popular.csv", *WORDS, more).code == 0
    if ranking == "one_hot":
        firsts = [line[:3] for line in lines if line[1] == 1]
        write(tmp_path / "first.csv", "step,rank,service", firsts)
        assert dagrec("score", "first.csv", *WORDS, more, "name=favourite").code == 0
    own = figures_of(run.path)
    assert {"ndcg@10", "recall@5"} <= own["metrics"].keys()
    for folder in (tmp_path / "outputs/score").iterdir():
        assert figures_of(folder) == own
    answer = dagrec("compare", "outputs/train", "outputs/score")
    assert (answer.code, answer.err) == (0, "")
    assert {"popular", "popularity"} <= {*answer.out.split()}
    assert "1.0000" in answer.out  # p: equal outcomes differ in nothing
    assert "the run saved no model" in dagrec("evaluate", f"run={folder}").refusal


@pytest.mark.slow  # starts ten commands
def test_a_fault_is_one_line_with_its_place(dagrec: Dagrec, tmp_path: Path) -> None:
    assert dagrec("data", "export", *WORDS, "output=peer").code == 0
    steps = steps_of(tmp_path / "peer")
    first, *others = [(step, 1, "service_1", 0.5) for step in steps]
    for lines, expected in (
        (others, f"mine.csv: step {steps[0]} is missing, 1 of {len(steps)} test steps"),
        ([first, (steps[0], 2, "nope", 0), *others], "mine.csv:3: 'nope' is no service of the"),
        ([first, (steps[0], 1, "service_2", 0.1), *others], "its rank stands twice"),
        ([first, (steps[0], 3, "service_2", 0.1), *others], "a rank before it is missing"),
        ([first, (steps[0], 2, "service_1", 0.1), *others], "its service stands twice"),
        ([first, (steps[0], 2, "service_2", 0.6), *others], "its score is above that of the rank"),
        ([("0-0", 1, "service_1", 1), *others], "mine.csv:2: '0-0' is no test step of these"),
        ([(*first[:3], "nan"), *others], "mine.csv:2: the score is 'nan'"),
        ([(steps[0], 0, "service_1", 1), *others], "mine.csv:2: the rank is '0'"),
    ):
        write(tmp_path / "mine.csv", "step,rank,service,score", lines)
        assert expected in dagrec("score", "mine.csv", *WORDS).refusal
    assert "leave it out" in dagrec("score", "mine.csv", "metrics=coverage@5").err
    write(tmp_path / "mine.csv", "step,service", [])
    assert "mine.csv:1: the columns are 'step,service'" in dagrec("score", "mine.csv").err
    assert not [*tmp_path.glob("outputs/score/*/*")]
