"""Tables with a row for each link: rows of one workflow, wherever they stand, are one composition.

Steps and links of a whole table are held, since its last row may belong to any workflow.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader
from pathlib import Path

from dagrec_cli.data.composition import PREFIX_SERVICE, Composition, Fault, Invalid
from dagrec_cli.data.files import EmptyFileError
from dagrec_cli.data.readers.base import moment
from dagrec_cli.errors import DataError

EMPTY = ("", r"\N")  # a database dump writes the latter
LONGEST_ROW = 2**20  # bytes of a row
FIRST, CELL_SHOWN = 10, 30  # columns that a message names, characters of each


def lines_of(file: BufferedReader, path: Path, holds: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, with its number from 1.

    Raises
    ------
    DataError
        If a line is too long or not UTF-8, or there is none.
    """
    is_empty = True
    for number, line in enumerate(iter(partial(file.readline, LONGEST_ROW + 1), b""), start=1):
        if is_empty and b"\r" in line[:-2]:
            raise DataError(f"{path}: lines end in CR alone; end them in LF or CRLF.")
        if len(line) > LONGEST_ROW:
            problem = f"a row longer than {LONGEST_ROW:,} bytes (line {number})"
            raise DataError(f"{path}: {problem}; give {holds}.")
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 (line {number}, byte {error.start})"
            raise DataError(f"{path}: {problem}; save the file in UTF-8.") from error
        if text.strip():
            is_empty = False
            yield number, text
    if is_empty:
        raise EmptyFileError(f"{path}: the file is empty; it must hold {holds}.")


def places_of(
    header: Sequence[str],
    names: Mapping[str, str],
    optional: Collection[str],
    path: Path,
    remedy: str,
) -> dict[str, int]:
    """Return the place of each column that a header has.

    Parameters
    ----------
    names
        The header's name of each column.
    optional
        Columns that may be missing.
    remedy
        What to do about a column that is not there once: ``name it with data.columns.{}=NAME``.

    Raises
    ------
    DataError
        If another one is missing, or one is there twice.
    """
    for column, name in names.items():
        if header.count(name) != 1 and (name in header or column not in optional):
            given = ", ".join(name[:CELL_SHOWN] for name in header[:FIRST])
            given += ", …" if len(header) > FIRST else ""
            problem = "is there twice" if name in header else "is missing"
            raise DataError(
                f"{path}: column {name!r} {problem} (the header has {given}); "
                f"{remedy.format(column)}."
            )
    return {column: header.index(name) for column, name in names.items() if name in header}


@dataclass
class TableWorkflow:
    """What the rows of one workflow say.

    Attributes
    ----------
    names
        Name of each step by its id, such as ``service_Cut1``.
    links
        Source and target, each once, in the order of the rows.
    owner, start_time, end_time
        As in :class:`~dagrec_cli.data.composition.Composition`.
    faults
        What is wrong.
    unwanted
        Why a setting leaves it out; empty if none does.
    """

    names: dict[str, str] = field(default_factory=dict)
    links: dict[tuple[str, str], None] = field(default_factory=dict)
    owner: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    faults: list[Fault] = field(default_factory=list)
    unwanted: str = ""

    def add_step(self, step: str, name: str, place: str) -> None:
        """Add a step, unless it is known."""
        known = self.names.setdefault(step, name)
        if known != name:
            problem = f"two names {known!r}, {name!r} of one step; a step has one"
            self.faults.append(Fault(f"{place} step {step}", problem))

    def add_time(self, given: str, place: str) -> None:
        """Take a row's time into account: the earliest is the start, the latest the end."""
        time = moment(given, place, self.faults)
        if time is None:
            return
        self.start_time = min(time, time if self.start_time is None else self.start_time)
        self.end_time = max(time, time if self.end_time is None else self.end_time)

    def add_owner(self, owner: str, place: str) -> None:
        """Take a row's owner into account."""
        if self.owner not in (None, owner):
            problem = f"two owners {self.owner!r}, {owner!r} of one workflow; it has one"
            self.faults.append(Fault(place, problem))
        self.owner = owner

    def composition(self, place: str) -> Composition | Invalid:
        """Return all that was added."""
        if self.unwanted:
            return Invalid((Fault(place, self.unwanted),), is_fault=False)
        if self.faults:
            return Invalid(tuple(self.faults))
        position = {step: k for k, step in enumerate(self.names)}
        names = tuple(self.names.values())
        return Composition(
            names,
            tuple(name.startswith(PREFIX_SERVICE) for name in names),
            tuple((position[source], position[target]) for source, target in self.links),
            self.owner,
            self.start_time,
            self.end_time,
            place,
            list(position),
        )
