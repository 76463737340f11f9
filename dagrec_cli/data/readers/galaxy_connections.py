"""A table of Galaxy tool connections: tab-separated, no header, gzipped or not.

Columns: workflow id, updated, source step id, source tool, version, target step id, target tool;
what follows is ignored. The rows of one workflow id, wherever they stand, are one composition. A
step id is a node; its service is named by the tool's short id, and a step without a tool is an
input dataset, a table.

Source: the extract of usegalaxy.eu in github.com/anuprulez/galaxy_tool_recommendation.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from pathlib import Path

import msgspec

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    Shard,
)
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.galaxy import short_id
from dagrec_cli.errors import DataError

HOLDS = "a tab-separated table of tool connections, in UTF-8, gzipped or not"
COLUMNS = 7  # that are read
LONGEST = 2**20  # bytes of a row
INPUT_DATASET = f"{PREFIX_TABLE}data_input"  # as the same step is named in a workflow file


class _Row(msgspec.Struct, array_like=True):
    workflow: str
    updated: datetime | None
    source: str
    source_tool: str | None
    source_version: str | None
    target: str
    target_tool: str | None


@dataclass
class _Workflow:
    """What the rows of one workflow id say."""

    names: dict[str, str] = field(default_factory=dict)  # of each step id
    links: dict[tuple[str, str], None] = field(default_factory=dict)
    time: float | None = None
    faults: list[Fault] = field(default_factory=list)


class GalaxyConnections(Reader):
    """Tables of Galaxy tool connections."""

    holds = HOLDS
    suffixes = (".tsv", ".tabular", ".txt")

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of each workflow id, in the order of their first rows.

        Steps and links of the whole table are held, since its last row may belong to any workflow.

        Raises
        ------
        DataError
            If the file as a whole cannot be read: empty, not UTF-8.
        """
        workflows: dict[str, _Workflow] = defaultdict(_Workflow)
        for number, line in _lines(file, shard.path):
            cells = line.split("\t", COLUMNS)
            _add_row(workflows[cells[0]], cells, f"{shard.name} line {number}")
        if not workflows:
            raise DataError(f"{shard.path}: the file is empty; it must hold {self.holds}.")
        for key, workflow in workflows.items():
            yield _composition(workflow, f"{shard.name} workflow {key}")


def _lines(file: BufferedReader, path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, with its number from 1."""
    for number, line in enumerate(iter(partial(file.readline, LONGEST + 1), b""), start=1):
        if len(line) > LONGEST:
            raise DataError(
                f"{path}: line {number} is longer than {LONGEST:,}; give {GalaxyConnections.holds}."
            )
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: line {number} is not UTF-8; give {GalaxyConnections.holds}."
            ) from error
        if text.strip():
            yield number, text


def _add_row(workflow: _Workflow, cells: list[str], place: str) -> None:
    try:
        row = msgspec.convert([cell or None for cell in cells], _Row)
    except msgspec.ValidationError as error:
        problem, _, column = str(error).partition(" - at `$")
        workflow.faults.append(Fault(place + column.removesuffix("`"), problem))
        return
    for step, tool in ((row.source, row.source_tool), (row.target, row.target_tool)):
        name = PREFIX_SERVICE + short_id(tool) if tool else INPUT_DATASET
        known = workflow.names.setdefault(step, name)
        if known != name:
            problem = f"two tools '{known}', '{name}' of one step; a step has one tool"
            workflow.faults.append(Fault(f"{place} step {step}", problem))
    workflow.links[row.source, row.target] = None
    if row.updated:
        workflow.time = row.updated.replace(tzinfo=row.updated.tzinfo or UTC).timestamp()


def _composition(workflow: _Workflow, place: str) -> Composition | Invalid:
    if workflow.faults:
        return Invalid(tuple(workflow.faults))
    position = {step: k for k, step in enumerate(workflow.names)}
    links = tuple((position[source], position[target]) for source, target in workflow.links)
    names = tuple(workflow.names.values())
    is_service = tuple(name != INPUT_DATASET for name in names)
    return Composition(
        names, is_service, links, time=workflow.time, place=place, ids=list(position)
    )
