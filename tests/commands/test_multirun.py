"""``dagrec train -m``: a job that fails is written down, the others go on."""

import csv
import json
from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import OmegaConf

Dagrec = Callable[..., Any]


def test_every_combination_and_one_table(dagrec: Dagrec) -> None:
    answer = dagrec(
        "train", "-m", "model=popularity", "model.ranking=one_hot,counts", "bootstrap=9"
    )
    assert (answer.code, answer.err) == (0, "")
    jobs = [answer.run / "0", answer.run / "1"]
    assert [OmegaConf.load(j / "config.yaml").model.ranking for j in jobs] == ["one_hot", "counts"]
    with (answer.run / "sweep.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row, job in zip(rows, jobs, strict=True):
        metrics = json.loads((job / "result.json").read_text())["metrics"]
        assert float(row["ndcg"]) == metrics["ndcg"]["mean"]
    assert [row["overrides"] for row in rows] == ["model.ranking=one_hot", "model.ranking=counts"]
    assert [row["status"] for row in rows] == ["finished", "finished"]
    assert answer.out.endswith(f"Sweep folder: {answer.run.relative_to(answer.folder)}\n")


def test_a_failing_job_does_not_stop_the_others(dagrec: Dagrec) -> None:
    answer = dagrec("train", "-m", "model=popularity", "seed=-1,0", "bootstrap=9")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "seed=-1" in answer.err
    assert "failed: seed is -1; use a whole number" in answer.err
    results = [json.loads((answer.run / job / "result.json").read_text()) for job in "01"]
    assert [result["status"] for result in results] == ["failed", "finished"]
    assert results[0]["error"].startswith("seed is -1;")
    table = json.loads((answer.run / "sweep.json").read_text())
    assert [row["status"] for row in table["rows"]] == ["failed", "finished"]
    assert "1 not finished" in table["title"]
    assert table["notes"] == [f"job 0: {results[0]['error']}"]


def test_a_defect_in_a_job_is_named(dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagrec_cli.models.popularity import Popularity

    def fail(*words: Any) -> None:
        raise ZeroDivisionError("no pairs")

    monkeypatch.setattr(Popularity, "count", fail)
    answer = dagrec("train", "-m", "model=popularity", "seed=0,1", "bootstrap=9")
    assert answer.code == 1
    assert answer.err.count("failed: ZeroDivisionError: no pairs\n") == 2


def test_an_unknown_option_stops_before_the_first_job(dagrec: Dagrec) -> None:
    answer = dagrec("train", "-m", "model=popularity,gru4rek")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "did you mean gru4rec?" in answer.err
