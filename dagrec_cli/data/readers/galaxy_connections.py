"""Tables of Galaxy tool connections: tab-separated, gzipped or not, a row for each connection.

With a header, columns go by their names: ``wf_id``, ``in_id``, ``in_tool``, ``out_id``,
``out_tool``, and perhaps ``wf_updated``, ``published``, ``deleted``, ``has_errors``. Without one
they are workflow id, updated, source step id, source tool, version, target step id, target tool;
what follows is ignored. The rows of one workflow id, wherever they stand, are one composition.

A step is a service, named by its tool's short id. A step without a tool is an input dataset, a
table; one between other steps (a pause) is no input, so what reads it reads what feeds it.

Source: the extracts of usegalaxy.eu in github.com/anuprulez/galaxy_tool_recommendation (no header)
and github.com/anuprulez/similar_galaxy_workflow (with one, ``out_*`` being the source). Later
versions of that query, in github.com/galaxyproject/gxadmin, mean the source by ``in_*``.
"""

from collections import defaultdict
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain
from typing import Any, Literal

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    Shard,
)
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.draft import Budget, pass_on
from dagrec_cli.data.readers.galaxy_workflows import short_id
from dagrec_cli.data.readers.link_table import EMPTY, TableWorkflow, lines_of, places_of
from dagrec_cli.errors import DataError

INPUT_DATASET = f"{PREFIX_TABLE}data_input"  # as the same step is named in a workflow file
WITHOUT_HEADER = {"workflow": 0, "time": 1, "source": 2, "source_tool": 3, "target": 5}
WITHOUT_HEADER["target_tool"] = 6
FLAGS = ("published", "deleted", "has_errors")
MEANINGS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False, "": None}


class GalaxyConnections(Reader):
    """Tables of Galaxy tool connections.

    Parameters
    ----------
    source
        ``out``: where there is a header, ``out_*`` is the step whose output is used, and ``in_*``
        the one that uses it; ``in``: the other way round.
    published, deleted, has_errors
        Which workflows are read where the table has such a column: those of which it is true,
        those of which it is false, or null for all.
    """

    holds = "a tab-separated table of tool connections, in UTF-8, gzipped or not"
    suffixes = (".tsv", ".tabular", ".txt")
    service_name = staticmethod(short_id)

    def __init__(
        self,
        *,
        source: Literal["in", "out"],
        published: bool | None,
        deleted: bool | None,
        has_errors: bool | None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.source = source
        self.published = published
        self.deleted = deleted
        self.has_errors = has_errors

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of each workflow id, in the order of their first rows.

        Raises
        ------
        DataError
            If the file as a whole cannot be read: empty, not UTF-8, other columns.
        """
        lines = lines_of(file, shard.path, self.holds)
        number, header = next(lines)
        columns = self._columns(header, shard)
        if not columns:
            lines, columns = chain([(number, header)], lines), WITHOUT_HEADER
            _check_first_row(header, shard)
        workflows: dict[str, TableWorkflow] = defaultdict(TableWorkflow)
        for number, line in lines:
            self._add_row(workflows, line.split("\t"), columns, f"{shard.name} line {number}")
        for key, workflow in workflows.items():
            yield _composition(workflow, f"{shard.name} workflow {key}")

    def _columns(self, header: str, shard: Shard) -> dict[str, int]:
        """Return the place of each column that is read, none if the line is no header."""
        cells = [cell.strip().lower() for cell in header.split("\t")]
        if not {"in_id", "out_id"} & set(cells):
            return {}
        target = "in" if self.source == "out" else "out"
        names = {"workflow": "wf_id", "time": "wf_updated"}
        for role, end in (("source", self.source), ("target", target)):
            names |= {role: f"{end}_id", f"{role}_tool": f"{end}_tool"}
        names |= {flag: flag for flag in FLAGS}
        remedy = "rename it there, or say what columns there are: data=edges data.columns.…=NAME"
        return places_of(cells, names, ("time", *FLAGS), shard.path, remedy)

    def _add_row(
        self,
        workflows: dict[str, TableWorkflow],
        cells: list[str],
        columns: dict[str, int],
        place: str,
    ) -> None:
        if len(cells) <= max(columns.values()):
            problem = f"{len(cells)} columns; {max(columns.values()) + 1} or more are expected"
            workflows[cells[0]].faults.append(Fault(place, problem))
            return
        row = {role: "" if cells[k].strip() in EMPTY else cells[k] for role, k in columns.items()}
        workflow = workflows[row["workflow"]]
        for role in ("workflow", "source", "target"):
            if not row[role]:
                workflow.faults.append(Fault(place, f"no {role} id"))
        for role in ("source", "target"):
            tool = row[f"{role}_tool"]
            name = PREFIX_SERVICE + short_id(tool) if tool else INPUT_DATASET
            workflow.add_step(row[role], name, place)
        workflow.links[row["source"], row["target"]] = None
        workflow.add_time(row.get("time", ""), place)
        self._filter(workflow, row, place)

    def _filter(self, workflow: TableWorkflow, row: dict[str, str], place: str) -> None:
        for flag in FLAGS:
            value, wanted = row.get(flag, "").lower(), getattr(self, flag)
            if value not in MEANINGS:
                workflow.faults.append(Fault(place, f"{flag} is {value[:20]!r}; use t or f"))
            elif None not in (wanted, MEANINGS[value]) and MEANINGS[value] != wanted:
                workflow.unwanted = f"{'' if MEANINGS[value] else 'not '}{flag}"


def _check_first_row(line: str, shard: Shard) -> None:
    """Raise DataError if a table without a header has too few columns in its first row."""
    n_columns = len(line.split("\t"))
    expected = max(WITHOUT_HEADER.values()) + 1
    if n_columns < expected:
        hint = "; is it comma-separated? data=edges reads that" if "," in line else ""
        raise DataError(
            f"{shard.path}: {expected} tab-separated columns are expected, {n_columns} found in "
            f"the first row{hint}."
        )


def _composition(workflow: TableWorkflow, place: str) -> Composition | Invalid:
    found = workflow.composition(place)
    if isinstance(found, Invalid):
        return found
    inner = {a for a, _ in found.links} & {b for _, b in found.links}
    passing = {k for k in inner if not found.is_service[k]}
    if not passing:
        return found
    names = tuple("" if k in passing else name for k, name in enumerate(found.names))
    dropped = (("steps without a tool between others", len(passing)),)
    return pass_on(found._replace(names=names, dropped=dropped), (), Budget())
