"""``dagrec reproduce tune=N``: what trials may see, and what is chosen, stopped or not."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from dagrec_cli.jobs.job import Job
from dagrec_cli.jobs.run import Engine

pytest.importorskip("optuna", reason="needs the extra 'search'")

Dagrec = Callable[..., Any]
Seen = tuple[dict[str, Any], set[str], dict[str, Any]]  # result, pairs asked, config

TINY = ("model.hidden=4", "model.embedding_dim=4")
BASE = ["data.compositions=60", "split=composition", "trainer=full_batch", "trainer.epochs=30"]
NET = {"name": "net", "overrides": ["model=gru4rec", *TINY, "model.mask=prior"]}
COUNTS = {"name": "counts", "overrides": ["model=backoff", "model.mask=hard"]}
PUBLISHED = {"name": "published", "overrides": ["model=gru4rec_paper", "data.context=path"]}
WORDS = ("reproduce", "-cd", "own", "table=mine", "progress=false", "hydra/launcher=basic")


@pytest.fixture
def tuned(dagrec: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dagrec:
    """A function of words: ``dagrec reproduce`` of a table of one row, without pictures."""
    monkeypatch.setattr("dagrec_cli.experiment.fit._write_learning_curve", lambda *_: None)
    write_table(tmp_path, COUNTS)
    return lambda *words: dagrec(*WORDS, *words)


def write_table(folder: Path, *rows: dict[str, Any], **more: Any) -> None:
    (folder / "own/table").mkdir(parents=True, exist_ok=True)
    content = {"base": BASE, "rows": list(rows), **more}
    (folder / "own/table/mine.yaml").write_text(yaml.dump(content))


def newest(folder: Path) -> Path:
    return max(folder.glob("outputs/reproduce/2*"))


def cells(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    rows = json.loads((newest(folder) / f"{name}.json").read_text())["rows"]
    return {row["row"]: row for row in rows}


def notes(folder: Path) -> list[str]:
    found: list[str] = json.loads((newest(folder) / "mine.json").read_text())["notes"]
    return found


def by_side(folder: Path) -> list[list[Seen]]:
    """Return the runs on test pairs, and those on validation pairs."""
    every = list(runs(folder))
    return [
        [each for each in every if each[0]["evaluated_on"] == side]
        for side in ("test", "validation")
    ]


def by_setting(trials: Sequence[Seen]) -> list[float]:
    """Return for each setting that was judged by three draws the mean of its nDCG."""
    found = defaultdict(list)
    for result, _, config in trials:
        config["trainer"].pop("validation_draw")
        found[json.dumps(config)].append(result["metrics"]["ndcg"]["mean"])
    return [fmean(each) for each in found.values() if len(each) == 3]


def runs(folder: Path) -> Iterator[Seen]:
    """Yield the result of each run, the numbers of the pairs that it was asked, and its config."""
    for file in folder.glob("outputs/reproduce/rows/**/result.json"):
        with (file.parent / "predictions.csv").open(newline="") as lines:
            asked = {row["pair"] for row in csv.DictReader(lines)}
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        yield json.loads(file.read_text()), asked, config


def test_a_row_is_tuned_on_validation_steps_and_made_again_without(
    tuned: Dagrec, tmp_path: Path
) -> None:
    answer = tuned("tune=3")
    assert (answer.code, answer.err) == (0, "")
    (test,), trials = by_side(tmp_path)
    draws = sorted(config["trainer"]["validation_draw"] for _, _, config in trials)
    assert draws == [0, 0, 0, 1, 1, 2, 2]  # the row as it stands and the best of the others
    assert all(asked and not asked & test[1] for _, asked, _ in trials)
    chosen = cells(tmp_path, "mine_tuned")["counts"]
    assert chosen["chosen"] == max(by_setting(trials))
    (told,) = [note for note in notes(tmp_path) if note.startswith("Tuned: ")]
    assert told.endswith("mine_tuned has them.")  # all rows were tuned, and no part may flatter

    before = cells(tmp_path, "mine")
    copied = newest(tmp_path) / "experiment"
    assert f"cp -r {copied.relative_to(tmp_path)} own && dagrec reproduce -cd own" in answer.out
    copied.rename(tmp_path / "own/experiment")
    assert tuned("tune=chosen").code == 0
    assert [len(side) for side in by_side(tmp_path)] == [1, 7]  # nothing was run
    assert [note for note in notes(tmp_path) if "tune" in note.lower()] == [
        "Tuned before: every row has the settings of its experiment/tuned/*.yaml."
    ]
    assert cells(tmp_path, "mine") == before


@pytest.mark.slow
def test_networks_are_pruned_the_first_part_decides_and_a_model_without_ranges_stands(
    tuned: Dagrec, tmp_path: Path
) -> None:
    write_table(tmp_path, NET, PUBLISHED, base=[*BASE, "split.folds=2"], tune=4)
    assert tuned().code == 0
    _, trials = by_side(tmp_path)
    assert {config["split"]["part"] for _, _, config in trials} == {0}
    # Three train for ten of the thirty epochs, the best and the row as it stands for all, thrice.
    assert sorted(config["trainer"]["epochs"] for _, _, config in trials) == [10] * 3 + [30] * 6
    found = cells(tmp_path, "mine_tuned")
    whole = [each for each in trials if each[2]["trainer"]["epochs"] == 30]
    assert found["net"]["chosen"] == max(by_setting(whole)) >= found["net"]["as_it_stands"]
    stands = "as it stands: there is no search/gru4rec_paper.yaml"
    assert found["published"]["settings"] == stands
    (told,) = [note for note in notes(tmp_path) if note.startswith("Tuned: ")]
    assert "As they stand: published. The first part's training side decides for all" in told


@pytest.mark.slow
def test_killed_between_its_trials_it_chooses_the_same(
    tuned: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path, NET, COUNTS)
    run, left = Engine.run, 0  # whole calls before one that is stopped

    def killed(engine: Engine, jobs: Sequence[Job], *words: Any, **more: Any) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            run(engine, jobs[: len(jobs) // 2], *words, **more)
            raise KeyboardInterrupt
        run(engine, jobs, *words, **more)

    monkeypatch.setattr(Engine, "run", killed)
    # The rows as they stand, all trials, the best ones, these by two more draws, the rows.
    for n_whole in range(6):
        left = n_whole
        assert tuned("tune=4").code == 130
    left = 99
    assert tuned("tune=4").code == 0
    stopped = cells(tmp_path, "mine_tuned"), cells(tmp_path, "mine")
    (tmp_path / "outputs").rename(tmp_path / "before")
    assert tuned("tune=4").code == 0
    through = cells(tmp_path, "mine_tuned"), cells(tmp_path, "mine")
    for table in (*stopped, *through):
        for row in table.values():
            row.pop("seconds_per_epoch", None)
    assert stopped == through


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tune=-1"], "tune is -1; use"),
        (["tune=chosen"], "row 'counts': experiment/tuned/synthetic_backoff.yaml does not exist"),
    ],
)
def test_a_tuning_that_cannot_be(tuned: Dagrec, words: list[str], told: str) -> None:
    answer = tuned(*words)
    assert told in answer.refusal
