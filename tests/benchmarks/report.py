"""What ``dagrec bench`` leaves: ``bench.json``, a table, a log-log picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from benchmarks.runner import Measurement, Runs, growth, spread
from dagrec_cli.reporting.plots.drawing import Picture
from dagrec_cli.reporting.tables import Table
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Request, origin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = ("plain", "fast")
MEBIBYTE = 2**20


@dataclass
class Finding:
    """A benchmark's measurements, one per size."""

    unit: str
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def timed(self) -> list[Measurement]:
        """The measurements whose two ways agree."""
        return [m for m in self.measurements if not m.mismatch]

    def growth(self, way: str) -> float | None:
        """Return the slope of log seconds of ``plain`` or ``fast`` over log size."""
        sizes = [m.size for m in self.timed]
        return growth(sizes, [getattr(m, way).median for m in self.timed])

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "unit": self.unit,
            "growth": {way: self.growth(way) for way in WAYS},
            "sizes": [m.to_json() for m in self.measurements],
        }


Findings = Mapping[str, Finding]


def faults(findings: Findings) -> list[str]:
    """Return what is wrong, a line each: ways that differ, promises missed."""
    return [
        f"{name} at {m.size:,} {finding.unit}: {m.fault}"
        for name, finding in findings.items()
        for m in finding.measurements
        if m.fault
    ]


def write(folder: RunFolder, findings: Findings, overrides: Sequence[str]) -> Table:
    """Write every file and return the table.

    Parameters
    ----------
    overrides
        What the command line asked for.
    """
    import torch
    from matplotlib.figure import Figure

    wrong, threads = faults(findings), torch.get_num_threads()
    folder.write_json(
        "bench.json",
        {
            "status": "failed" if wrong else "finished",
            "faults": wrong,
            "threads": threads,
            "benchmarks": {name: finding.to_json() for name, finding in findings.items()},
            **msgspec.structs.asdict(origin("bench", Request({}, [*overrides]))),
        },
    )
    table = table_of(findings, threads)
    table.save(folder)
    figure = Figure(figsize=(9, 5), layout="constrained")
    draw(figure, findings)

    caption = "Dashed: plain; solid: fast; bars span the quartiles."
    Picture("bench", "Plain and fast", caption, figure).save(folder, "png")
    return table


def table_of(findings: Findings, threads: int) -> Table:
    """Return a row per benchmark and size; numbers with three digits."""
    columns = "benchmark size plain_ms fast_ms plain_MiB fast_MiB ratio quartiles promised"
    rows = [
        {"benchmark": name, "size": f"{m.size:,} {finding.unit}", **_cells(m)}
        for name, finding in findings.items()
        for m in finding.measurements
    ]
    notes = [
        "Both ways in turn in one process, after a check that their results are equal.",
        f"Medians; quartiles of the rounds' ratios; MiB: peak memory on top; {threads} threads.",
        *(
            f"{name}: time grows as size^{finding.growth('plain'):.2f} (plain) and "
            f"size^{finding.growth('fast'):.2f} (fast)."
            for name, finding in findings.items()
            if finding.growth("fast") is not None
        ),
        *(f"Not as promised: {line}." for line in faults(findings)),
    ]
    return Table("plain against fast", columns.split(), rows, notes)


def draw(figure: "Figure", findings: Findings) -> None:
    """Draw median seconds over size, both axes logarithmic; bars span the quartiles."""
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log", xlabel="size", ylabel="seconds")
    axes.grid(alpha=0.25)
    if measured := [m.size for finding in findings.values() for m in finding.timed]:
        axes.set_xlim(min(measured) / 2, 2 * max(measured))
    for number, (name, finding) in enumerate(findings.items()):
        sizes = [m.size for m in finding.timed]
        for way, line, marker in zip(WAYS, ("--", "-"), ("x", "o"), strict=True):
            runs: list[Runs] = [getattr(m, way) for m in finding.timed]
            quartiles = np.array([spread(each.seconds) for each in runs]).reshape(-1, 2)
            axes.plot(
                sizes,
                [each.median for each in runs],
                color=f"C{number}",
                linestyle=line,
                marker=marker,
                label=f"{name} ({finding.unit}), {way}",
            )
            axes.vlines(sizes, *quartiles.T, color=f"C{number}")
    figure.legend(loc="outside right upper", fontsize=8)


def _cells(m: Measurement) -> dict[str, Any]:
    if m.ratio is None or m.ratio_spread is None:
        return {"ratio": "differ", "promised": _promise(m)}
    return {
        "plain_ms": f"{1000 * m.plain.median:.3g}",
        "fast_ms": f"{1000 * m.fast.median:.3g}",
        "plain_MiB": _mebibytes(m.plain),
        "fast_MiB": _mebibytes(m.fast),
        "ratio": f"{m.ratio:.3g}",
        "quartiles": "{:.3g} to {:.3g}".format(*m.ratio_spread),
        "promised": _promise(m),
    }


def _promise(m: Measurement) -> str | None:
    return None if m.promise is None else f"{m.promise:g}"


def _mebibytes(runs: Runs) -> str | None:
    return None if runs.peak_bytes is None else f"{runs.peak_bytes / MEBIBYTE:.0f}"
