"""Strata of steps, told by sets of names; what a result says of them is checked."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import RunError
from dagrec_cli.evaluation.strata import STRATA, strata
from dagrec_cli.reporting.comparison import strata_of, strata_tables
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.runs.run import Run


@pytest.mark.parametrize("renumbered", [False, True])
def test_each_step_is_of_the_strata_that_sets_of_names_say(
    random_compositions: list[Composition],
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    renumbered: bool,
) -> None:
    drawn = [*random_compositions[:40], *random_compositions[:3], walks("t9 s9 s1")]
    dataset = dataset_of(drawn, context="dag")
    n = len(dataset.pairs.target)
    fitted = np.flatnonzero(dataset.pairs.composition < 6)
    rows = np.random.default_rng(0).permutation(np.arange(len(fitted), n))
    if renumbered:
        dataset = dataset.known_by(dataset.vocabulary_of(fitted))
    names, contexts = dataset.vocabulary, dataset.contexts

    def step(row: int) -> tuple[str, str, int]:
        pairs = dataset.pairs
        last = names.nodes[contexts.node[pairs.context[row]] - 1]
        return last, names.services[pairs.target[row]], int(dataset.group[pairs.composition[row]])

    trained = [step(row) for row in fitted]
    edges = {(last, target) for last, target, _ in trained}
    targets = {target for _, target, _ in trained}
    spelt = [names.spell(contexts.spell(c)) for c in dataset.pairs.context[fitted]]
    nodes = {name for context in spelt for name in context} | targets
    expected: dict[str, list[bool]] = {name: [] for kind in STRATA for name in kind}
    for last, target, group in map(step, rows):
        is_named = last in nodes and target in targets
        is_known = (last, target) in edges
        is_seen = group in {seen for _, _, seen in trained}
        told = (is_known, is_named and not is_known, not is_named, is_seen, not is_seen)
        for name, holds in zip(expected, told, strict=True):
            expected[name].append(holds)
    found = strata(dataset, fitted, rows)
    assert {name: where.tolist() for name, where in found.items()} == expected
    assert all(any(where) for where in expected.values())
    assert set(strata(dataset, fitted, fitted)) == {"known edge", "composition seen"}


def told(values: dict[int, dict[str, float]], *parts: tuple[str, int]) -> dict[str, Any]:
    return {name: {"steps": steps, "per_seed": values} for name, steps in parts}


@pytest.fixture
def run_with(run_of: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """A function of strata: a run of two seeds on three steps, all of whose figures are alike."""
    figures = run_of(tmp_path / "plain").finished.per_seed[0]
    values, number = dict.fromkeys((0, 1), figures), count()

    def made(*parts: tuple[str, int], **changed: Any) -> Run:
        strata = told(values | changed.pop("values", {}), *parts)
        return run_of(tmp_path / f"run{next(number)}", seeds=(0, 1), strata=strata)

    return made


WHOLE = (("known edge", 2), ("new node", 1), ("composition new", 3))


def test_a_table_of_strata_has_a_line_for_each_row(run_with: Callable[..., Run]) -> None:
    run = run_with(*WHOLE)
    (table,) = strata_tables([TableRow("a", [run]), TableRow("b", [run.of_seeds([1])])], "strata")
    lines = [(row["stratum"], row["row"], row["steps"]) for row in table.rows]
    assert lines == [(name, row, n) for name, n in WHOLE for row in "ab"]
    assert {row["accuracy"] for row in table.rows} == {run.finished.per_seed[0]["accuracy"]}
    (own,) = strata_of(run.finished)
    assert [row["stratum"] for row in own.rows] == [name for name, _ in WHOLE]
    assert "row" not in own.columns


def test_several_parts_say_what_their_f1_is(run_of: Callable[..., Run], tmp_path: Path) -> None:
    figures = run_of(tmp_path / "plain").finished.per_seed[0]
    runs = [
        run_of(
            tmp_path / f"part{number}",
            strata=told({0: figures}, *WHOLE),
            data={"part": {"number": number, "of": 2, "is_pooled": True}, "test_groups": 2},
            config=f"split: {{part: {number}}}",
        )
        for number in (0, 1)
    ]
    for some, says in ((runs, True), (runs[:1], False)):
        (table,) = strata_tables([TableRow("a", some)], "strata")
        assert any(note.startswith("F1 of several parts") for note in table.notes) == says


def test_without_strata_there_is_no_table(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    assert strata_tables([TableRow("a", [run])], "strata") == strata_of(run.finished) == []


@pytest.mark.parametrize(
    ("parts", "changed", "expected"),
    [
        (WHOLE[:2], {}, "strata are composition seen and composition new, but not all steps"),
        ([("known edge", 4), WHOLE[2]], {}, "strata are known edge and new edge and new node, but"),
        ([("old edge", 3)], {}, "old edge"),
        (WHOLE, {"values": {2: {}}}, "strata have other seeds"),
        (WHOLE, {"values": {1: {"accuracy": 1.0}}}, "strata have other metrics"),
    ],
)
def test_strata_that_cannot_be_are_refused(
    run_with: Callable[..., Run], parts: Any, changed: dict[str, Any], expected: str
) -> None:
    with pytest.raises(RunError, match=expected):
        run_with(*parts, **changed)


def test_figures_of_strata_are_those_of_all_steps(run_with: Callable[..., Run]) -> None:
    figures = run_with(*WHOLE).finished.per_seed[1]
    with pytest.raises(RunError, match=r"ndcg of the strata is not that of all steps"):
        run_with(*WHOLE, values={1: {**figures, "ndcg": figures["ndcg"] / 2}})
