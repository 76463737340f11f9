"""Pictures with what is said about them: of a table, of a row, and the service graph.

Each is written as PNG and SVG, and put into a page as SVG, whose ids begin with its name and whose
colours are those of the page.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.errors import plural
from dagrec_cli.reporting.plots.charts import learning_curve, metric_bars, speed
from dagrec_cli.reporting.plots.drawing import VARIABLES, save_png, save_svg, style
from dagrec_cli.reporting.plots.matrices import (
    MOST_CLASSES,
    REST,
    Confusion,
    by_length,
    confusion_matrix,
    context_length,
)
from dagrec_cli.reporting.plots.service_graph import MOST_EDGES, service_graph
from dagrec_cli.reporting.rows import TableRow, by_test
from dagrec_cli.reporting.tables import Table, heading
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_METRICS = ("accuracy", "ndcg", "f1")
PUBLISHED = " Diamonds: as published."
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
NOT_IN_A_PAGE = (f"{{{SVG}}}metadata", f"{{{SVG}}}style")
PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Picture:
    """A figure with what is said about it.

    Attributes
    ----------
    name
        Name of its files, without ending; unique in a report.
    title
        One line above.
    caption
        What to see in it.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"

    @property
    def width(self) -> int:
        """Its natural width in pixels."""
        return round(self.figure.get_figwidth() * PIXELS_PER_INCH)

    def save(self, folder: RunFolder) -> str:
        """Write ``<name>.png`` and ``<name>.svg``; return the SVG to put into a page."""
        file = io.BytesIO()
        with style():
            if layout := self.figure.get_layout_engine():
                layout.execute(self.figure)
            self.figure.set_layout_engine(None)  # laid out once; with one, each writing draws twice
            folder.write(f"{self.name}.png", lambda file: save_png(self.figure, file))
            save_svg(self.figure, file)
        svg = file.getvalue().decode()
        folder.write_text(f"{self.name}.svg", svg)
        return inline(svg, self.name, self.title)


def table_pictures(
    table: Table, published: Mapping[tuple[str, str], float], rows: Sequence[TableRow]
) -> Iterator[Picture]:
    """Yield bars of the main metrics, what a row costs, and accuracy by context length.

    Rows with other test pairs have pictures of their own.

    Parameters
    ----------
    table
        From :func:`~dagrec_cli.reporting.comparison.compare_rows`.
    published
        Published numbers by name of row and metric.
    rows
        Those of the table, with their runs.
    """
    for number, (about, alike) in enumerate(by_test(rows), start=1):
        cells = [r for r in table.rows if r.get("test", "") == about and METRICS[0] in r]
        name, where = (f"{table.name}_{number}", f", {about}") if about else (table.name, "")
        for metric in [each for each in SHOWN_METRICS if each in table.columns]:
            marks = {row: n for (row, column), n in published.items() if column == heading(metric)}
            caption = f"Lines: 95 % intervals.{PUBLISHED if marks else ''}"
            figure = metric_bars(cells, metric, marks)
            yield Picture(f"{name}_{metric}", f"{heading(metric)}{where}", caption, figure)
        yield from _speed(f"{name}_speed", where, cells)
        lengths = [(row.name, by_length(row.outcomes, _lengths(row))) for row in alike]
        yield Picture(
            f"{name}_context_length",
            f"Accuracy by context length{where}",
            "Mean over seeds and parts; n: test pairs of that length.",
            context_length(lengths),
        )


def _lengths(row: TableRow) -> list[Any]:
    """Return the lengths of the contexts of each of a row's outcomes."""
    return [run.predictions.depth for run in row.runs for _ in run.seeds]


def _speed(name: str, where: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Picture]:
    timed = [row for row in rows if row.get("seconds_per_epoch")]
    if timed:
        counting = [row["row"] for row in rows if row.get("seeds") and row not in timed]
        rest = f" Without epochs, since they count: {', '.join(counting)}." if counting else ""
        title = f"Accuracy against seconds per epoch{where}"
        yield Picture(name, title, f"Left and up is better.{rest}", speed(timed, METRICS[0]))


def row_pictures(name: str, row: TableRow) -> Iterator[Picture]:
    """Yield the learning curve of a row that was trained, and its confusion matrix.

    Parameters
    ----------
    name
        What the names of the pictures begin with.
    """
    every = [rows for run in row.runs for rows in run.history.values()]
    histories = dict(enumerate(every))
    if histories:
        monitor = str(row.runs[0].config["trainer"]["monitor"])
        yield Picture(
            f"{name}_learning_curve",
            "Learning curve",
            f"One line per seed {'and part ' * (len(row.parts) > 1)}({len(histories)}).",
            learning_curve(histories, monitor),
        )
    confusion = Confusion.of(row.outcomes, row.services)
    rest = f' The {MOST_CLASSES} most frequent; "{REST}" are many, so have no recall.'
    most = rest if REST in confusion.names else ""
    yield Picture(
        f"{name}_confusion",
        "Recall and confusion by class",
        "Test pairs, mean over seeds and parts; the fuller a cell, the larger its share of the "
        f"target. Classes that are target or prediction, frequent targets first.{most}",
        confusion_matrix(confusion),
    )


def graph_picture(name: str, run: Run) -> Picture | None:
    """Return the service graph of a run's data, if the run folder holds it."""
    if not run.edges:
        return None
    edges, vocabulary = run.edges[:MOST_EDGES], run.vocabulary
    flags: dict[str, Any] = dict(zip(vocabulary.nodes, vocabulary.is_service, strict=True))
    services = frozenset(node for node, is_service in flags.items() if is_service)
    caption = (
        f"{plural(len(flags), 'node')}: {plural(len(flags) - len(services), 'table')} (squares), "
        f"{plural(len(services), 'service')} (circles). {plural(len(run.edges), 'edge')}; width, "
        "and number where there is room: how often walked. "
    )
    if len(edges) < len(run.edges):
        share = sum(e.weight for e in edges) / sum(e.weight for e in run.edges)
        caption += f"Only the {len(edges)} heaviest are drawn, {share:.0%} of all steps. "
    figure = service_graph(edges, services)
    return Picture(name, "Service graph", f"{caption}Orange: back to an earlier layer.", figure)


def inline(svg: str, prefix: str, label: str) -> str:
    """Return an SVG document of matplotlib as an element for a page.

    Parameters
    ----------
    prefix
        Put before every id.
    label
        What a screen reader says.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in NOT_IN_A_PAGE]:
            parent.remove(child)
        for key, value in parent.attrib.items():
            parent.set(key, _for_page(key, value, prefix))
    for key in ("width", "height"):  # the style sheet decides
        root.attrib.pop(key, None)
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
