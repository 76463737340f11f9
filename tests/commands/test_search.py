"""``dagrec train -m hydra/sweeper=optuna``: validation decides, the test set is asked once."""

import csv
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean, median_low
from typing import Any
from unittest.mock import Mock

import pytest

from dagrec_cli.reporting.comparison import compare_rows
from dagrec_cli.reporting.grouping import group_runs
from hand_made import result_of

optuna = pytest.importorskip("optuna", reason="needs the extra 'search'")

STUDY = "outputs/search/gru4rec_ce_synthetic"
OPTUNA = ("-m", "hydra/sweeper=optuna", "trainer.validation_share=0.3")
SMALL = (
    *OPTUNA,
    "data.compositions=60",
    "trainer.epochs=4",
    "model.embedding_dim=4",
    "model.hidden=4",
    "seeds=[0,1]",
    "model.num_layers=int(interval(1,3))",
    "trainer.learning_rate=tag(log,interval(1e-3,1e-1))",
)
COUNTING = (
    *OPTUNA,
    "model=popularity",
    "hydra.sweeper.study_name=counting",
    "trainer.monitor=mrr@9",
)
RANKINGS = "model.ranking=choice(one_hot,counts)"
COUNTED = "outputs/search/counting"

Dagrec = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw none but that of ``searched``, which is made before."""
    monkeypatch.setattr("dagrec_cli.jobs.study.search_picture", lambda *_: None)
    monkeypatch.setattr("dagrec_cli.jobs.study.Picture", Mock())


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def load_study(folder: Path) -> Any:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder}/study.db")


def best_validation(run: Path) -> Mapping[str, tuple[float, int]]:
    """Return each seed's best validation nDCG and its epoch, from ``metrics.csv``."""
    best: dict[str, tuple[float, int]] = {}
    for row in rows_of(run / "metrics.csv"):
        value, epoch = float(row["validation_ndcg"]), int(row["epoch"])
        if row["seed"] not in best or value > best[row["seed"]][0]:
            best[row["seed"]] = (value, epoch)
    return best


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, dagrec_in: Dagrec) -> Any:
    """Three trials; for reading only."""
    folder = tmp_path_factory.mktemp("searched")
    return dagrec_in(folder, ["train", *SMALL, "hydra.sweeper.n_trials=3"])


def test_the_objective_is_the_mean_of_the_best_validation_values(searched: Any) -> None:
    assert (searched.code, searched.err) == (0, "")
    rows = rows_of(searched.folder / STUDY / "search.csv")
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    for row in rows:
        best = best_validation(searched.folder / STUDY / row["trial"])
        assert float(row["ndcg"]) == pytest.approx(mean(value for value, _ in best.values()))
        assert int(row["epochs"]) == median_low(epoch for _, epoch in best.values())


def test_the_first_trial_is_the_settings_as_they_stand(searched: Any) -> None:
    first, *others = rows_of(searched.folder / STUDY / "search.csv")
    standing = ("2", "0.003")  # configs/model/gru4rec.yaml and configs/trainer/mini_batch.yaml
    assert (first["num_layers"], first["learning_rate"]) == standing
    assert all((row["num_layers"], row["learning_rate"]) != standing for row in others)


def test_no_trial_sees_a_test_pair_and_the_best_run_sees_all(searched: Any) -> None:
    study = searched.folder / STUDY
    tested = {row["pair"] for row in rows_of(study / "best/predictions.csv")}
    best = result_of(study / "best")
    assert len(tested) == best["data"]["test"]
    assert (best["evaluated_on"], best["data"]["validation"]) == ("test", 0)
    for number in "012":
        trial = result_of(study / number)
        asked = {row["pair"] for row in rows_of(study / number / "predictions.csv")}
        assert trial["evaluated_on"] == "validation"
        assert len(asked) == trial["data"]["validation"]
        assert not asked & tested
        assert trial["data"]["train"] + trial["data"]["validation"] == best["data"]["train"]


def known_steps(run: Path) -> int:
    """Return how many steps stand behind the edges that a run's mask knows."""
    return sum(edge[2] for edge in json.loads((run / "graph.json").read_text())["known"])


def test_a_trial_s_mask_knows_the_pairs_it_fits_and_the_best_run_s_all_training_pairs(
    dagrec: Dagrec,
) -> None:
    words = (*COUNTING, "split=composition", "data.lengths={2: 1}", RANKINGS)
    answer = dagrec("train", *words, "hydra.sweeper.n_trials=1")
    assert answer.code == 0
    for name in ("0", "best"):  # chains of two nodes: a step is a pair
        run = answer.folder / COUNTED / name
        assert known_steps(run) == result_of(run)["data"]["train"]


def test_the_best_trial_is_run_again_with_its_epochs(searched: Any) -> None:
    study = searched.folder / STUDY
    rows = rows_of(study / "search.csv")
    top = max(rows, key=lambda row: float(row["ndcg"]))
    best = result_of(study / "best")
    assert best["model"]["epochs"] == [int(top["epochs"])] * 2
    assert f"model.num_layers={top['num_layers']}" in best["overrides"]
    assert f"trainer.learning_rate={top['learning_rate']}" in best["overrides"]
    assert f"Again: {best['command_line']}\n" in searched.out
    assert (study / "search.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_line_repeats_the_best_run(searched: Any, dagrec: Dagrec) -> None:
    study = searched.folder / STUDY
    answer = dagrec("train", *result_of(study / "best")["overrides"], "hydra.run.dir=again")
    assert answer.code == 0
    predictions = (study / "best/predictions.csv").read_bytes()
    assert (answer.folder / "again/predictions.csv").read_bytes() == predictions


def test_a_search_goes_on_to_its_trials_in_all(dagrec: Dagrec, tmp_path: Path) -> None:
    def search(n_trials: int) -> Any:
        return dagrec("train", *COUNTING, RANKINGS, f"hydra.sweeper.n_trials={n_trials}")

    assert search(1).code == 0
    study = load_study(tmp_path / COUNTED)
    rankings = optuna.distributions.CategoricalDistribution(["one_hot", "counts"])
    ranking = study.ask({"model.ranking": rankings}).params
    answer = search(2)  # the second trial was left open, as by a killed process
    assert (answer.code, answer.out.count("] trial ")) == (0, 1)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * 2
    assert study.trials[1].params == ranking
    before = (tmp_path / COUNTED / "best/predictions.csv").stat().st_mtime_ns
    answer = search(2)
    assert (answer.code, answer.out.count("] trial ")) == (0, 0)
    assert len(study.get_trials()) == 2
    assert (tmp_path / COUNTED / "best/predictions.csv").stat().st_mtime_ns == before


def test_a_failed_trial_is_counted_and_the_search_goes_on(dagrec: Dagrec, tmp_path: Path) -> None:
    words = (*COUNTING, "model.ranking=choice(one_hot,worst)", "hydra.sweeper.n_trials=3")
    answer = dagrec("train", *words, "hydra.sweeper.seed=1")
    assert answer.code == 0
    assert "failed: model.ranking is 'worst'; use one of" in answer.err
    rows = rows_of(tmp_path / COUNTED / "search.csv")
    assert len(rows) == 3
    assert {(row["ranking"], row["status"]) for row in rows} == {
        ("one_hot", "finished"),
        ("worst", "failed"),
    }
    assert "model.ranking=one_hot" in result_of(tmp_path / COUNTED / "best")["overrides"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-m", "experiment=search", "trainer.validation_share=0", "trainer.patience=0"], "=0.2."),
        (
            ["-m", "experiment=search", "split.folds=2"],
            "split, but this one has 2 parts; choose",
        ),
        (["-m", "hydra/sweeper=optuna", "trainer.validation_share=0.2"], "nothing to search"),
        ([*SMALL, "seed=range(0,9)"], "seed is searched, but a good seed is luck"),
        ([*SMALL, "model.hiden=range(1,9)"], "did you mean model.hidden=range(1,9)?"),
        ([*SMALL, "model.hidden=interval(9,1)"], "from its lowest number to its highest"),
        ([*SMALL, "hydra.sweeper.n_trials=10001"], "n_trials is 10001; use a whole number from 1"),
        ([*SMALL, "hydra.sweeper.storage=sqlite:////no/x.db"], "cannot use the study in"),
        (["experiment=search"], "add -m: dagrec train -m experiment=search"),
        (["evaluate_on=validation", "trainer=full_batch"], "trainer.validation_share is 0"),
        (["evaluate_on=both"], "use one of test, validation"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    dagrec: Dagrec, words: list[str], told: str
) -> None:
    answer = dagrec("train", *words)
    assert told in answer.refusal
    assert not list(answer.folder.iterdir())


def test_a_study_keeps_its_settings(searched: Any, dagrec_in: Dagrec) -> None:
    words = ["train", *SMALL, "trainer.epochs=5", "hydra.sweeper.n_trials=3"]
    answer = dagrec_in(searched.folder, words)
    assert "was begun with trainer.epochs=4, not 5; begin another one" in answer.refusal


def test_a_study_is_about_one_content_of_its_data(dagrec: Dagrec, tmp_path: Path) -> None:
    """Where the file lies, and whether it is cached, does not matter; what is in it does."""
    nodes = [{"id": k, "mid": k} for k in range(1, 5)]
    links = [{"source": 1, "target": 2}, {"source": 1, "target": 3}, {"source": 3, "target": 4}]
    text = f"{json.dumps({'nodes': nodes, 'links': links})}\n"
    for name, times in (("a", 10), ("b", 10), ("c", 11)):
        (tmp_path / f"{name}.jsonl").write_text(text * times)

    def search(*words: str) -> Any:
        return dagrec("train", *COUNTING, RANKINGS, "data=compositions", *words)

    assert search("data.path=a.jsonl", "hydra.sweeper.n_trials=1").code == 0
    (tmp_path / "a.jsonl").unlink()
    moved = ("data.path=b.jsonl", "data.cache=false", "trainer.checkpoint_every=1")
    answer = search(*moved, "hydra.sweeper.n_trials=2")
    assert (answer.code, answer.out.count("] trial ")) == (0, 1)
    answer = search("data.path=c.jsonl", "hydra.sweeper.n_trials=3")
    assert "study counting was begun with data.sha256=" in answer.refusal


def test_compare_keeps_validation_and_test_apart(searched: Any) -> None:
    entries = group_runs([searched.folder / STUDY], ["model"])
    table = compare_rows(entries, title="", metric="ndcg")
    rows = [row for row in table.rows if "ceiling" not in row["row"]]
    assert len({row["test"] for row in rows}) == len(rows) == 2
    assert sum("validation pairs" in note for note in table.notes) == 1


@pytest.mark.slow
def test_killed_after_eight_trials_and_continued_to_twenty(dagrec: Dagrec, tmp_path: Path) -> None:
    words = ("train", *SMALL, "hydra.sweeper.n_trials=20")
    child = os.fork()
    if child == 0:
        dagrec(*words)
        os._exit(0)
    while not (tmp_path / STUDY / "8" / "config.yaml").exists():  # in the midst of the ninth
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    study = load_study(tmp_path / STUDY)
    states = [trial.state.name for trial in study.get_trials()]
    assert states == ["COMPLETE"] * 8 + ["RUNNING"]
    assert dagrec(*words).code == 0
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * 20
    assert len(rows_of(tmp_path / STUDY / "search.csv")) == 20

    whole = dagrec(*words, "hydra.sweeper.study_name=whole")
    assert whole.code == 0
    columns = ("trial", "num_layers", "learning_rate", "ndcg", "epochs")
    stopped, through = (
        [[row[c] for c in columns] for row in rows_of(tmp_path / path / "search.csv")]
        for path in (STUDY, "outputs/search/whole")
    )
    assert stopped == through
