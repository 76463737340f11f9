from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from dagrec_cli.experiment.result import TIE_RULE
from dagrec_cli.reporting.comparison import AS_GOOD, BEST_ROW, compare_rows
from dagrec_cli.reporting.notes import basis
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table
from dagrec_cli.runs.run import Run

RunOf = Callable[..., Run]
OTHER = {"sha256": "x", "test": 3, "forbidden_test_targets": 2}
NO_LEAKAGE = {"leakage": {"pairs": 0, "contexts": 0}}


def table_of(entries: list[TableRow]) -> Table:
    return compare_rows(entries, title="", metric="accuracy")


def test_differences_are_from_the_first_row_and_marks_about_the_best(
    run_of: RunOf, tmp_path: Path
) -> None:
    right = run_of(tmp_path / "right", is_trained=False)  # 2 of 3
    wrong = run_of(tmp_path / "wrong", predicted="service_3", seeds=(0, 1))  # 1 of 3
    first, second = table_of([TableRow("wrong", [wrong]), TableRow("right", [right])]).rows
    assert first["accuracy"]["mean"] == 1 / 3
    assert "difference" not in first
    assert first["is_reference"]
    assert "is_reference" not in second
    assert second["difference"]["mean"] == 1 / 3
    assert second["p"] > 0.05  # of three pairs
    assert [first["mark"], second["mark"]] == [AS_GOOD, BEST_ROW]


def test_one_seed_of_a_trained_model_is_not_tested(run_of: RunOf, tmp_path: Path) -> None:
    one = run_of(tmp_path / "one")
    counted = run_of(tmp_path / "counted", predicted="service_3", is_trained=False)
    three = run_of(tmp_path / "three", predicted="service_3", seeds=(0, 1, 2))
    named = [TableRow(run.path.name, [run]) for run in (counted, one, three)]
    table = table_of(named)
    assert [row.get("mark") for row in table.rows] == [None, BEST_ROW, None]  # the best is one seed
    assert ["p" in row for row in table.rows] == [False, False, True]
    assert "difference" in table.rows[1]  # of the model that was trained
    (note,) = (note for note in table.notes if note.startswith("No p"))
    assert note.endswith("seeds=[0,1,2]): one.")
    without = table_of([named[0], named[2]])
    assert [row["mark"] for row in without.rows] == [BEST_ROW, AS_GOOD]
    assert not any(note.startswith("No p") for note in without.notes)


def test_equal_compositions_are_one_group(run_of: RunOf, tmp_path: Path) -> None:
    """Pairs of two compositions that are equal: one group, which tells nothing."""
    a = run_of(tmp_path / "a", is_trained=False)
    b = run_of(tmp_path / "b", is_trained=False, predicted="service_3")
    entries = [TableRow("a", [a]), TableRow("b", [b])]
    assert table_of(entries).rows[0]["accuracy"]["low"] > 0
    for run in (a, b):
        equal = run.predictions.membership._replace(group=np.full(3, 3))
        one = replace(run.predictions, membership=equal)
        run.__dict__["predictions"] = one
    first, second = table_of(entries).rows
    assert (first["accuracy"]["low"], first["accuracy"]["high"]) == (0, 1)
    assert second["p"] == 1


def test_classes_are_compared_by_name(run_of: RunOf, tmp_path: Path) -> None:
    here = run_of(tmp_path / "here")
    services = here.vocabulary.services
    there = run_of(tmp_path / "there", services=["a_service", *reversed(services)])
    assert here.test == there.test
    _, second = table_of([TableRow("here", [here]), TableRow("there", [there])]).rows
    assert second["difference"]["mean"] == 0
    pooled = TableRow("both", [here, there])
    assert pooled.services == sorted(["a_service", *services])
    first = [pooled.services[seed.predicted[0]] for seed in pooled.outcomes]
    assert first == [services[0]] * 2


def test_every_set_of_test_pairs_has_its_own_tests_and_notes(run_of: RunOf, tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", is_trained=False)
    b = run_of(tmp_path / "b", predicted="service_3", is_trained=False)
    x = run_of(tmp_path / "x", data=OTHER | NO_LEAKAGE, seeds=(0, 1))
    y = run_of(tmp_path / "y", data=OTHER | NO_LEAKAGE, seeds=(0, 1), predicted="service_3")
    entries = [
        TableRow(run.path.name, [run], about=f"set {run.path.name < 'x'}") for run in (a, b, x, y)
    ]
    table = table_of(entries)
    assert [(row["row"], row["test"], row["mark"]) for row in table.rows] == [
        ("a", "set True", BEST_ROW),
        ("b", "set True", AS_GOOD),
        ("x", "set False", BEST_ROW),
        ("y", "set False", AS_GOOD),
    ]
    assert table.rows[3]["difference"]["mean"] == -1 / 3
    assert "p" not in table.rows[2]
    assert table.columns[:3] == ["row", "test", "mark"]
    one, other = (note for note in table.notes if note.startswith("set"))
    assert "Leakage: 50% of test pairs" in one
    assert "Leakage: 0% of test pairs" in other
    assert sum("Ties" in note for note in table.notes) == 1


def test_a_single_row_is_not_tested(run_of: RunOf, tmp_path: Path) -> None:
    table = table_of([TableRow("a", [run_of(tmp_path / "a")]), TableRow("b", [], "no disk")])
    assert [row["row"] for row in table.rows] == ["a"]
    assert not {"mark", "p", "test"} & set(table.rows[0])
    assert table.notes[-1] == "Not finished: b: no disk"
    assert not any("Holm" in note for note in table.notes)


def test_notes_say_where_rows_differ(run_of: RunOf, tmp_path: Path) -> None:
    hidden = "split: {_target_: some.Split, test_share: 0.3, seed: 42, graph: all}\n"
    a, b = (run_of(tmp_path / name) for name in "ab")
    c = run_of(tmp_path / "c", seeds=(0, 1))
    (c.path / "config.yaml").write_text(f"{hidden}trainer: {{monitor: ndcg, epochs: 1}}\n")
    saved = run_of(tmp_path / "s", run="/x/day/7", trained_on="data=hand split=cold")
    entries = [TableRow("a", [a]), TableRow("b", [b]), TableRow("c", [c]), TableRow("s", [saved])]
    n, data, leakage, mask, ties = basis(entries)
    assert n == (
        "n = 3 test pairs in 2 groups, data=hand split=paper (test_share=0.3 seed=42); seeds 0; "
        "c: 0, 1; mean ± standard deviation over seeds, [95 % interval over groups of equal "
        "compositions and seeds]."
    )
    assert data == (
        "Data: 5 compositions, 10 pairs, 3 services that follow; at most one link leads to a node "
        "of a context."
    )
    assert leakage == (
        "Leakage: 50% of test pairs and 100% of their contexts also occur in training; "
        "s: the model was trained on data=hand split=cold: where the data overlap, these pairs may "
        "have been trained on."
    )
    assert mask == (
        "A hard mask knows the edges of training pairs only, and rules out 1 test target; "
        "c: of all pairs, test pairs too, and rules out 1 test target; "
        "s: that day/7 knew, and rules out 1 test target."
    )
    assert ties.startswith("Ties: equal scores share their ranks; accuracy")
    alone = "seeds 0; [95 % interval over groups of equal compositions; of other seeds it says"
    assert basis(entries[:1])[0].endswith(f"{alone} nothing].")
    own = run_of(tmp_path / "own", run="/x/day/7")  # on its own test again
    assert basis([TableRow("own", [own])])[2] == basis(entries[:1])[2]
    everywhere = run_of(tmp_path / "all", run="/x/day/7", evaluated_on="all")
    assert basis([TableRow("all", [everywhere])])[0].startswith("n = 3 pairs in 2 groups, ")


def test_a_mask_is_told_of_only_where_a_row_has_one(run_of: RunOf, tmp_path: Path) -> None:
    masked, free = (run_of(tmp_path / name) for name in "ab")
    model = structs.replace(free.finished.model, mask="none")
    free = replace(free, result=structs.replace(free.finished, model=model))
    notes = basis([TableRow("masked", [masked]), TableRow("free", [free])])
    assert [note for note in notes if "mask" in note] == [
        "A hard mask knows the edges of training pairs only, and rules out 1 test target."
    ]
    assert not any("mask" in note for note in basis([TableRow("free", [free])]))


def test_notes_say_what_models_do_not_know(run_of: RunOf, tmp_path: Path) -> None:
    unseen = {"nodes": 2, "services": 1, "contexts": 2, "emptied": 0, "targets": 1}
    lacks = run_of(tmp_path / "b", unseen=unseen, rule="it scores 0")
    rows = [TableRow("a", [run_of(tmp_path / "a")]), TableRow("b", [lacks])]
    share = (
        "2 nodes and 1 target service of the data, which are 33.3% of the test targets and in "
        "66.7% of their contexts"
    )
    assert not [note for note in basis(rows[:1]) if note.startswith("Unknown")]
    for some, line in ((rows, f"nothing; b: {share}"), (rows[1:], share)):
        assert f"Unknown to the model: {line}; it scores 0." in basis(some)
    row = run_of(tmp_path / "c", unseen=unseen | {"emptied": 1}, rule="it scores 0")
    (note,) = (note for note in basis([TableRow("c", [row])]) if note.startswith("Unknown"))
    assert "66.7% of their contexts (33.3% hold nothing else); it scores 0." in note


def test_notes_say_what_became_of_the_share_where_a_run_tells(
    run_of: RunOf, tmp_path: Path
) -> None:
    told = {"asked": 0.3, "share": 0.18, "groups": 9, "largest_group": 0.8, "warnings": ["Oh"]}
    data = {"sha256": "abc", "test": 3, "forbidden_test_targets": 1, **NO_LEAKAGE}
    older = run_of(tmp_path / "older", data=data)  # does not tell
    run = run_of(tmp_path / "run", data=data | {"held_out": {"test": told, "validation": told}})
    notes = basis([TableRow("older", [older]), TableRow("run", [run])])
    assert notes[3:6] == [
        "Split: 18.0% of the pairs (asked: 30%) held out; 9 groups, the largest has 80.0%.",
        "Warning: Oh.",
        "Warning: validation: Oh.",
    ]
    assert len(basis([TableRow("older", [older])])) == len(notes) - 3


def test_a_run_from_before_ruled_out_targets_had_a_rank_is_told_apart(
    run_of: RunOf, tmp_path: Path
) -> None:
    older, run = run_of(tmp_path / "older"), run_of(tmp_path / "run", tie_rule=TIE_RULE)
    *_, ties = basis([TableRow("older", [older]), TableRow("run", [run])])
    assert "; run: equal scores" in ties
    assert "what a mask rules out ranks below the rest, by its own score" in ties


def test_seeds_of_pooled_runs(run_of: RunOf, tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name, seeds=(0, 1)) for name in "ab"]
    assert "; seeds 0, 1 (in 2 runs); " in basis([TableRow("a", runs)])[0]
