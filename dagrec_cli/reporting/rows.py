"""Rows of a table: the runs behind each, and what they were tested on.

Runs that differ only in the seed, or in the part of their split, are one row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

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
    def listed(self) -> dict[str, float]:
        """Means of the figures of what is recommended that all of the row's runs have."""
        runs = [run.finished.listed(run.seeds) for run in self.runs]
        names = [name for name in runs[0] if all(name in of_run for of_run in runs)]
        return {name: float(np.mean([of_run[name] for of_run in runs])) for name in names}

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
