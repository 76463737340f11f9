"""Rows side by side: intervals, differences from the first row, and who is as good as the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagrec_cli.evaluation.bootstrap import summarise
from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.significance import Difference, holm, paired_difference
from dagrec_cli.reporting.runs import Run
from dagrec_cli.reporting.tables import Table

SIGNIFICANT = 0.05
BEST, AS_GOOD = "best", "≈ best"


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
    """

    name: str
    runs: Sequence[Run]
    reason: str = ""

    @property
    def outcomes(self) -> list[Outcomes]:
        """Outcomes of every seed of every run."""
        return [o for run in self.runs for o in run.predictions.outcomes.values()]

    @property
    def test(self) -> tuple[str, bytes]:
        """What the outcomes are about: the data's hash, and the numbers of the test pairs."""
        first = self.runs[0]
        return first.result["data"]["sha256"], first.predictions.pair.tobytes()

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean seconds of a training step; None for models that count."""
        seconds = [run.result["seconds"]["per_epoch"] for run in self.runs]
        return float(np.mean(seconds)) or None


def compare(entries: Sequence[Entry], *, title: str, metric: str, n_resamples: int) -> Table:
    """Return a row per entry, with tests between them.

    ``difference`` and ``p`` compare a row with the first by paired bootstrap over the test pairs,
    Holm-corrected over the rows. ``mark`` names the row with the best ``metric`` and those that
    are not significantly worse. Rows about other test pairs than the first are not tested.

    Parameters
    ----------
    metric
        What ``difference``, ``p`` and ``mark`` are about.
    n_resamples
        Bootstrap resamples.
    """
    notes = [f"Not finished: {entry.name}: {entry.reason}" for entry in entries if entry.reason]
    entries = [entry for entry in entries if entry.runs]
    rows: list[dict[str, Any]] = [
        {
            "row": entry.name,
            "seeds": len(entry.outcomes),
            "seconds_per_epoch": entry.seconds_per_epoch,
            **summarise(entry.outcomes, n_resamples=n_resamples),
        }
        for entry in entries
    ]
    alike = _alike(entries)
    if len(alike) > 1:
        _test_against(alike[0], entries, rows, alike, metric, n_resamples)
        _mark_best(entries, rows, alike, metric, n_resamples)
    columns = ["row", "mark", *METRICS, "difference", "p", "seconds_per_epoch", "seeds"]
    return Table(title, columns, rows, [*_notes(entries, alike, metric), *notes])


def _alike(entries: Sequence[Entry]) -> list[int]:
    """Return the positions of the entries about the same pairs as the first."""
    return [k for k, entry in enumerate(entries) if entry.test == entries[0].test]


def _test_against(
    reference: int,
    entries: Sequence[Entry],
    rows: list[dict[str, Any]],
    alike: Sequence[int],
    metric: str,
    n_resamples: int,
) -> None:
    others = [k for k in alike if k != reference]
    found = _differences(reference, others, entries, metric, n_resamples)
    for k, p in zip(others, holm([found[k].p_value for k in others]), strict=True):
        difference, low, high, _ = found[k]
        rows[k] |= {"difference": {"mean": difference, "low": low, "high": high}, "p": p}


def _mark_best(
    entries: Sequence[Entry],
    rows: list[dict[str, Any]],
    alike: Sequence[int],
    metric: str,
    n_resamples: int,
) -> None:
    best = max(alike, key=lambda k: rows[k][metric]["mean"])
    rows[best]["mark"] = BEST
    others = [k for k in alike if k != best]
    found = _differences(best, others, entries, metric, n_resamples)
    for k, p in zip(others, holm([found[k].p_value for k in others]), strict=True):
        if p >= SIGNIFICANT:
            rows[k]["mark"] = AS_GOOD


def _differences(
    reference: int,
    others: Sequence[int],
    entries: Sequence[Entry],
    metric: str,
    n_resamples: int,
) -> Mapping[int, Difference]:
    base = entries[reference].outcomes
    return {
        k: paired_difference(entries[k].outcomes, base, n_resamples=n_resamples)[metric]
        for k in others
    }


def basis(entries: Sequence[Entry]) -> list[str]:
    """Return what the numbers of finished rows rest on: n, split, seeds, leakage, mask, ties."""
    run = entries[0].runs[0]
    data, request = run.result["data"], run.result.get("choices", {})
    settings = {k: v for k, v in run.config["split"].items() if k != "_target_"}
    split = " ".join(f"{key}={value}" for key, value in settings.items())
    known = {"all": "all paths, test paths too", "train": "training paths only"}
    return [
        f"n = {data['test']:,} test pairs, data={request.get('data')} "
        f"split={request.get('split')} ({split}); seeds {_seeds(entries)}; mean ± standard "
        "deviation over seeds, [95 % bootstrap interval over pairs].",
        f"Leakage: {data['leakage']['pairs']:.0%} of test pairs and "
        f"{data['leakage']['contexts']:.0%} of their contexts also occur in training.",
        f"A DAG mask knows the edges of {known[settings['graph']]}, and rules out "
        f"{data['forbidden_test_targets']:,} test targets.",
        f"Ties: {run.result['tie_rule']}; accuracy takes the first of equal services.",
    ]


def _notes(entries: Sequence[Entry], alike: Sequence[int], metric: str) -> list[str]:
    if not entries:
        return []
    tests = (
        f"difference and p: {metric} against the first row, paired bootstrap, Holm-corrected. "
        f'"{AS_GOOD}": not significantly worse than the best ({SIGNIFICANT:.0%}, Holm).'
    )
    notes = [*basis([entries[k] for k in alike]), tests]
    apart = [entry.name for k, entry in enumerate(entries) if k not in alike]
    if apart:
        notes.append(f"Other test pairs, so not tested: {', '.join(apart)}.")
    return notes


def _seeds(entries: Sequence[Entry]) -> str:
    """Return the seeds of all rows; ``0, 1; Popularity: 0`` where rows differ."""
    seeds = {
        e.name: ", ".join(str(s) for run in e.runs for s in run.result["seeds"]) for e in entries
    }
    common = max(seeds.values(), key=list(seeds.values()).count)
    return "; ".join([common, *(f"{name}: {s}" for name, s in seeds.items() if s != common)])
