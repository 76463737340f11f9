"""Rows side by side: intervals, differences from the first row, and who is as good as the best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np

from dagrec_cli.evaluation.intervals import metric_summaries
from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.significance import Difference, holm, paired_difference
from dagrec_cli.reporting.tables import Table, heading
from dagrec_cli.runs.run import Run

SIGNIFICANT = 0.05
BEST_ROW, AS_GOOD = "best", "≈ best"
CEILINGS = {  # what the row of each is called, and what it is
    "last_node": (
        "ceiling: last node",
        "the best function of the last node, chosen on these test pairs",
    ),
    "context": (
        "ceiling: whole context",
        "the best function of the whole context, chosen on these test pairs",
    ),
    "law": (
        "ceiling: the law",
        "the best predictor in expectation, which knows the data's law",
    ),
}
Cells = dict[str, Any]  # of a row, by column


@dataclass(frozen=True)
class TableRow:
    """One row: a name, and what one or more runs of it made of the same test pairs.

    Attributes
    ----------
    name
        The row's name.
    runs
        Finished runs; their seeds are pooled.
    reason
        Why there is no finished run, empty if there is.
    about
        Name of the test pairs, for tables with more than one set of them.
    """

    name: str
    runs: Sequence[Run]
    reason: str = ""
    about: str = ""

    @property
    def services(self) -> list[str]:
        """Names of all services that the runs know; the classes of the outcomes."""
        return _catalogue(self.runs)

    @property
    def outcomes(self) -> list[Outcomes]:
        """Outcomes of every seed of every run."""
        return _outcomes(self.runs, self.services)

    @property
    def is_testable(self) -> bool:
        """Whether the spread over seeds is known: there are several, or all runs count."""
        return len(self.outcomes) > 1 or all(run.counts for run in self.runs)

    @property
    def test(self) -> tuple[str, str]:
        """What the outcomes are about: hashes of the data and of the test pairs."""
        return self.runs[0].test

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean seconds of a training step; None for models that count."""
        seconds = [run.finished.seconds.per_epoch for run in self.runs]
        return float(np.mean(seconds)) or None


def compare_rows(rows: Sequence[TableRow], *, title: str, metric: str) -> Table:
    """Return a table of the rows, with tests between those about the same test pairs.

    ``difference`` and ``p`` compare a row with the first one about its test pairs, which is the
    reference, over groups of equal compositions and over seeds, Holm-corrected over the rows.
    ``mark`` names the row with the best ``metric`` and those that are not significantly worse. A
    row of one seed that was trained is not tested: of other seeds nothing is known. Where there are
    several sets of test pairs, ``test`` names them.

    Parameters
    ----------
    metric
        What ``difference``, ``p`` and ``mark`` are about.
    """
    cells: list[Cells] = []
    notes: list[str] = []
    ceilings: dict[str, None] = {}
    for about, alike in by_test(rows):
        bounds = alike[0].runs[0].finished.ceilings
        ceilings |= dict.fromkeys(bounds)
        of_test = _compared(alike, metric)
        of_test += [{"row": CEILINGS[name][0], **bound} for name, bound in bounds.items()]
        if about:
            of_test = [{"row": row["row"], "test": about, **row} for row in of_test]
            *first, ties = basis(alike)  # ties are the same for all: said once, at the end
            notes = [n for n in notes if n != ties] + [f"{about}: {' '.join(first)}", ties]
        else:
            notes += basis(alike)
        cells += of_test
    notes += _test_notes([alike for _, alike in by_test(rows)], metric)
    if ceilings:
        notes.append(f"Ceilings: {'; '.join(CEILINGS[name][1] for name in ceilings)}.")
    notes += [
        f"Not finished: {', '.join(names)}: {reason}" for reason, names in by_reason(rows).items()
    ]
    tested = ["test"] if any("test" in row for row in cells) else []
    columns = ["row", *tested, "mark", *METRICS, "difference", "p", "seconds_per_epoch", "seeds"]
    return Table(title, columns, cells, notes)


def by_test(rows: Sequence[TableRow]) -> list[tuple[str, list[TableRow]]]:
    """Return the finished rows of each set of test pairs, and its name if there are several."""
    tests: dict[tuple[str, str], list[TableRow]] = {}
    for row in rows:
        if row.runs:
            tests.setdefault(row.test, []).append(row)
    names = [alike[0].about for alike in tests.values()]
    if not all(names) or len(set(names)) < len(names):
        names = [f"test {number}" for number in range(1, len(names) + 1)]
    return list(zip(names if len(names) > 1 else [""] * len(names), tests.values(), strict=True))


def by_reason(rows: Sequence[TableRow]) -> dict[str, list[str]]:
    """Return the names of the rows that did not finish, by what went wrong."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            names.setdefault(row.reason, []).append(row.name)
    return names


def _test_notes(tests: Sequence[Sequence[TableRow]], metric: str) -> list[str]:
    """Return what the tests between rows about the same test pairs are."""
    compared = [row for alike in tests if len(alike) > 1 for row in alike]
    if not compared:
        return []
    notes = [
        f"difference and p: {heading(metric)} against the reference row with the same test pairs, "
        f"over groups and seeds, Holm-corrected; ≤: as small as so few groups allow. "
        f'"{AS_GOOD}": not significantly worse than the best ({SIGNIFICANT:.0%}, Holm).'
    ]
    if untested := [row.name for row in compared if not row.is_testable]:
        notes.append(
            "No p and no mark, since one seed says nothing of others (train several, as in "
            f"seeds=[0,1,2]): {', '.join(dict.fromkeys(untested))}."
        )
    return notes


def _compared(alike: Sequence[TableRow], metric: str) -> list[Cells]:
    """Return the cells of rows about the same test pairs."""
    services = _catalogue([run for row in alike for run in row.runs])
    outcomes = [_outcomes(row.runs, services) for row in alike]
    unit = alike[0].runs[0].predictions.group
    cells: list[Cells] = [
        {
            "row": row.name,
            "seeds": len(seeds),
            "seconds_per_epoch": row.seconds_per_epoch,
            **metric_summaries(seeds, unit),
        }
        for row, seeds in zip(alike, outcomes, strict=True)
    ]
    if len(cells) == 1:
        return cells

    def tested(reference: int) -> list[tuple[Cells, Difference, float | None]]:
        """Return the cells of each other row, its difference, and p where both can be tested."""
        others = [k for k in range(len(cells)) if k != reference]
        differences = [
            paired_difference(outcomes[k], outcomes[reference], unit, metric) for k in others
        ]
        is_tested = [alike[k].is_testable and alike[reference].is_testable for k in others]
        # Holm corrects over the tests that are made; the others have no share in it.
        adjusted = iter(
            holm([difference.p_value for difference in compress(differences, is_tested)])
        )
        p_values = [next(adjusted) if is_made else None for is_made in is_tested]
        return list(zip([cells[k] for k in others], differences, p_values, strict=True))

    cells[0]["is_reference"] = True
    for row, diff, p in tested(0):
        row["difference"] = {"mean": diff.difference, "low": diff.low, "high": diff.high}
        if p is not None:
            row |= {"p": p, "p_is_floor": diff.is_floor and p < 1}
    best = max(range(len(cells)), key=lambda k: cells[k][metric]["mean"])
    cells[best]["mark"] = BEST_ROW
    for row, _, p in tested(best):
        if p is not None and p >= SIGNIFICANT:
            row["mark"] = AS_GOOD
    return cells


def _catalogue(runs: Sequence[Run]) -> list[str]:
    return sorted({name for run in runs for name in run.vocabulary.services})


def _outcomes(runs: Sequence[Run], services: Sequence[str]) -> list[Outcomes]:
    """Return the outcomes of every seed of every run, with the classes of one catalogue."""
    number = {name: k for k, name in enumerate(services)}
    outcomes = []
    for run in runs:
        place = np.array([number[name] for name in run.vocabulary.services])
        outcomes += [
            seed._replace(target=place[seed.target], predicted=place[seed.predicted])
            for seed in run.predictions.outcomes.values()
        ]
    return outcomes


def basis(rows: Sequence[TableRow]) -> list[str]:
    """Return what the numbers of finished rows about the same test pairs rest on.

    That is n, split, seeds, leakage, groups, mask and ties; where rows differ, what most have
    comes first.
    """
    masked = [row for row in rows if row.runs[0].finished.model.mask == "hard"]
    ties = _joint(rows, lambda row: row.runs[0].finished.tie_rule)
    spread, over = "", ""
    if any(len(row.outcomes) > 1 for row in rows):
        spread, over = "mean ± standard deviation over seeds, ", " and seeds"
    return [
        f"n = {_joint(rows, _pairs)}; seeds {_joint(rows, _seeds)}; {spread}[95 % interval "
        f"over groups of equal compositions{over}].",
        f"Leakage: {_joint(rows, _leakage)}.",
        *_held_out(rows),
        *([f"A hard mask knows the edges {_joint(masked, _mask)}."] if masked else []),
        f"Ties: {ties}; accuracy takes the first of equal services.",
    ]


def _joint(rows: Sequence[TableRow], tell: Callable[[TableRow], str]) -> str:
    """Return what is said of all rows; ``0, 1; Popularity: 0`` where they differ."""
    texts = {row.name: tell(row) for row in rows}
    common = max(texts.values(), key=list(texts.values()).count)
    return "; ".join([common, *(f"{n}: {text}" for n, text in texts.items() if text != common)])


def _pairs(row: TableRow) -> str:
    run = row.runs[0]
    choices, settings = run.result.choices, run.config["split"]
    split = " ".join(f"{k}={v}" for k, v in settings.items() if k not in ("_target_", "graph"))
    tested = run.predictions
    n, groups = (len(np.unique(unit)) for unit in (tested.composition, tested.group))
    return (
        f"{run.finished.data.test:,} {_side(row)} pairs of {n:,} compositions in {groups:,} "
        f"groups, data={choices.get('data')} split={choices.get('split')}{split and f' ({split})'}"
    )


def _seeds(row: TableRow) -> str:
    seeds = [seed for run in row.runs for seed in run.seeds]
    distinct = sorted(set(seeds))
    pooled = f" (in {len(row.runs)} runs)" if len(distinct) < len(seeds) else ""
    return ", ".join(map(str, distinct)) + pooled


def _leakage(row: TableRow) -> str:
    run = row.runs[0]
    if run.source:
        return f"the saved model of {run.source} may have been trained on these pairs"
    leakage = run.finished.data.leakage
    return (
        f"{leakage.pairs:.0%} of {_side(row)} pairs and {leakage.contexts:.0%} of their "
        "contexts also occur in training"
    )


def _held_out(rows: Sequence[TableRow]) -> list[str]:
    """Return how the test pairs were held out, which is the same for all, if a run tells."""
    results = [run.finished for row in rows for run in row.runs]
    held_out = [result.data.held_out.get(result.evaluated_on) for result in results]
    return next((sides.told() for sides in held_out if sides), [])


def _mask(row: TableRow) -> str:
    run = row.runs[0]
    known = {"all": "all pairs, test pairs too", "train": "training pairs only"}
    edges = f"that {run.source} knew" if run.source else f"of {known[run.config['split']['graph']]}"
    n = run.finished.data.forbidden_test_targets
    return f"{edges}, and rules out {n:,} {_side(row)} targets"


def _side(row: TableRow) -> str:
    return row.runs[0].finished.evaluated_on
