import json
import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.errors import ConfigError, DataError, RunError
from dagrec_cli.reporting.comparison import compare_rows
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.reporting.notes import basis
from dagrec_cli.reporting.report import ReportSheet, write_report
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import state_of

RunOf = Callable[..., Run]
SERVICES = ["service_<script>alert('&\"$x$')</script>", "service_2", "service_3"]
OTHER_DATA = {"test": 3, "leakage": {"pairs": 0, "contexts": 0}, "forbidden_test_targets": 0}


def told(entries: list[TableRow]) -> list[tuple[str, list[str]]]:
    """Return each row's name, and the folders of its runs."""
    return [(entry.name, [run.path.name for run in entry.runs]) for entry in entries]


def settings(**values: object) -> str:
    return "".join(f"{key}: {value}\n" for key, value in values.items())


def test_runs_that_differ_in_the_seed_are_one_row(run_of: RunOf, tmp_path: Path) -> None:
    for seed in (0, 1):
        run_of(tmp_path / str(seed), seeds=(seed,), choices={"model": "a"}, config=f"seed: {seed}")
    assert told(group_runs([tmp_path], None)) == [("a", ["0", "1"])]


def test_a_name_holds_what_tells_a_row_apart(run_of: RunOf, tmp_path: Path) -> None:
    def run(name: str, model: str, loss: str, rate: float) -> None:
        config = settings(model=f"{{rate: {rate}}}")
        run_of(tmp_path / name, choices={"model": model, "loss": loss}, config=config)

    run("1", "gru", "ce", 1)
    run("2", "gru", "bpr", 1)
    run("3", "gru", "bpr", 2)
    run("4", "gnn", "bpr", 2)
    run("10", "gnn", "bpr", 2)
    assert told(group_runs([tmp_path], None)) == [
        ("gru ce", ["1"]),
        ("gru bpr model.rate=1", ["2"]),
        ("gru bpr model.rate=2", ["3"]),
        ("gnn", ["10"]),  # 4 is the same, and as old
    ]


def test_settings_of_training_mean_nothing_to_a_model_that_counts(
    run_of: RunOf, tmp_path: Path
) -> None:
    for loss in ("ce", "bpr"):
        run_of(tmp_path / loss, is_trained=False, choices={"model": "a", "loss": loss})
    assert len(group_runs([tmp_path], None)) == 1
    assert len(group_runs([tmp_path], ["model", "loss"])) == 1


def test_no_seed_counts_twice(run_of: RunOf, tmp_path: Path) -> None:
    run_of(tmp_path / "a", seeds=(0, 1))
    run_of(tmp_path / "b", seeds=(1,), started="2026-02-01")
    run_of(tmp_path / "c", seeds=(2,), started="2026-01-02")
    run_of(tmp_path / "d", seeds=(2,), started="2026-01-01")
    entries = group_runs([tmp_path], None)
    assert told(entries) == [("run", ["a", "b", "c"])]
    assert [list(run.seeds) for run in entries[0].runs] == [[0], [1], [2]]  # 1 is b's, newer
    assert [list(run.predictions.outcomes) for run in entries[0].runs] == [[0], [1], [2]]


def seeds_of(entries: list[TableRow]) -> list[tuple[str, list[int]]]:
    """Return each row's folders in short, and their seeds."""
    return [(run.path.name, list(run.seeds)) for entry in entries for run in entry.runs]


def test_of_overlapping_runs_each_seed_counts_once(run_of: RunOf, tmp_path: Path) -> None:
    """Three runs that overlap, and one that is wholly inside another."""
    for name, seeds, day in [
        ("a", (0, 1, 2), "01"),
        ("b", (1, 2, 3), "02"),
        ("c", (3, 4), "03"),
        ("d", (0, 1), "04"),
        ("e", (1,), "03"),
    ]:
        # what a newer run found of a seed can be told from what an older one did
        right = SERVICES[0] if name in "bd" else "service_3"
        run_of(tmp_path / name, seeds=seeds, started=f"2026-01-{day}", predicted=right)
    entries = group_runs([tmp_path], None)
    assert seeds_of(entries) == [("b", [2]), ("c", [3, 4]), ("d", [0, 1])]
    (row,) = compare_rows(entries, title="", metric="accuracy").rows
    assert row["seeds"] == 5
    each = [2 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert row["accuracy"]["mean"] == pytest.approx(sum(each) / 5)
    assert row["accuracy"]["std"] == pytest.approx(statistics.stdev(each))


def test_the_history_of_a_run_has_the_seeds_that_count(run_of: RunOf, tmp_path: Path) -> None:
    run_of(tmp_path / "a", seeds=(0, 1))
    run_of(tmp_path / "b", seeds=(0,), started="2026-02-01")
    (entry,) = group_runs([tmp_path], None)
    assert [list(run.history) for run in entry.runs] == [[1], [0]]


@pytest.mark.parametrize(
    "other",
    [
        "data: {path: b.jsonl}",
        "data: {cache: false}",
        "data: {default_path: elsewhere}",
        "trainer: {checkpoint_every: 1}",
        "threads: 2",
        "logger: {_target_: some.Logger, store: x}",
    ],
)
def test_what_decides_no_figure_makes_no_row(run_of: RunOf, tmp_path: Path, other: str) -> None:
    run_of(tmp_path / "a", seeds=(0,), choices={"model": "m"}, config="data: {path: a.jsonl}")
    run_of(tmp_path / "b", seeds=(1,), choices={"model": "m"}, config=other)
    assert told(group_runs([tmp_path], None)) == [("m", ["a", "b"])]


def test_one_data_set_by_two_names(run_of: RunOf, tmp_path: Path) -> None:
    """``data=geoportal``, and the same file by its path; of another model, too."""
    for name, model, data in [("1", "m", "hand"), ("2", "m", "file"), ("3", "n", "file")]:
        run_of(tmp_path / name, seeds=(int(name),), choices={"model": model, "data": data})
    assert told(group_runs([tmp_path], None)) == [("m", ["1", "2"]), ("n", ["3"])]


def test_rows_that_only_the_split_or_the_reader_tells_apart(run_of: RunOf, tmp_path: Path) -> None:
    """The same test pairs, but another mask, or fewer training pairs: other figures."""
    run_of(tmp_path / "1", choices={"model": "m"})
    run_of(tmp_path / "2", choices={"model": "m"}, config="split: {graph: all}")
    run_of(tmp_path / "3", choices={"model": "m"}, config="data: {max_paths: 9}")
    names = [entry.name for entry in group_runs([tmp_path], None)]
    assert names == ["m split.graph=train", "m split.graph=all", "m data.max_paths=9"]


def test_two_versions_of_dagrec_are_two_rows(run_of: RunOf, tmp_path: Path) -> None:
    for seed, version in enumerate(["1", "1", "2"]):
        versions = {"dagrec": version, "python": str(seed)}
        run_of(tmp_path / str(seed), seeds=(seed,), versions=versions, choices={"model": "m"})
    assert told(group_runs([tmp_path], None)) == [("m dagrec=1", ["0", "1"]), ("m dagrec=2", ["2"])]


def test_no_two_rows_have_one_name(run_of: RunOf, tmp_path: Path) -> None:
    for name in "ab":  # one option, changed in between
        run_of(tmp_path / name, config=f"model: {{_target_: some.{name}}}")
    assert [entry.name for entry in group_runs([tmp_path], None)] == ["run 1", "run 2"]


def test_by_pools_but_never_over_other_test_pairs(run_of: RunOf, tmp_path: Path) -> None:
    for data in ("one", "two"):
        for loss in ("ce", "bpr"):
            run_of(
                tmp_path / data / loss,
                choices={"model": "a", "loss": loss, "data": data},
                data={"sha256": data, **OTHER_DATA},
            )
    entries = group_runs([tmp_path], ["model"])
    assert told(entries) == [("a", ["bpr", "ce"])] * 2
    assert [entry.about for entry in entries] == ["one", "two"]
    with pytest.raises(ConfigError, match=r"by=no: .* has no such setting"):
        group_runs([tmp_path], ["no"])


def test_data_of_one_name_are_told_apart(run_of: RunOf, tmp_path: Path) -> None:
    for sha in ("x", "y"):
        run_of(tmp_path / sha, data={"sha256": sha, **OTHER_DATA})
    assert [entry.about for entry in group_runs([tmp_path], None)] == ["hand 1", "hand 2"]


def test_a_saved_model_that_was_evaluated_is_a_row_of_its_own(
    run_of: RunOf, tmp_path: Path
) -> None:
    run_of(tmp_path / "trained", choices={"model": "a"})
    run_of(tmp_path / "evaluated", choices={"model": "a"}, run="/x/day/7")
    for by in (None, ["model"]):
        assert told(group_runs([tmp_path], by)) == [
            ("a run=day/7", ["evaluated"]),
            ("a", ["trained"]),
        ]


COLUMNS = "seed,pair,composition,group,context,depth,target,predicted,rank,ties,probability\n"


def damage(path: Path, name: str, text: str | None) -> None:
    if text is None:
        (path / name).unlink()
    else:
        (path / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("result.json", '{"status": "fini', "result.json: damaged"),
        ("result.json", '{"a": 1}', "no format in it, so it is none of dagrec 0.2 or later"),
        ("result.json", '{"format": 2}', "missing required field `status`"),
        ("result.json", '{"format": 2, "status": "finished"}', "missing required field"),
        ("result.json", '{"format": 1, "status": "finished"}', "made by dagrec 0.1.0; this ver"),
        ("config.yaml", "a: [", "config.yaml: missing or damaged"),
        ("config.yaml", "a: 1", "config.yaml: split.graph is None; use one of all, train."),
        ("vocabulary.json", None, "vocabulary.json: no such file"),
        ("metrics.csv", "seed,epoch\n0,x\n", "metrics.csv: missing or damaged"),
        ("predictions.csv", COLUMNS, "does not fit result.json: not 3 pairs for each of 1 seeds"),
        (
            "predictions.csv",
            f"{COLUMNS}0,1,2,2,5,1,b,c,1,0,1\n",
            "'b' is no service of",
        ),
        (
            "predictions.csv",
            f"{COLUMNS}0,1,2,2,5,1,b,c,1,{2**70},1\n",
            "predictions.csv: missing or damaged",
        ),
        ("predictions.csv", "seed,pair,rank,ties\n0,7\n", "predictions.csv: missing or damaged"),
        ("predictions.csv", None, "predictions.csv: missing or damaged"),
    ],
)
def test_a_damaged_run_is_named_with_the_reason(
    run_of: RunOf, tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    run_of(tmp_path / "good")
    damage(run_of(tmp_path / "harmed").path, name, text)
    good, harmed = group_runs([tmp_path], None)
    assert good.runs
    assert harmed.name == str(tmp_path / "harmed")
    assert not harmed.runs
    assert reason in harmed.reason


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_stopped_is_named_with_the_reason(
    run_of: RunOf, tmp_path: Path, status: str
) -> None:
    run_of(tmp_path / "good")
    run_of(tmp_path / "stopped", status=status, error="no disk")
    _, entry = group_runs([tmp_path], None)
    assert (entry.runs, entry.reason) == ([], f"{status}: no disk")


def test_killed_runs_and_other_things_in_a_folder(run_of: RunOf, tmp_path: Path) -> None:
    run_of(tmp_path / "good")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello")
    killed = run_of(tmp_path / "killed").path
    (killed / "result.json").rename(killed / "request.json")
    _, entry = group_runs([tmp_path], None)
    assert entry.reason == (
        f"no result.json; still running, or killed: dagrec train resume={killed} continues it."
    )


def test_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none of 1 runs is finished; .*: no result\.json"):
        group_runs([tmp_path], None)
    with pytest.raises(RunError, match="no such folder"):
        group_runs([tmp_path / "no"], None)


def test_jobs_come_in_the_order_of_their_numbers(run_of: RunOf, tmp_path: Path) -> None:
    for job in (10, 9, 1):
        run_of(tmp_path / str(job), choices={"model": f"m{job}"})
    assert [entry.name for entry in group_runs([tmp_path], None)] == ["m1", "m9", "m10"]


def test_a_run_named_twice_counts_once(run_of: RunOf, tmp_path: Path) -> None:
    run = run_of(tmp_path / "a")
    (entry,) = group_runs([tmp_path, run.path], None)
    assert [each.path for each in entry.runs] == [run.path]
    assert json.loads((run.path / "result.json").read_text())["seeds"] == [0]


def test_a_folder_that_vanishes_while_runs_are_looked_for(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tmp_path / "r" / "good")
    run_of(tmp_path / "r" / "sweep" / "0")
    sweep, scandir = tmp_path / "r" / "sweep", os.scandir

    def remove_first(path: str | Path) -> object:
        if str(path) == str(sweep):
            sweep.rename(tmp_path / "elsewhere")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", remove_first)
    assert told(group_runs([tmp_path / "r"], None)) == [("run", ["good"])]
    assert not sweep.exists()


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), DataError("x is no data"), PermissionError("no")]
)
def test_a_folder_that_cannot_be_read_is_one_failed_row(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("bad", "good"):
        run_of(tmp_path / name)
    check = Run.check

    def fail(run: Run) -> None:
        if run.path.name == "bad":
            raise error
        check(run)

    monkeypatch.setattr(Run, "check", fail)
    good, bad = group_runs([tmp_path], None)
    assert good.runs
    assert (bad.runs, bad.reason) == ([], str(error))
    assert state_of(tmp_path / "bad").run is None
    assert state_of(tmp_path / "bad").reason == str(error)


def test_a_table_needs_no_file_of_its_runs_any_more(run_of: RunOf, tmp_path: Path) -> None:
    for name in "ab":
        run_of(tmp_path / "runs" / name, choices={"model": name})
    entries = group_runs([tmp_path / "runs"], None)
    shutil.rmtree(tmp_path / "runs")
    table = compare_rows(entries, title="", metric="accuracy")
    report = write_report(RunFolder(tmp_path / "out"), "dagrec", [ReportSheet([table], entries)])
    assert "some.Split" in report.read_text()


def test_runs_with_seeds_in_common_count_them_once(run_of: RunOf, tmp_path: Path) -> None:
    """``train -m seeds=[0,1],[1,2]``: three seeds of one row."""
    for job, seeds in enumerate([(0, 1), (1, 2)]):
        run_of(tmp_path / str(job), seeds=seeds, started=f"2026-01-0{job + 1}")
    (entry,) = group_runs([tmp_path / "0", tmp_path / "1"], None)
    assert [list(run.seeds) for run in entry.runs] == [[0], [1, 2]]


def in_parts(
    run_of: RunOf, folder: Path, *numbers: int, of: int = 3, pooled: bool = False, **about: Any
) -> None:
    """Write a run of each of some parts of a split; in part 0 all is right, else less."""
    for number in numbers:
        data = {"part": {"number": number, "of": of, "is_pooled": pooled}, "test_groups": 2}
        run_of(
            folder / f"part{number}",
            is_trained=False,
            data=data,
            predicted=SERVICES[0 if number == 0 else 2],
            config=f"split: {{part: {number}, folds: {of}, repeats: 1}}",
            **about,
        )


def test_runs_that_differ_in_the_part_are_one_row(run_of: RunOf, tmp_path: Path) -> None:
    for model in "ab":
        in_parts(run_of, tmp_path / model, 0, 1, 2, choices={"model": model})
    rows = group_runs([tmp_path], None)
    assert told(rows) == [(model, ["part0", "part1", "part2"]) for model in "ab"]
    table = compare_rows(rows, title="", metric="accuracy")
    first, second = table.rows
    each = [2 / 3, 1 / 3, 1 / 3]
    assert first["accuracy"]["mean"] == pytest.approx(sum(each) / 3)
    assert first["accuracy"]["std"] == pytest.approx(statistics.stdev(each))
    assert (first["seeds"], first["parts"], second["p"]) == (1, 3, 1)
    assert table.plain["parts"] == [3, 3]
    assert table.notes[0].startswith(
        "n = 3 parts of 3 test pairs in 2 groups, data=hand split=paper (seed=42 folds=3); "
        "seeds 0; mean ± standard deviation over parts, [95 % interval over other data"
    )


def test_blocks_of_time_are_one_test(run_of: RunOf, tmp_path: Path) -> None:
    best = {key: {"mean": 0.5, "std": None, "low": 0.4, "high": 0.6} for key in METRICS}
    for model in "ab":
        about = {"choices": {"model": model}, "ceilings": {"context": best}}
        in_parts(run_of, tmp_path / model, 0, 1, 2, pooled=True, **about)
    table = compare_rows(group_runs([tmp_path], None), title="", metric="accuracy")
    first, second, ceiling = table.rows
    assert first["accuracy"]["mean"] == pytest.approx(4 / 9)
    assert (first["accuracy"]["std"], first["seeds"], "parts" in first) == (None, 1, False)
    assert second["p"] == 1
    assert ceiling["accuracy"] == {"mean": 0.5}
    assert "seeds 0; [95 % interval over groups of equal" in table.notes[0]


def test_a_row_that_lacks_a_part_is_not_compared_with_a_whole_one(
    run_of: RunOf, tmp_path: Path
) -> None:
    in_parts(run_of, tmp_path / "whole", 0, 1, 2, choices={"model": "a"})
    for model in "bc":
        in_parts(run_of, tmp_path / f"{model}", 0, 2, choices={"model": model})
    rows = group_runs([tmp_path], None)
    table = compare_rows(rows, title="", metric="accuracy")
    assert [(row["row"], row["test"], "p" in row) for row in table.rows] == [
        ("b", "hand split.parts=2 of 3", False),
        ("c", "hand split.parts=2 of 3", True),
        ("a", "hand", False),
    ]
    assert table.notes[0].startswith("hand split.parts=2 of 3: n = only 0, 2 of 3 parts of 3 test")
    alone = basis([TableRow("a", rows[0].runs[1:])])[0]
    assert "n = 3 test pairs in 2 groups, data=hand split=paper (seed=42 part=2 folds=3); " in alone


def test_of_a_part_that_was_run_twice_the_newer_counts(run_of: RunOf, tmp_path: Path) -> None:
    in_parts(run_of, tmp_path / "old", 0, 1, started="2026-01-01")
    in_parts(run_of, tmp_path / "new", 1, 2, started="2026-01-02")
    (row,) = group_runs([tmp_path], None)
    assert [(run.path.parent.name, run.part) for run in row.runs] == [
        ("old", 0),
        ("new", 1),
        ("new", 2),
    ]


def test_another_number_of_folds_is_another_test(run_of: RunOf, tmp_path: Path) -> None:
    for of in (2, 3):
        in_parts(run_of, tmp_path / str(of), *range(of), of=of)
    assert [row.about for row in group_runs([tmp_path], None)] == [
        "hand split.folds=2",
        "hand split.folds=3",
    ]


def test_a_part_that_does_not_exist_is_damage(run_of: RunOf, tmp_path: Path) -> None:
    in_parts(run_of, tmp_path, 0)
    with pytest.raises(RunError, match="part 3 of 3 does not exist"):
        in_parts(run_of, tmp_path, 3)
