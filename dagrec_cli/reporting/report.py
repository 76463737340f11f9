"""``report.html``: tables and pictures of finished rows in one file that needs no network."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from markupsafe import Markup

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.reporting.plots.drawing import Picture
from dagrec_cli.reporting.plots.gallery import graph_picture, row_pictures, save, table_pictures
from dagrec_cli.reporting.rows import TableRow, by_test
from dagrec_cli.reporting.tables import Table, template
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run

REPORT = "report.html"
PICTURES = "pictures"
MOST_ROWS = 10  # rows of a table with pictures of their own
TEMPLATE = "report.html.jinja"
LEFT_OUT = (
    "The {} rows with the highest accuracy have pictures; a comparison of fewer runs draws others."
)


@dataclass(frozen=True)
class ReportSheet:
    """A comparison, tables that go with it, and the rows behind them.

    Attributes
    ----------
    tables
        The first is from :func:`~dagrec_cli.reporting.comparison.compare_rows`; one with the
        columns ``row metric paper`` gives the published numbers.
    rows
        Those of the first table, those that failed too.
    pictures
        Besides those of the first table and of its rows.
    """

    tables: Sequence[Table]
    rows: Sequence[TableRow]
    pictures: Sequence[Picture] = ()

    @property
    def published(self) -> dict[tuple[str, str], float]:
        """Published numbers by row and metric."""
        rows = [row for table in self.tables for row in table.rows if "paper" in row]
        return {(row["row"], row["metric"]): row["paper"] for row in rows}

    @property
    def strata(self) -> list[dict[str, Any]]:
        """Cells of the tables of strata."""
        return [row for table in self.tables for row in table.rows if "stratum" in row]


class Shown(NamedTuple):
    """A saved picture in the page, without its figure, which takes megabytes."""

    title: str
    about: str
    caption: str
    width: int
    svg: Markup


class ReportRow(NamedTuple):
    """A row's part of the page."""

    row: TableRow
    pictures: Sequence[Shown]
    origins: Sequence[tuple[str, Mapping[str, str], str]]


def write_report(folder: RunFolder, title: str, sheets: Sequence[ReportSheet]) -> Path:
    """Write ``report.html``, and its pictures as PNG and SVG to ``pictures/``.

    Parameters
    ----------
    folder
        Where the tables are, too.
    title
        Of the page.

    Raises
    ------
    RunError
        If a file of a finished row's run folder is missing or damaged.
    """
    beside = folder.below(PICTURES)
    parts: dict[tuple[Path, ...], ReportRow] = {}
    shown = []
    for sheet in sheets:
        main = sheet.tables[0]
        drawn = table_pictures(main, sheet.published, sheet.strata, sheet.rows)
        pictures = _save(chain(sheet.pictures, drawn), beside)
        best = _best(sheet)
        for number, row in enumerate(sheet.rows, start=1):
            if _key(row) not in parts:  # rows of several tables are drawn once
                name = f"{main.name}_{number}_{_anchor(row.name)}"
                parts[_key(row)] = _report_row(name, row, beside, is_drawn=_key(row) in best)
        rows = [parts[_key(row)]._replace(row=row) for row in sheet.rows]
        n_finished = sum(bool(row.runs) for row in sheet.rows)
        note = LEFT_OUT.format(MOST_ROWS) if n_finished > MOST_ROWS else ""
        shown.append({"tables": sheet.tables, "pictures": pictures, "rows": rows, "note": note})
    text = template(TEMPLATE).render(
        title=title, sheets=shown, graphs=_save(_graphs(sheets), beside)
    )
    return folder.write_text(REPORT, text)


def _save(pictures: Iterable[Picture], beside: RunFolder) -> list[Shown]:
    return [Shown(p.title, p.about, p.caption, p.width, Markup(save(p, beside))) for p in pictures]


def _key(row: TableRow) -> tuple[Path, ...]:
    return tuple(run.path for run in row.runs) or (Path(row.name),)


def _best(sheet: ReportSheet) -> set[tuple[Path, ...]]:
    """Return the keys of the rows that are drawn: those with the highest accuracy."""
    means = {
        (row.get("test", ""), row["row"]): row[METRICS[0]]["mean"]
        for row in sheet.tables[0].rows
        if METRICS[0] in row
    }
    ranked = [
        (means.get((about, row.name), 0.0), _key(row))
        for about, alike in by_test(sheet.rows)
        for row in alike
    ]
    ranked.sort(key=itemgetter(0), reverse=True)
    return {key for _, key in ranked[:MOST_ROWS]}


def _report_row(name: str, row: TableRow, beside: RunFolder, *, is_drawn: bool) -> ReportRow:
    if not row.runs:
        return ReportRow(row, [], [])
    pictures = _save(row_pictures(name, row), beside) if is_drawn else []
    return ReportRow(row, pictures, [_provenance_of(run) for run in row.runs])


def _provenance_of(run: Run) -> tuple[str, dict[str, str], str]:
    """Return a run's folder, what its numbers come from, and its config."""
    result = run.finished
    seconds = msgspec.structs.asdict(result.seconds)
    facts = {
        "command": result.command_line,
        "started": result.started,
        "parameters": f"{result.model.parameters:,}",
        "epochs": ", ".join(map(str, result.model.epochs)),
        "seconds": ", ".join(f"{k} {v:.3g}" for k, v in seconds.items()),
        "data": result.data.sha256,
        "commit": result.git_commit,
        "versions": ", ".join(f"{k} {v}" for k, v in result.versions.items()),
    }
    known = {name: fact for name, fact in facts.items() if fact}
    return "/".join(run.path.parts[-2:]), known, run.config_text


def _graphs(sheets: Sequence[ReportSheet]) -> Iterable[Picture]:
    """Return the service graph of each data set, once."""
    runs = [run for sheet in sheets for row in sheet.rows for run in row.runs]
    of_data = {run.finished.data.sha256: run for run in runs if run.edges}
    for number, run in enumerate(of_data.values(), start=1):
        if picture := graph_picture(f"service_graph_{number}", run):
            yield picture


def _anchor(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
