"""Rows side by side: intervals, differences from the first row, and who is as good as the best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
BOUNDS = {
    "last_node": "ceiling: last node",
    "context": "ceiling: whole context",
    "law": "ceiling: the law",
}
CEILINGS = {
    "last_node": "the best function of the last node, chosen on these test pairs",
    "context": "the best function of the whole context, chosen on these test pairs",
    "law": "the best predictor in expectation, which knows the data's law",
}


@dataclass(frozen=True)
class Entry:
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


def compare_rows(entries: Sequence[Entry], *, title: str, metric: str) -> Table:
    """Return a row per entry, with tests between those about the same test pairs.

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
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    ceilings: dict[str, None] = {}
    for about, alike in by_test(entries):
        bounds = alike[0].runs[0].finished.ceilings
        found = _compared_rows(alike, metric)
        found += [{"row": BOUNDS[name], **bound} for name, bound in bounds.items()]
        ceilings |= dict.fromkeys(bounds)
        if about:
            found = [{"row": row["row"], "test": about, **row} for row in found]
            *told, ties = basis(alike)
            notes = [n for n in notes if n != ties] + [f"{about}: {' '.join(told)}", ties]
        else:
            notes += basis(alike)
        rows += found
    notes += _test_notes([alike for _, alike in by_test(entries)], metric)
    if ceilings:
        notes.append(f"Ceilings: {'; '.join(CEILINGS[name] for name in ceilings)}.")
    notes += [
        f"Not finished: {', '.join(names)}: {reason}"
        for reason, names in by_reason(entries).items()
    ]
    tested = ["test"] if any("test" in row for row in rows) else []
    columns = ["row", *tested, "mark", *METRICS, "difference", "p", "seconds_per_epoch", "seeds"]
    return Table(title, columns, rows, notes)


def by_test(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return the finished entries of each set of test pairs, and its name if there are several."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.runs:
            found.setdefault(entry.test, []).append(entry)
    names = [alike[0].about for alike in found.values()]
    is_told = all(names) and len(set(names)) == len(names)
    if not is_told:
        names = [f"test {number}" for number in range(1, len(names) + 1)]
    return list(zip(names if len(names) > 1 else [""] * len(names), found.values(), strict=True))


def by_reason(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the names of the rows that did not finish, by what went wrong."""
    names: dict[str, list[str]] = {}
    for entry in entries:
        if entry.reason:
            names.setdefault(entry.reason, []).append(entry.name)
    return names


def _test_notes(tables: Sequence[Sequence[Entry]], metric: str) -> list[str]:
    """Return what the tests between rows about the same test pairs are."""
    compared = [entry for alike in tables if len(alike) > 1 for entry in alike]
    if not compared:
        return []
    notes = [
        f"difference and p: {heading(metric)} against the reference row with the same test pairs, "
        f"over groups and seeds, Holm-corrected; ≤: as small as so few groups allow. "
        f'"{AS_GOOD}": not significantly worse than the best ({SIGNIFICANT:.0%}, Holm).'
    ]
    if untested := [entry.name for entry in compared if not entry.is_testable]:
        notes.append(
            "No p and no mark, since one seed says nothing of others (train several, as in "
            f"seeds=[0,1,2]): {', '.join(dict.fromkeys(untested))}."
        )
    return notes


def _compared_rows(alike: Sequence[Entry], metric: str) -> list[dict[str, Any]]:
    """Return the rows of entries about the same test pairs."""
    services = _catalogue([run for entry in alike for run in entry.runs])
    outcomes = [_outcomes(entry.runs, services) for entry in alike]
    unit = alike[0].runs[0].predictions.group
    rows: list[dict[str, Any]] = [
        {
            "row": entry.name,
            "seeds": len(seeds),
            "seconds_per_epoch": entry.seconds_per_epoch,
            **metric_summaries(seeds, unit),
        }
        for entry, seeds in zip(alike, outcomes, strict=True)
    ]
    if len(rows) == 1:
        return rows

    def tested(reference: int) -> list[tuple[dict[str, Any], Difference, float | None]]:
        others = [k for k in range(len(rows)) if k != reference]
        found = [paired_difference(outcomes[k], outcomes[reference], unit, metric) for k in others]
        is_tested = [alike[k].is_testable and alike[reference].is_testable for k in others]
        adjusted = iter(holm([f.p_value for f, t in zip(found, is_tested, strict=True) if t]))
        p_values = [next(adjusted) if each else None for each in is_tested]
        return list(zip([rows[k] for k in others], found, p_values, strict=True))

    rows[0]["is_reference"] = True
    for row, found, p in tested(0):
        row["difference"] = {"mean": found.difference, "low": found.low, "high": found.high}
        if p is not None:
            row |= {"p": p, "p_is_floor": found.is_floor and p < 1}
    best = max(range(len(rows)), key=lambda row: rows[row][metric]["mean"])
    rows[best]["mark"] = BEST_ROW
    for row, _, p in tested(best):
        if p is not None and p >= SIGNIFICANT:
            row["mark"] = AS_GOOD
    return rows


def _catalogue(runs: Sequence[Run]) -> list[str]:
    return sorted({name for run in runs for name in run.vocabulary.services})


def _outcomes(runs: Sequence[Run], services: Sequence[str]) -> list[Outcomes]:
    """Return the outcomes of every seed of every run, with the classes of one catalogue."""
    number = {name: k for k, name in enumerate(services)}
    found = []
    for run in runs:
        place = np.array([number[name] for name in run.vocabulary.services])
        found += [
            each._replace(target=place[each.target], predicted=place[each.predicted])
            for each in run.predictions.outcomes.values()
        ]
    return found


def basis(entries: Sequence[Entry]) -> list[str]:
    """Return what the numbers of finished rows about the same test pairs rest on.

    That is n, split, seeds, leakage, groups, mask and ties; where rows differ, what most have
    comes first.
    """
    spread, over = "", ""
    if any(len(entry.outcomes) > 1 for entry in entries):
        spread, over = "mean ± standard deviation over seeds, ", " and seeds"
    return [
        f"n = {_joint(entries, _pairs)}; seeds {_joint(entries, _seeds)}; {spread}[95 % interval "
        f"over groups of equal compositions{over}].",
        f"Leakage: {_joint(entries, _leakage)}.",
        *_held_out(entries),
        f"A DAG mask knows the edges {_joint(entries, _mask)}.",
        f"Ties: {_joint(entries, _ties)}; accuracy takes the first of equal services.",
    ]


def _joint(entries: Sequence[Entry], tell: Callable[[Entry], str]) -> str:
    """Return what is said of all entries; ``0, 1; Popularity: 0`` where they differ."""
    texts = {entry.name: tell(entry) for entry in entries}
    common = max(texts.values(), key=list(texts.values()).count)
    return "; ".join([common, *(f"{n}: {text}" for n, text in texts.items() if text != common)])


def _pairs(entry: Entry) -> str:
    run = entry.runs[0]
    choices, settings = run.result.choices, run.config["split"]
    split = " ".join(f"{k}={v}" for k, v in settings.items() if k not in ("_target_", "graph"))
    n, groups = (
        len(np.unique(each)) for each in (run.predictions.composition, run.predictions.group)
    )
    return (
        f"{run.finished.data.test:,} {_side(entry)} pairs of {n:,} compositions in {groups:,} "
        f"groups, "
        f"data={choices.get('data')} "
        f"split={choices.get('split')}{split and f' ({split})'}"
    )


def _seeds(entry: Entry) -> str:
    seeds = [seed for run in entry.runs for seed in run.seeds]
    distinct = sorted(set(seeds))
    pooled = f" (in {len(entry.runs)} runs)" if len(distinct) < len(seeds) else ""
    return ", ".join(map(str, distinct)) + pooled


def _leakage(entry: Entry) -> str:
    run = entry.runs[0]
    if run.source:
        return f"the saved model of {run.source} may have been trained on these pairs"
    leakage = run.finished.data.leakage
    return (
        f"{leakage.pairs:.0%} of {_side(entry)} pairs and {leakage.contexts:.0%} of their "
        "contexts also occur in training"
    )


def _held_out(entries: Sequence[Entry]) -> list[str]:
    """Return how the test pairs were held out, which is the same for all, if a run tells."""
    results = [run.finished for entry in entries for run in entry.runs]
    found = [result.data.held_out.get(result.evaluated_on) for result in results]
    return next((each.told() for each in found if each), [])


def _mask(entry: Entry) -> str:
    run = entry.runs[0]
    known = {"all": "all paths, test paths too", "train": "training paths only"}
    edges = f"that {run.source} knew" if run.source else f"of {known[run.config['split']['graph']]}"
    n = run.finished.data.forbidden_test_targets
    return f"{edges}, and rules out {n:,} {_side(entry)} targets"


def _ties(entry: Entry) -> str:
    return entry.runs[0].finished.tie_rule


def _side(entry: Entry) -> str:
    return entry.runs[0].finished.evaluated_on
