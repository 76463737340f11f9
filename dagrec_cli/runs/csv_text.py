"""CSV text, the same bytes for the same rows.

A cell that a spreadsheet would take for a formula (it starts with ``= + - @``, a tab or a return,
and is no number) gets an apostrophe in front: names come from data, and data from strangers.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import chain

RETURN = "\r\n"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header and rows as CSV; floats with the fewest digits that read back the same."""
    return csv_lines(chain([columns], rows))


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return rows alone, see :func:`csv_text`."""
    text = _Lines()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def as_written(cell: str) -> str:
    """Return a text without the apostrophe that it got here."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


class _Lines(io.StringIO):
    """Ends lines with a line feed alone; the writer, not knowing it, quotes returns in names."""

    def write(self, line: str) -> int:
        return super().write(f"{line.removesuffix(RETURN)}\n")


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
