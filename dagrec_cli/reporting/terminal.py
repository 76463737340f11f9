"""A table on a terminal: as many columns as fit, names folded rather than cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagrec_cli.errors import visible
from dagrec_cli.reporting.tables import Table, displayed, heading, short, spell

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

TURNED_ROWS = 2
SECTION = "test"  # its values are headings between the rows
BORDER = 3
LEAST_NAME, MOST_NAME = 13, 28  # a longer name continues in the next line


def to_rich(table: Table, width: int, notes: Sequence[str] | None = None) -> "Group":
    """Return a table, with its notes or others below, for a terminal of ``width`` characters.

    A few rows are turned on their side, so that intervals fit; many rows show means only, and leave
    out spare columns one after another until they fit. Columns that are empty are not shown.
    """
    from rich.console import Group

    columns = [c for c in table.columns if any(row.get(c) is not None for row in table.rows)]
    left_out: list[str] = []
    if not table.rows:
        body: Text | RichTable = _text(table.title)
    elif len(table.rows) <= TURNED_ROWS:
        body = _turned(table, columns)
    else:
        fitting = _fitting(table, [c for c in columns if c != SECTION], width)
        body = _upright(table, fitting)
        left_out = [heading(c) for c in columns if c not in (*fitting, SECTION)]
    below = table.notes if notes is None else notes
    only = [f"Only in the files: {', '.join(left_out)}."] if left_out else []
    return Group(body, *(_text(note, style="dim") for note in (*below, *only)))


def _turned(table: Table, columns: Sequence[str]) -> "RichTable":
    """Return a line per column: ``accuracy  .5410 [.485, .597]``."""
    named, *rest = columns
    turned = _empty(table.title)
    turned.add_column(_text(heading(named)))
    for row in table.rows:
        turned.add_column(_text(spell(displayed(row, named))), justify="right")
    for column in rest:
        cells = [heading(column), *(spell(displayed(row, column)) for row in table.rows)]
        turned.add_row(*map(_text, cells))
    return turned


def _upright(table: Table, columns: Sequence[str]) -> "RichTable":
    """Return a line per row, the means without their intervals."""
    upright = _empty(table.title)
    for column in columns:
        if column in table.numeric:
            upright.add_column(_text(heading(column)), justify="right", no_wrap=True)
        else:
            upright.add_column(_text(heading(column)), overflow="fold")
    section = None
    for row, cells in zip(table.rows, table.cells(columns), strict=True):
        if row.get(SECTION) != section:
            section = row.get(SECTION)
            upright.add_section()
            upright.add_row(_text(str(section), style="bold"))
        upright.add_row(*(_text(short(cell)) for cell in cells))
    return upright


def _text(shown: str, style: str = "") -> "Text":
    """Return text from which the terminal takes no orders."""
    from rich.text import Text

    return Text(visible(shown), style=style)


def _empty(title: str) -> "RichTable":
    from rich.table import Table as RichTable

    return RichTable(title=_text(title), title_justify="left")


def _fitting(table: Table, columns: Sequence[str], width: int) -> list[str]:
    """Return as many columns as fit, where a name may continue in the next line."""
    kept = list(columns)
    for spare in (None, *table.spare):
        kept = [column for column in kept if column != spare]
        if sum(_width(table, column) + BORDER for column in kept) < width:
            break
    return kept


def _width(table: Table, column: str) -> int:
    """Return the least width of a column; names continue in the next line, between words."""
    cells = [heading(column), *(short(displayed(row, column)) for row in table.rows)]
    longest = max(map(len, cells))
    if column in table.numeric:
        return longest
    word = max(len(word) for cell in cells for word in cell.split())
    return min(longest, max(word, LEAST_NAME), MOST_NAME)
