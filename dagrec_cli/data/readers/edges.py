"""Tables of links, whatever they are links of: the way in for every format that has no reader.

The header names the columns ``workflow``, ``source``, ``target`` and perhaps ``source_id``,
``target_id``, ``time``, ``owner``; ``data.columns`` says if they are called otherwise. Sources and
targets are services by their names; a name that begins with ``table_prefix`` is a table's. Without
ids a name is one node of its workflow; with ids, a service may be called twice.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import Any

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    Shard,
)
from dagrec_cli.data.files import EmptyFileError
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.link_table import EMPTY, TableWorkflow, lines_of, places_of
from dagrec_cli.errors import ConfigError, DataError

LINK_COLUMNS = ("workflow", "source", "target", "source_id", "target_id", "time", "owner")
OPTIONAL = LINK_COLUMNS[3:]
DELIMITERS = "\t;|, "  # the first one in the header counts


class Edges(Reader):
    """Tables of links, a row for each.

    Parameters
    ----------
    columns
        What the header calls each column of :data:`LINK_COLUMNS`, in letters of any size.
    table_prefix
        Beginning of the names of tables; empty if there are none.
    """

    holds = "a table of links whose header has workflow, source and target, in UTF-8"
    suffixes = (".csv", ".tsv", ".txt")

    def __init__(self, *, columns: Mapping[str, str], table_prefix: str, **settings: Any) -> None:
        super().__init__(**settings)
        if columns.keys() != set(LINK_COLUMNS):
            given, known = ", ".join(columns), ", ".join(LINK_COLUMNS)
            raise ConfigError(f"data.columns names {given}; name {known}, and nothing else.")
        self.columns = columns
        self.table_prefix = table_prefix

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of each workflow, in the order of their first rows.

        Raises
        ------
        DataError
            If the file as a whole cannot be read: empty, not UTF-8, a column missing.
        """
        workflows: dict[str, TableWorkflow] = defaultdict(TableWorkflow)
        for place, row in self._rows(file, shard):
            self._add_row(workflows[row.get("workflow", "")], row, place)
        if not workflows:
            raise EmptyFileError(f"{shard.path}: no row below the header; give {self.holds}.")
        for key, workflow in workflows.items():
            yield workflow.composition(f"{shard.name} workflow {key}")

    def _rows(self, file: BufferedReader, shard: Shard) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield each row's place and cells; of a row that is too short, those that it has."""
        lines = lines_of(file, shard.path, self.holds)
        number, header = next(lines)

        def texts() -> Iterator[str]:
            nonlocal number
            yield header
            for at, text in lines:
                number = at
                yield text

        delimiter = next((each for each in DELIMITERS if each in header), ",")
        rows = csv.reader(texts(), delimiter=delimiter, strict=True)
        try:
            names = {column: name.lower() for column, name in self.columns.items()}
            cells = [cell.strip().lower() for cell in next(rows)]
            remedy = "say what it is called: data.columns.{}=NAME"
            places = places_of(cells, names, OPTIONAL, shard.path, remedy)
            for cells in rows:
                row = {column: cells[k].strip() for column, k in places.items() if k < len(cells)}
                yield f"{shard.name} line {number}", row
        except csv.Error as error:
            problem = f"broken quotes (line {number}: {error}); fix them"
            if "field limit" in str(error):  # perhaps for want of a quote that ends it
                most = csv.field_size_limit()
                problem = f"a cell longer than {most:,} characters (line {number}); end its quotes"
            raise DataError(f"{shard.path}: {problem}.") from error

    def _add_row(self, workflow: TableWorkflow, row: dict[str, str], place: str) -> None:
        missing = [name for name in LINK_COLUMNS[:3] if row.get(name, "") in EMPTY]
        workflow.faults += [Fault(place, f"no {name}") for name in missing]
        if missing:
            return
        ends = []
        for end in ("source", "target"):
            step, name = row.get(f"{end}_id", row[end]), row[end]
            if step in EMPTY:
                workflow.faults.append(Fault(place, f"no {end}_id"))
            workflow.add_step(step, self._name(name), place)
            ends.append(step)
        workflow.links[ends[0], ends[1]] = None
        if row.get("time", "") not in EMPTY:
            workflow.add_time(row["time"], place)
        if row.get("owner", "") not in EMPTY:
            workflow.add_owner(row["owner"], place)

    def _name(self, name: str) -> str:
        bare = name.removeprefix(self.table_prefix)
        return PREFIX_TABLE + bare if bare and bare != name else PREFIX_SERVICE + name
