"""Rows of a table: the runs behind each, their outcomes, and what their numbers rest on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.runs.run import Run


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
        return catalogue(self.runs)

    @property
    def outcomes(self) -> list[Outcomes]:
        """Outcomes of every seed of every run."""
        return outcomes_of(self.runs, self.services)

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


def catalogue(runs: Sequence[Run]) -> list[str]:
    """Return the names of all services that some runs know."""
    return sorted({name for run in runs for name in run.vocabulary.services})


def outcomes_of(runs: Sequence[Run], services: Sequence[str]) -> list[Outcomes]:
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
    groups, n, _ = (len(np.unique(number)) for number in run.predictions.membership)
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
