"""The pictures of a report: those of a table, those of a row, and the service graph."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.reporting.comparison import Entry, by_test
from dagrec_cli.reporting.plots.confusion import MOST_CLASSES, REST, Confusion, confusion
from dagrec_cli.reporting.plots.context_length import by_length, context_length
from dagrec_cli.reporting.plots.learning_curve import learning_curve
from dagrec_cli.reporting.plots.metric_bars import metric_bars
from dagrec_cli.reporting.plots.picture import Picture
from dagrec_cli.reporting.plots.service_graph import MOST_EDGES, service_graph
from dagrec_cli.reporting.plots.speed import speed
from dagrec_cli.reporting.tables import Table, heading
from dagrec_cli.runs.run import Run

SHOWN_METRICS = ("accuracy", "ndcg", "f1")
PUBLISHED = " Diamonds: as published."


def table_pictures(
    table: Table, published: Mapping[tuple[str, str], float], entries: Sequence[Entry]
) -> Iterator[Picture]:
    """Yield bars of the main metrics, what a row costs, and accuracy by context length.

    Rows with other test pairs have pictures of their own.

    Parameters
    ----------
    table
        From :func:`~dagrec_cli.reporting.comparison.compare`.
    published
        Published numbers by name of row and metric.
    entries
        The table's rows.
    """
    for number, (about, alike) in enumerate(by_test(entries), start=1):
        rows = [r for r in table.rows if r.get("test", "") == about and METRICS[0] in r]
        name, where = (f"{table.name}_{number}", f", {about}") if about else (table.name, "")
        for metric in SHOWN_METRICS:
            told = {row: n for (row, column), n in published.items() if column == heading(metric)}
            caption = f"Lines: 95 % interval over groups and seeds.{PUBLISHED if told else ''}"
            figure = metric_bars(rows, metric, told)
            yield Picture(f"{name}_{metric}", f"{heading(metric)}{where}", caption, figure)
        yield from _speed(f"{name}_speed", where, rows)
        lengths = [(e.name, by_length(e.outcomes, e.runs[0].predictions.length)) for e in alike]
        yield Picture(
            f"{name}_context_length",
            f"Accuracy by context length{where}",
            "Mean over seeds; n: test pairs of that length.",
            context_length(lengths),
        )


def _speed(name: str, where: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Picture]:
    timed = [row for row in rows if row.get("seconds_per_epoch")]
    if timed:
        counting = [row["row"] for row in rows if row.get("seeds") and row not in timed]
        rest = f" Without epochs, since they count: {', '.join(counting)}." if counting else ""
        title = f"Accuracy against seconds per epoch{where}"
        yield Picture(name, title, f"Left and up is better.{rest}", speed(timed, METRICS[0]))


def row_pictures(name: str, entry: Entry) -> Iterator[Picture]:
    """Yield the learning curve of a row that was trained, and its confusion matrix.

    Parameters
    ----------
    name
        What the names of the pictures begin with.
    """
    histories = {seed: rows for run in entry.runs for seed, rows in run.history.items()}
    if histories:
        monitor = str(entry.runs[0].config["trainer"]["monitor"])
        yield Picture(
            f"{name}_learning_curve",
            "Learning curve",
            f"One line per seed ({len(histories)}).",
            learning_curve(histories, monitor),
        )
    found = Confusion.of(entry.outcomes, entry.services)
    rest = f' The {MOST_CLASSES} most frequent; "{REST}" are many, so have no recall.'
    most = rest if REST in found.names else ""
    yield Picture(
        f"{name}_confusion",
        "Recall and confusion by class",
        "Test pairs, mean over seeds; the fuller a cell, the larger its share of the target. "
        f"Classes that are target or prediction, frequent targets first.{most}",
        confusion(found),
    )


def graph_picture(name: str, run: Run) -> Picture | None:
    """Return the service graph of a run's data, if the run folder holds it."""
    if not run.edges:
        return None
    edges, vocabulary = run.edges[:MOST_EDGES], run.vocabulary
    flags: dict[str, Any] = dict(zip(vocabulary.nodes, vocabulary.is_service, strict=True))
    services = frozenset(node for node, is_service in flags.items() if is_service)
    caption = (
        f"{len(flags):,} nodes: {len(flags) - len(services):,} tables (squares), {len(services):,} "
        f"services (circles). {len(run.edges):,} edges; width, and number where there is room: how "
        "often walked. "
    )
    if len(edges) < len(run.edges):
        share = sum(e.weight for e in edges) / sum(e.weight for e in run.edges)
        caption += f"Only the {len(edges)} heaviest are drawn, {share:.0%} of all steps. "
    figure = service_graph(edges, services)
    return Picture(name, "Service graph", f"{caption}Orange: back to an earlier layer.", figure)
