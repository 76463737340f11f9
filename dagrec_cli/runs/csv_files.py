"""CSV files: the same bytes for the same rows; and ``metrics.csv``, written and read back.

A cell that a spreadsheet would take for a formula (it starts with ``= + - @``, a tab or a return,
and is no number) gets an apostrophe in front: names come from data, and data from strangers.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite

from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.runs.folder import METRICS_FILE, RunFolder

RETURN = "\r\n"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
EPOCH = ("epoch", "loss", "seconds")  # what every row of metrics.csv has beside its seed


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header and rows as CSV; floats with the fewest digits that read back the same."""
    return _csv_lines(chain([columns], rows))


def as_written(cell: str) -> str:
    """Return a text without the apostrophe that it got here."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


class MetricsFile:
    """``metrics.csv``: a line per seed and epoch, there to be watched once the epoch is over.

    It begins anew whenever a run does or continues, so what a killed process left of a line is
    gone; the epochs behind a checkpoint come back with it.

    Parameters
    ----------
    validated
        Metrics that are computed on validation pairs; each has a column.
    """

    def __init__(self, folder: RunFolder, validated: Iterable[str] = ()) -> None:
        self._path = folder.path / METRICS_FILE
        self._columns = [*EPOCH, *(f"validation_{name}" for name in validated)]
        self._n_written: dict[int, int] = {}
        folder.write_text(METRICS_FILE, csv_text(["seed", *self._columns], []))

    def add(self, seed: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Append the epochs of a seed that the file has not."""
        new = rows[self._n_written.get(seed, 0) :]
        lines = _csv_lines([seed, *map(row.get, self._columns)] for row in new)
        with open_plain(self._path, "ab") as file:
            file.write(lines.encode())
        self._n_written[seed] = len(rows)


def read_metrics(lines: Iterable[str]) -> dict[int, list[dict[str, float]]]:
    """Return the rows of ``metrics.csv`` by seed.

    Raises
    ------
    ValueError
        If a value is no finite number, or one of :data:`EPOCH` is missing.
    csv.Error
        If it is no CSV.
    """
    by_seed: dict[int, list[dict[str, float]]] = {}
    for row in csv.DictReader(lines):
        seed = int(row.pop("seed"))
        numbers = {name: float(cell) for name, cell in row.items() if cell}
        if not numbers.keys() >= {*EPOCH} or not all(map(isfinite, numbers.values())):
            raise ValueError(f"row {row} lacks one of {', '.join(EPOCH)}")
        by_seed.setdefault(seed, []).append(numbers)
    return by_seed


class _Lines(io.StringIO):
    """Ends lines with a line feed alone; the writer, not knowing it, quotes returns in names."""

    def write(self, line: str) -> int:
        return super().write(f"{line.removesuffix(RETURN)}\n")


def _csv_lines(rows: Iterable[Sequence[object]]) -> str:
    text = _Lines()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
