"""Pictures with what is said about them: of a table, of a row, and the service graph.

Each is written as PNG and SVG, and put into a page as SVG, whose ids begin with its name and whose
colours are those of the page.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from xml.etree import ElementTree

import numpy as np

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.errors import plural
from dagrec_cli.evaluation.calibration import calibration_error, reliability
from dagrec_cli.evaluation.strata import STRATA
from dagrec_cli.reporting.plots.charts import calibration, learning_curve, metric_bars, speed
from dagrec_cli.reporting.plots.drawing import AROUND, VARIABLES, Picture, chosen
from dagrec_cli.reporting.plots.matrices import (
    LENGTHS,
    MOST_CLASSES,
    REST,
    Confusion,
    PartAccuracy,
    accuracy_cells,
    by_length,
    confusion_matrix,
)
from dagrec_cli.reporting.plots.service_graph import heaviest, service_graph
from dagrec_cli.reporting.rows import TableRow, by_test
from dagrec_cli.reporting.tables import Table, heading, short
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run

SHOWN_METRICS = ("accuracy", "ndcg", "f1")
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
NOT_IN_A_PAGE = (f"{{{SVG}}}metadata", f"{{{SVG}}}style")
OF_THE_PAGE = (*AROUND, "patch_1")  # ids of words around the figure, and of its own paper


def table_pictures(
    table: Table,
    published: Mapping[tuple[str, str], float],
    strata: Sequence[Mapping[str, Any]],
    rows: Sequence[TableRow],
) -> Iterator[Picture]:
    """Yield bars of the main metrics, what a row costs, and accuracy by stratum and length.

    Rows with other test pairs have pictures of their own.

    Parameters
    ----------
    table
        From :func:`~dagrec_cli.reporting.comparison.compare_rows`.
    published
        Published numbers by name of row and metric.
    strata
        Cells from :func:`~dagrec_cli.reporting.comparison.strata_tables`.
    rows
        Those of the table, with their runs.
    """
    for number, (test, alike) in enumerate(by_test(rows), start=1):
        cells = [r for r in table.rows if r.get("test", "") == test and METRICS[0] in r]
        name = f"{table.name}_{number}" if test else table.name
        about = f"{table.title}: {test or _tested(alike[0])}"
        for metric in [each for each in SHOWN_METRICS if each in table.columns]:
            marks = {row: n for (row, column), n in published.items() if column == heading(metric)}
            title = f"Rows by {heading(metric)}"
            yield Picture(
                f"{name}_{metric}", title, _means(alike), metric_bars(cells, metric, marks), about
            )
        yield from _speed(f"{name}_speed", about, cells)
        parts: dict[str, dict[str, PartAccuracy]] = {}
        for cell in strata:
            if cell.get("test", "") == test:
                found = PartAccuracy(cell[METRICS[0]], cell["steps"])
                parts.setdefault(cell["row"], {})[cell["stratum"]] = found
        if parts:
            figure = accuracy_cells(parts, [*chain(*STRATA)], "stratum; n: test pairs")
            caption = f"{_means(alike)} New: nothing that was fitted has it.".strip()
            yield Picture(f"{name}_strata", "Accuracy by stratum", caption, figure, about)
        lengths = {row.name: by_length(row.outcomes, _lengths(row)) for row in alike}
        figure = accuracy_cells(
            lengths, LENGTHS, "nodes on the longest way through the context; n: test pairs"
        )
        title = "Accuracy by context length"
        yield Picture(f"{name}_context_length", title, _means(alike), figure, about)


def _tested(row: TableRow) -> str:
    """Return what a row was tested on, as a command line names it."""
    return chosen(row.runs[0].result.choices, ("data", "split"))


def _means(rows: Sequence[TableRow]) -> str:
    """Return what the figures of rows are means of."""
    of = ["seeds"] * any(row.n_seeds > 1 for row in rows) + ["parts"] * rows[0].is_averaged
    return f"Means over {' and '.join(of)}." if of else ""


def _lengths(row: TableRow) -> list[Any]:
    """Return the lengths of the contexts of each of a row's outcomes."""
    return [run.predictions.depth for run in row.runs for _ in run.seeds]


def _speed(name: str, about: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Picture]:
    timed = [row for row in rows if row.get("seconds_per_epoch")]
    if timed:
        counting = [row["row"] for row in rows if row.get("seeds") and row not in timed]
        rest = f" Without epochs, since they count: {', '.join(counting)}." if counting else ""
        title = "Accuracy against seconds per epoch"
        caption = f"Left and up is better.{rest}"
        yield Picture(name, title, caption, speed(timed, METRICS[0]), about)


def row_pictures(name: str, row: TableRow) -> Iterator[Picture]:
    """Yield a row's learning curve if it was trained, its calibration, its confusion matrix.

    Parameters
    ----------
    name
        What the names of the pictures begin with.
    """
    about = f"{row.name}: {_tested(row)}"
    if histories := [rows for run in row.runs for rows in run.history.values()]:
        monitor = str(row.runs[0].config["trainer"]["monitor"])
        yield learning_curve(f"{name}_learning_curve", about, histories, monitor)
    if all(run.finished.model.is_probabilistic for run in row.runs):
        yield _calibration(f"{name}_calibration", about, row)
    confusion = Confusion.of(row.outcomes, row.services)
    rest = f' The {MOST_CLASSES} most frequent; "{REST}" are many, so have no recall.'
    most = rest if REST in confusion.names else ""
    yield Picture(
        f"{name}_confusion",
        "Recall and confusion by class",
        "Test pairs, mean over seeds and parts; the fuller a cell, the larger its share of the "
        f"target. Classes that are target or prediction, frequent targets first.{most}",
        confusion_matrix(confusion),
        about,
    )


def _calibration(name: str, about: str, row: TableRow) -> Picture:
    """Return how often a row's first services are right, over how probable it holds them."""
    groups = [run.predictions.membership.group for run in row.runs for _ in run.seeds]
    believed = [run.predictions.confidence[seed] for run in row.runs for seed in run.seeds]
    is_right = [each.predicted == each.target for each in row.outcomes]
    bins = reliability(*map(np.concatenate, (believed, is_right, groups)))
    size = sum(each.n for each in bins) // len(bins)
    caption = (
        f"Expected calibration error {short(calibration_error(bins))}, over "
        f"{plural(len(bins), 'bin')} of about {size:,} test pairs, seeds together. Below the "
        "dashed line the model believes too much in its first service. Intervals: over groups "
        "of equal compositions, for the models as they are trained."
    )
    return Picture(name, "Calibration", caption, calibration(bins), about)


def graph_picture(name: str, run: Run) -> Picture | None:
    """Return the service graph of a run's data, if the run folder holds it."""
    if not run.edges:
        return None
    edges, vocabulary = heaviest(run.edges), run.vocabulary
    flags: dict[str, Any] = dict(zip(vocabulary.nodes, vocabulary.is_service, strict=True))
    services = frozenset(node for node, is_service in flags.items() if is_service)
    caption = (
        f"{plural(len(flags), 'node')}: {plural(len(flags) - len(services), 'table')}, "
        f"{plural(len(services), 'service')}. {plural(len(run.edges), 'edge')}; width, and number "
        "where there is room: how often walked; ↻: to itself; orange: against the others."
    )
    if len(edges) < len(run.edges):
        share = sum(e.weight for e in edges) / sum(e.weight for e in run.edges)
        caption += f" Only {len(edges)} of the heaviest are drawn, {share:.0%} of all steps."
    figure = service_graph(edges, services)
    about = chosen(run.result.choices, ("data",))
    return Picture(name, "Service graph", caption, figure, about)


def save(picture: Picture, folder: RunFolder) -> str:
    """Write a picture as PNG and SVG; return the SVG to put into a page."""
    picture.save(folder, "png")
    svg = picture.drawn("svg")
    folder.write_bytes(f"{picture.name}.svg", svg)
    return inline(svg.decode(), picture.name, picture.title, picture.view_box)


def inline(svg: str, prefix: str, label: str, view_box: str) -> str:
    """Return an SVG document of matplotlib as an element for a page.

    Parameters
    ----------
    prefix
        Put before every id.
    label
        What a screen reader says.
    view_box
        What is shown of it; title and caption, which the page says itself, are taken out.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in NOT_IN_A_PAGE or child.get("id") in OF_THE_PAGE:
                parent.remove(child)
        for key, value in parent.attrib.items():
            parent.set(key, _for_page(key, value, prefix))
    for key in ("width", "height"):  # the style sheet decides
        root.attrib.pop(key, None)
    root.set("viewBox", view_box)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _for_page(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key == f"{{{XLINK}}}href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    value = value.replace("url(#", f"url(#{prefix}-")
    if key == "style":
        return re.sub("#[0-9a-f]{6}", _variable, value)
    return value


def _variable(colour: re.Match[str]) -> str:
    name = VARIABLES.get(colour[0])
    return f"var(--{name})" if name else colour[0]
