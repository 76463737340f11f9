"""``dagrec evaluate``: a saved model again, and on data that it has never seen."""

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.reporting.comparison import compare_rows
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.runs.run import Run
from hand_made import paths_of, result_of

Dagrec = Callable[..., Any]


def chain(*nodes: str) -> dict[str, Any]:
    """Return the composition of a walk: ``t1`` is a table, ``7`` a service."""
    described = [{"id": n} if n[0] == "t" else {"id": f"s{n}", "mid": int(n)} for n in nodes]
    ids = [node["id"] for node in described]
    links = [{"source": a, "target": b} for a, b in pairwise(ids)]
    return {"nodes": described, "links": links}


def write(folder: Path, name: str, *compositions: dict[str, Any]) -> str:
    (folder / name).write_text("".join(f"{json.dumps(each)}\n" for each in compositions))
    return f"data.path={name}"


def test_its_own_test_gives_its_own_numbers(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    answer = dagrec("evaluate", f"run={trained.run}", "hydra.run.dir=again")
    assert (answer.code, answer.err) == (0, "")
    again, own = result_of(tmp_path / "again"), trained.result()
    same = ("status", "metrics", "per_seed", "data", "ceilings", "model", "seeds", "choices")
    assert {key: again[key] for key in same} == {key: own[key] for key in same}
    assert not any(again["unseen"].values())
    for name in ("predictions.csv", "vocabulary.json", "graph.json", "config.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (trained.run / name).read_bytes(), name
    assert "also occur in training" in " ".join(answer.out.split())
    assert answer.out.endswith("\nRun folder: again\n")


def test_another_split_says_that_training_may_have_seen_its_pairs(
    trained: Any, dagrec: Dagrec
) -> None:
    answer = dagrec("evaluate", f"run={trained.run}", "split=composition")
    text = " ".join(answer.out.split())
    assert "data=synthetic split=composition" in text
    assert (
        "Leakage: the model was trained on data=synthetic split=paper: where the data overlap, "
        "these pairs may have been trained on." in text
    )
    assert "also occur in training" not in text


def test_unseen_nodes_and_targets_follow_the_stated_rule(dagrec: Dagrec, tmp_path: Path) -> None:
    """A model that knows t1, 7 and 8, and counted 7 more often than 8.

    t9 -> 7: nothing of the context is left, so 7 and 8 tie at rank 1.5. t9 7 -> 8: 7 is left, and 8
    is second. t1 -> 5: the target is unknown, so it has no rank and gains nothing.
    """
    own = write(tmp_path, "own.jsonl", *[chain("t1", "7")] * 8, *[chain("t1", "7", "8")] * 4)
    other = write(tmp_path, "other.jsonl", chain("t9", "7", "8"), chain("t1", "5"))
    counted = ("model=popularity", "model.ranking=counts", "model.mask=none")
    run = dagrec("train", "data=compositions", own, *counted).run
    answer = dagrec("evaluate", f"run={run}", "data=compositions", other, "side=all")
    assert answer.code == 0, answer.err
    (folder,) = tmp_path.glob("outputs/evaluate/*")
    found = result_of(folder)
    assert found["unseen"] == {
        "nodes": 2,
        "services": 1,
        "contexts": 2,
        "emptied": 1,
        "targets": 1,
    }
    with (folder / "predictions.csv").open() as lines:
        rows = [
            (" -> ".join(paths_of(folder)[row["context"]]), row["target"], row["rank"])
            for row in csv.DictReader(lines)
        ]
    assert rows == [
        ("table_t9", "service_7", "1.5"),
        ("table_t9 -> service_7", "service_8", "2"),
        ("table_t1", "service_5", "inf"),
    ]
    assert found["metrics"]["accuracy"]["mean"] == pytest.approx(1 / 3)
    assert found["metrics"]["mrr"]["mean"] == pytest.approx(((1 + 1 / 2) / 2 + 1 / 2) / 3)
    assert found["metrics"]["hr@5"]["mean"] == pytest.approx(2 / 3)
    assert found["metrics"]["recall"]["mean"] == pytest.approx((1 + 0 + 0) / 3)  # of 7, 8 and 5
    (read,) = Run.load(folder).predictions.outcomes.values()
    means = {name: summary["mean"] for name, summary in found["metrics"].items()}
    assert evaluate(read) == pytest.approx(means)
    note = (
        "Unknown to the model: 2 nodes and 1 target service of the data, which are 33.3% of the "
        "targets and in 66.7% of their contexts (33.3% hold nothing else); unseen nodes are left"
    )
    assert note in " ".join(answer.out.split())


def test_what_no_fitted_row_holds_is_not_recommended(dagrec: Dagrec, tmp_path: Path) -> None:
    """The latest composition holds t9 and 1, which no other does: the run and its model say so."""
    dated = [chain("t1", "7", "8")] * 5 + [chain("t1", "8", "7")] * 2 + [chain("t9", "7", "1")]
    dated = [each | {"start_time": day} for day, each in enumerate(dated)]
    own = write(tmp_path, "own.jsonl", *dated)
    words = ("data=compositions", own, "split=temporal", "split.test_share=0.1")
    answer = dagrec("train", *words, "trainer.epochs=2", "model.hidden=8")
    run, found = answer.run, answer.result()
    note = (
        "50.0% of the test targets and in 100.0% of their contexts; an unseen node is the UNKNOWN"
    )
    assert note in " ".join(answer.out.split())
    assert "new node" in answer.out.split("Strata of the steps")[1]
    assert {name: each["steps"] for name, each in found["strata"].items()} == {
        "new node": 2,
        "composition new": 2,
    }
    names = json.loads((run / "vocabulary.json").read_text())
    assert (names["known"], names["services"][2:]) == ([5, 2], ["service_1"])
    with (run / "predictions.csv").open() as lines:
        asked = {row["target"]: row for row in csv.DictReader(lines)}
    assert asked["service_1"]["rank"] == "inf"
    assert paths_of(run)[asked["service_1"]["context"]] == ["table_t9", "service_7"]
    answer = dagrec("predict", f"run={run}", "context=t1", "top_k=9")
    services = [each["service"] for each in json.loads(answer.out)["services"]]
    assert sorted(services) == ["service_7", "service_8"]
    again = dagrec("evaluate", f"run={run}", "hydra.run.dir=again")
    assert result_of(tmp_path / "again")["metrics"] == found["metrics"], again.err
    for name in ("predictions.csv", "vocabulary.json", "graph.json"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name


def test_all_pairs_need_no_split(dagrec: Dagrec, trained: Any, tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    nodes = [{"id": 1}, {"id": 2, "mid": 5}, {"id": 3, "mid": 6}]
    links = [{"source": 1, "target": 2}, {"source": 2, "target": 3}]
    file.write_text(json.dumps({"nodes": nodes, "links": links}))
    words = (f"run={trained.run}", "data=compositions", f"data.path={file}", "split=temporal")
    assert dagrec("evaluate", *words).code == 2  # there is no time to split by
    answer = dagrec("evaluate", *words, "side=all")
    assert (answer.code, answer.err) == (0, "")
    assert "n = 2 pairs in 1 group, " in answer.out


def test_what_it_leaves_reads_as_a_run(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    dagrec("evaluate", f"run={trained.run}", "split=composition")
    entries = group_runs([tmp_path / "outputs/evaluate", trained.run], None)
    table = compare_rows(entries, title="both", metric="ndcg")
    rows = [(row["row"].split("=")[0], row["test"]) for row in table.rows if "seeds" in row]
    assert rows == [("gru4rec run", "synthetic composition"), ("gru4rec", "synthetic paper")]
    assert entries[0].runs[0].history == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "run is null; name a run folder: dagrec evaluate run="),
        (["run="], "run is empty; name a run folder: dagrec evaluate run="),
        (["run=nowhere"], "nowhere: no such folder"),
        (["run=RUN", "side=both"], "side is 'both'; use one of test, train, all."),
        (["run=RUN", "data=compositions", "data.path=no.json"], "no.json: no such file"),
        (["run=RUN", "more=1"], "unknown setting 'more'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    trained: Any, dagrec: Dagrec, tmp_path: Path, words: list[str], expected: str
) -> None:
    answer = dagrec("evaluate", *(word.replace("RUN", str(trained.run)) for word in words))
    assert expected in answer.refusal
    assert not (tmp_path / "outputs").exists()


def test_data_outside_of_the_working_folder_must_be_named_by_the_user(
    dagrec: Dagrec, tmp_path: Path
) -> None:
    write(tmp_path, "own.jsonl", *[chain("t1", "7", "8")] * 9)
    path = f"data.path={tmp_path / 'own.jsonl'}"
    run = dagrec("train", "data=compositions", path, "model=popularity").run
    refused = dagrec("evaluate", f"run={run}")
    assert refused.code == 2
    assert "a run folder may only name paths below the working folder" in refused.err
    named = dagrec("evaluate", f"run={run}", "data=compositions", path)
    assert named.code == 0, named.err
    assert "also occur in training" in " ".join(named.out.split())  # it is the run's own test
