"""Predictions and result of a run that are not of one mind are refused, and never shown."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.runs.csv_files import MisfitError, check_ranks, read_contexts
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.predictions import write_predictions
from dagrec_cli.runs.run import Run

RunOf = Callable[..., Run]
PREFIX = "predictions.csv does not fit result.json: "
TO_CONTEXTS = "predictions.csv does not fit contexts.csv: "


def harmed(run_of: RunOf, folder: Path, harm: Callable[[Path], None]) -> TableRow:
    """Return the row of a run after its files were changed, beside one that is as it was."""
    run_of(folder / "good")
    harm(run_of(folder / "harmed", seeds=(0, 1)).path)
    good, entry = group_runs([folder], None)
    assert good.runs
    assert not entry.runs
    assert "\n" not in entry.reason
    return entry


@pytest.mark.parametrize(
    ("column", "rows", "value", "reason"),
    [
        ("rank", [0, 1, 2, 3, 4, 5], 1, "a target comes first alone, and another is predicted"),
        ("rank", [0], 2, "a target is predicted that does not come first"),
        ("rank", [4], 4, "seed 1 has rank 4 of 3 services"),
        ("rank", [1], 0, "line 3 has rank 0 with 0 ties"),
        ("rank", [1], 1.5, "line 3 has rank 1.5 with 0 ties"),
        ("rank", [1], 3, "seed 0 has ndcg 0."),
        ("ties", [2], 2, "line 4 has rank 1 with 2 ties"),
        ("ties", [2], -1, "line 4 has rank 1 with -1 ties"),
        ("predicted", [1], "service_3", "seed 0 has precision 0."),
        ("predicted", [1], "service_9", "'service_9' is no service of vocabulary.json"),
        ("target", [1, 4], "table_1", "'table_1' is no service of vocabulary.json"),
        ("composition", [1, 4], -7, "composition -7, but there are 5"),
        ("composition", [1, 4], 5, "composition 5, but there are 5"),
        ("group", [1, 4], 5, "group 5, but there are 5"),
        ("group", [1, 4], 3, "a composition is in two groups"),
        ("group", [0, 3], 4, "a group has another number than its first composition"),
        ("group", slice(None), [2, 3, 3] * 2, "a group has another number than its first"),
        ("group", [1, 2, 4, 5], 3, "it has 1 group, there it is 2"),
        ("pair", [2, 5], 6, "a pair is of a later composition than one after it"),
        ("pair", [1, 4], 10, "pair 10, but there are 10"),
        ("pair", [1, 4], 7, "a pair stands twice"),
        ("pair", [4], 6, "other pairs for another seed"),
        ("composition", [4], 3, "other pairs for another seed"),
        ("seed", [0], 1, "not 3 pairs for each of 2 seeds"),
        ("context", [4], 1, "other pairs for another seed"),
        ("context", [1, 4], 7, f"{TO_CONTEXTS}there is no context 7"),
        ("context", [1, 4], 1, f"{TO_CONTEXTS}context 1 has depth 1, there it is 2"),
        ("depth", [1, 4], 3, f"{TO_CONTEXTS}context 0 has depth 3, there it is 1"),
        ("probability", [1], 1.5, "predictions.csv is damaged: a probability is not from 0 to 1"),
    ],
)
def test_predictions_that_were_changed(
    run_of: RunOf, tmp_path: Path, column: str, rows: Any, value: object, reason: str
) -> None:
    def harm(path: Path) -> None:
        table = pd.read_csv(path / "predictions.csv")
        table[column] = table[column].astype(object)
        table.loc[rows, column] = value
        table.to_csv(path / "predictions.csv", index=False)

    assert harmed(run_of, tmp_path, harm).reason.startswith((PREFIX + reason, reason))


def test_lines_of_a_seed_that_the_run_has_not(run_of: RunOf, tmp_path: Path) -> None:
    def harm(path: Path) -> None:
        with (path / "predictions.csv").open("a") as file:
            file.write("2,7,3,3,0,1,service_2,service_2,1,0,0.5\n")

    assert harmed(run_of, tmp_path, harm).reason.startswith(f"{PREFIX}not 3 pairs for each of 2")


def test_a_line_says_what_its_pair_belongs_to_and_what_was_made_of_it(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset], tmp_path: Path
) -> None:
    """The last composition equals the first, so it is in its group; s1 ties with s2 there."""
    dataset = dataset_of([walks("t1 s1"), walks("t1 s2"), walks("t1 s1")])
    outcomes = Outcomes(*(np.array(each) for each in ([1, 0], [0, 0], [1, 0], [0, 1])))
    chances = np.array([0.25, 0.5]), np.array([0.75, 0.5])
    write_predictions(RunFolder(tmp_path), dataset, np.array([1, 2]), {7: (outcomes, *chances)})
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "seed,pair,composition,group,context,depth,target,predicted,rank,ties,probability,confidence",
        "7,1,1,1,0,1,service_2,service_1,2,0,0.25,0.75",
        "7,2,2,0,0,1,service_1,service_1,1.5,1,0.5,0.5",
    ]


def test_contexts_are_spelt_once_by_what_leads_to_them(
    random_compositions: list[Composition], dataset_of: Callable[..., Dataset], tmp_path: Path
) -> None:
    """Those of the test, and all that leads to them; read back, they unfold as in the data."""
    dataset = dataset_of(random_compositions, context="dag")
    test = np.arange(0, len(dataset.pairs.target), 7)
    target = dataset.pairs.target[test].astype(np.int64)
    none = np.zeros(len(test), np.int64)
    outcomes = Outcomes(target, target, none, none)
    folder = RunFolder(tmp_path)
    write_predictions(folder, dataset, test, {0: (outcomes, np.ones(len(test)), None)})
    lines = StringIO((tmp_path / "contexts.csv").read_text(), newline="")
    found = read_contexts(lines, dataset.vocabulary.nodes)
    contexts = dataset.pairs.context[test]
    assert list(found) == dataset.contexts.ancestors(contexts).tolist()
    items = list(dataset.contexts.items())
    for entry, (name, parents, depth) in found.items():
        assert name == dataset.vocabulary.nodes[items[entry][0] - 1]
        assert parents == items[entry][1]
        assert depth == dataset.contexts.depth[entry]
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["context"].tolist() == contexts.tolist()
    assert table["depth"].tolist() == dataset.contexts.depth[contexts].tolist()


CONTEXTS = "context,node,parents\n0,table_1,\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, ": missing or damaged (["),
        ("", ": missing or damaged (Empty"),
        ("context,node\n1,a\n", " is damaged: its columns are context, node"),
        (f"{CONTEXTS}1,service_2,b\n", ": missing or damaged (ValueError("),
        (f"{CONTEXTS}1,service_9,0\n", " does not fit vocabulary.json: context 1 ends in "),
        (f"{CONTEXTS}0,service_2,0\n", " is damaged: context 0 stands twice"),
        (f"{CONTEXTS}-1,service_2,0\n", " is damaged: context -1 stands twice or is below 0"),
        (f"{CONTEXTS}1,service_2,1\n", " is damaged: 1 leads to context 1, but does not stand"),
        (f"{CONTEXTS}1,service_2,2\n2,service_3,1\n", " is damaged: 2 leads to context 1, but"),
        (f"{CONTEXTS}1,table_1,\n", " is damaged: two contexts are equal"),
        (CONTEXTS, " does not fit contexts.csv: there is no context 1"),
        (f"{CONTEXTS}1,service_2,\n", " does not fit contexts.csv: context 1 has depth 2, there"),
        (f"{CONTEXTS}1,service_2,0 0\n", " does not fit contexts.csv: contexts merge there"),
    ],
)
def test_contexts_that_were_changed(
    run_of: RunOf, tmp_path: Path, text: str | None, reason: str
) -> None:
    def harm(path: Path) -> None:
        (path / "contexts.csv").unlink()
        if text is not None:
            (path / "contexts.csv").write_text(text)

    said = harmed(run_of, tmp_path, harm).reason
    assert reason in said
    assert said.endswith("run it again.")


def change(result: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        result = result[key]
    result[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        ("per_seed 1 accuracy", 0.16, f"{PREFIX}seed 1 has accuracy 0.6667, there it is 0.1600"),
        ("metrics mrr mean", 0.9, f"{PREFIX}the mean has mrr "),
        ("metrics f1 mean", float("nan"), "result.json: damaged (JSON is malformed"),
        ("per_seed", {"0": {}}, "result.json: damaged (per_seed has the seeds 0)"),
        ("per_seed 0", {}, "result.json: damaged (0 has no accuracy)"),
        ("per_seed", [], "result.json: damaged (Expected `object`, got `array`"),
        ("seeds", [0, 0, 1], "result.json: damaged (a seed stands twice in seeds)"),
        ("data services", 4, f"{PREFIX}a catalogue of 3 services"),
        ("data compositions", 4, f"{PREFIX}composition 4, but there are 4"),
    ],
)
def test_a_result_that_was_changed(
    run_of: RunOf, tmp_path: Path, keys: str, value: object, reason: str
) -> None:
    def harm(path: Path) -> None:
        result = json.loads((path / "result.json").read_text())
        change(result, keys.split(), value)
        (path / "result.json").write_text(json.dumps(result))

    assert harmed(run_of, tmp_path, harm).reason.startswith(reason)


def test_a_target_that_the_model_does_not_know_has_no_rank() -> None:
    ranks, ties = [1, np.inf, 2.5, 123457.0], np.array([0, 0, 1, 0])
    check_ranks(np.array(ranks), ties)
    with pytest.raises(MisfitError, match="line 6 has rank -inf with 0 ties"):
        check_ranks(np.array([*ranks, -np.inf]), np.append(ties, 0))
