"""Rows of a table: the runs behind each, what they were tested on, and what its figures rest on.

Runs that differ only in the seed, or in the part of their split, are one row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dagrec_cli.data.held_out import told
from dagrec_cli.evaluation.parts import PartOutcomes, pooled
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.runs.run import Run

Test = tuple[str, ...]


@dataclass(frozen=True)
class TableRow:
    """One row: a name, and what one or more runs of it made of the same test pairs, or parts.

    Attributes
    ----------
    name
        The row's name.
    runs
        Finished runs; the seeds of those of one part are pooled.
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
    def parts(self) -> list[list[Run]]:
        """The runs of each part that there are runs of, in order; one list if the split has one."""
        runs: dict[int, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(run.part, []).append(run)
        return [runs[part] for part in sorted(runs)]

    @property
    def is_averaged(self) -> bool:
        """Whether a figure is the mean over several parts; blocks of time are one test together."""
        part = self.runs[0].finished.data.part
        return len(self.parts) > 1 and not (part and part.is_pooled)

    def tested(self, services: Sequence[str]) -> list[PartOutcomes]:
        """Return what was made of each test, with the classes of one catalogue."""
        parts = [
            PartOutcomes(
                [seed for run in runs for seed in _outcomes(run, services)],
                runs[0].predictions.membership,
                runs[0].finished.share,
            )
            for runs in self.parts
        ]
        return parts if self.is_averaged else [pooled(parts)]

    @property
    def outcomes(self) -> list[Outcomes]:
        """Outcomes of every seed of every run."""
        return [seed for run in self.runs for seed in _outcomes(run, self.services)]

    @property
    def n_seeds(self) -> int:
        """How many seeds each part has, those of several runs pooled."""
        return min(sum(len(run.seeds) for run in runs) for runs in self.parts)

    @property
    def is_testable(self) -> bool:
        """Whether the spread over seeds is known: of several, in several parts, or all count."""
        return self.n_seeds > 1 or self.is_averaged or all(run.counts for run in self.runs)

    @property
    def test(self) -> Test:
        """What the outcomes are about: hashes of the data, and of the test pairs of each part."""
        return test_of(self.runs)

    @property
    def missing(self) -> str:
        """What it lacks: ``3 of 5`` parts are there; empty if it is whole."""
        part, there = self.runs[0].finished.data.part, len(self.parts)
        return f"{there} of {part.of}" if part and there < part.of else ""

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean seconds of a training step; None for models that count."""
        seconds = [run.finished.seconds.per_epoch for run in self.runs]
        return float(np.mean(seconds)) or None


def test_of(runs: Iterable[Run]) -> Test:
    """Return what runs were tested on, together: hashes of the data and of each part's pairs."""
    tests = {(run.part, *run.test) for run in runs}
    data = {sha256 for _, sha256, _ in tests}
    return (*sorted(data), *(pairs for _, _, pairs in sorted(tests)))


def by_test(rows: Sequence[TableRow]) -> list[tuple[str, list[TableRow]]]:
    """Return the finished rows of each set of test pairs, and its name if there are several."""
    tests: dict[Test, list[TableRow]] = {}
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


def catalogue(runs: Iterable[Run]) -> list[str]:
    """Return the names of all services that some runs know."""
    return sorted({name for run in runs for name in run.vocabulary.services})


def _outcomes(run: Run, services: Sequence[str]) -> list[Outcomes]:
    """Return the outcomes of every seed of a run, with the classes of a catalogue."""
    number = {name: k for k, name in enumerate(services)}
    place = np.array([number[name] for name in run.vocabulary.services])
    return [
        seed._replace(target=place[seed.target], predicted=place[seed.predicted])
        for seed in run.predictions.outcomes.values()
    ]


def basis(rows: Sequence[TableRow]) -> list[str]:
    """Return what the numbers of finished rows about the same test pairs rest on.

    That is n, split, seeds, leakage, groups, mask and ties; where rows differ, what most have
    comes first.
    """
    masked = [row for row in rows if row.runs[0].finished.model.mask == "hard"]
    ties = _joint(rows, lambda row: row.runs[0].finished.tie_rule)
    spread, over = "", "groups of equal compositions"
    if rows[0].is_averaged:
        spread, over = "mean ± standard deviation over parts, ", "other data of this size"
    elif any(row.n_seeds > 1 for row in rows):
        spread, over = "mean ± standard deviation over seeds, ", f"{over} and seeds"
    return [
        f"n = {_joint(rows, _pairs)}; seeds {_joint(rows, _seeds)}; {spread}[95 % interval "
        f"over {over}].",
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
    parts = [runs[0] for runs in row.parts]
    choices, settings = row.runs[0].result.choices, row.runs[0].config["split"]
    split = " ".join(f"{k}={v}" for k, v in settings.items() if _is_told(k, v, settings))
    numbers = zip(*(part.predictions.membership for part in parts), strict=True)
    groups, n, _ = (len(np.unique(np.concatenate(each))) for each in numbers)
    return (
        f"{_parts(row)}{_range([part.finished.data.test for part in parts])} {_side(row)} pairs of "
        f"{n:,} compositions in {groups:,} groups, data={choices.get('data')} "
        f"split={choices.get('split')}{split and f' ({split})'}"
    )


def _is_told(key: str, value: object, split: Mapping[str, object]) -> bool:
    """Return whether a setting of the split says what the test pairs are."""
    if key == "test_share":
        return not split.get("folds")
    is_idle = value is None or (key, value) == ("repeats", 1)
    return not is_idle and key not in ("_target_", "graph", "part")


def _parts(row: TableRow) -> str:
    """Return how many parts there are and which, empty if the split has one."""
    part = row.runs[0].finished.data.part
    if part is None:
        return ""
    there = ", ".join(str(runs[0].part) for runs in row.parts)
    named = f"only {there} of {part.of}" if row.missing else f"{part.of}"
    return f"{named} parts of "


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _seeds(row: TableRow) -> str:
    """Return the seeds, and whether several runs of one part have the same one."""
    of_parts = [[seed for run in runs for seed in run.seeds] for runs in row.parts]
    distinct = sorted({seed for seeds in of_parts for seed in seeds})
    is_pooled = any(len(set(seeds)) < len(seeds) for seeds in of_parts)
    pooled = f" (in {len(row.runs)} runs)" if is_pooled else ""
    if any(len(set(seeds)) < len(distinct) for seeds in of_parts):
        pooled += " (some parts lack some)"
    return ", ".join(map(str, distinct)) + pooled


def _leakage(row: TableRow) -> str:
    run = row.runs[0]
    if run.source:
        return f"the saved model of {run.source} may have been trained on these pairs"
    pairs, contexts = np.mean(
        [(run.finished.data.leakage.pairs, run.finished.data.leakage.contexts) for run in row.runs],
        axis=0,
    )
    return (
        f"{pairs:.0%} of {_side(row)} pairs and {contexts:.0%} of their contexts also occur in "
        "training"
    )


def _held_out(rows: Sequence[TableRow]) -> list[str]:
    """Return how the test pairs were held out, which is the same for all, if a run tells."""
    for row in rows:
        results = [runs[0].finished for runs in row.parts]
        found = [result.data.held_out.get(result.evaluated_on) for result in results]
        if sides := [side for side in found if side]:
            return told(sides)
    return []


def _mask(row: TableRow) -> str:
    run = row.runs[0]
    known = {"all": "all pairs, test pairs too", "train": "training pairs only"}
    edges = f"that {run.source} knew" if run.source else f"of {known[run.config['split']['graph']]}"
    n = sum(runs[0].finished.data.forbidden_test_targets for runs in row.parts)
    return f"{edges}, and rules out {n:,} {_side(row)} targets"


def _side(row: TableRow) -> str:
    return row.runs[0].finished.evaluated_on
