"""What every reader of files has, whatever their format.

A format is a subclass of :class:`Reader` that says what its files hold and what they are called,
and whose ``parse`` turns one of them into compositions. The rest is done here, once: files are
found by name, folder, glob or list, unpacked, read apart from each other, and every composition is
made acyclic as ``data.on_cycle`` has it.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import ClassVar

from dagrec_cli.config.kinds import PathCount
from dagrec_cli.data.composition import (
    Composition,
    Context,
    Fault,
    Invalid,
    OnCycle,
    Shard,
    as_dag,
)
from dagrec_cli.data.files import (
    EmptyFileError,
    file_errors,
    find_files,
    opened,
    sha256_of,
    sha256_of_all,
)
from dagrec_cli.data.invalid import OnInvalid
from dagrec_cli.data.readers.formats import START, likely_option
from dagrec_cli.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EARLIEST, LATEST = -62_135_596_800, 253_402_300_799  # seconds since 1970: years 1 to 9999

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def seconds(given: object) -> float:
    """Return seconds since 1970 of an ISO 8601 date (UTC unless it says otherwise) or a number.

    Raises
    ------
    ValueError
        If it is neither; the text says what is allowed.
    """
    found = given
    if isinstance(given, str):
        try:
            date = datetime.fromisoformat(given)
            found = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):  # faster than suppress, and there are many dates
            found = float(given) if _NUMBER.fullmatch(given) else None
    if isinstance(found, int | float) and type(found) is not bool and EARLIEST <= found <= LATEST:
        return float(found)
    raise ValueError(
        f"unreadable date {str(given)[:30]!r}; use ISO 8601, such as 2020-03-16T12:24:15Z, or "
        "seconds since 1970, of the years 1 to 9999"
    )


def moment(given: object, place: str, faults: list[Fault]) -> float | None:
    """Return :func:`seconds` of what a file says; None if nothing, or a fault, which is added."""
    try:
        return None if given in (None, "") else seconds(given)
    except ValueError as error:
        faults.append(Fault(place, str(error)))
        return None


class Reader(ABC):
    """Files of one format.

    Parameters
    ----------
    path
        A file, a folder (whose folders count too), a glob, or a list of these; null for
        ``default_path``.
    default_path
        File or folder in ``$DAGREC_DATA_DIR``, or null.
    on_cycle
        What becomes of a composition with a cycle, see :func:`~dagrec_cli.data.composition.as_dag`.
    on_invalid
        ``error``: the first invalid composition stops the reading; ``skip``: it is left out.
    context
        What a step is predicted from: ``dag``, all that leads to it; ``path``, one path at a time.
    max_paths
        Most source-to-sink paths one composition may have; of ``context: path`` alone.
    cache
        Whether a large data set is kept once it is prepared.
    """

    option: ClassVar[str] = ""  # of the group data; empty: the name of the reader's module
    holds: ClassVar[str]  # what a file holds, for messages: "a Galaxy workflow"
    suffixes: ClassVar[tuple[str, ...]]  # of the files in a folder, ".gz" aside: (".ga",)
    needs_link = True  # False where a composition is only begun, see as_dag

    def __init__(
        self,
        *,
        path: str | Sequence[str] | None,
        default_path: str | None,
        on_cycle: OnCycle,
        on_invalid: OnInvalid,
        context: Context,
        max_paths: PathCount,
        cache: bool,
    ) -> None:
        self.path = path
        self.default_path = default_path
        self.on_cycle = on_cycle
        self.on_invalid = on_invalid
        self.context = context
        self.max_paths = max_paths
        self.cache = cache

    @abstractmethod
    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield every composition of a file in order, or what is wrong with it, one at a time.

        Links may repeat and close cycles; ``ids`` must name the nodes for messages.

        Parameters
        ----------
        file
            Unpacked, behind its byte order mark if it has one.
        shard
            Names the file in places of faults (``name``) and in other messages (``path``).

        Raises
        ------
        EmptyFileError
            If the file holds nothing at all.
        DataError
            If the file as a whole, or its rest, cannot be read; the text begins with its path.
        """

    @staticmethod
    def service_name(written: str, /) -> str:
        """Return what a service is called whose name a file, or a user, writes like this."""
        return written

    def read(self) -> Iterator[Composition | Invalid]:
        """Yield every composition of every file, or why it is left out.

        Raises
        ------
        DataError
            If there is no file, or the only one as a whole cannot be read.
        """
        for shard in self.shards():
            yield from self.read_shard(shard)

    def read_shard(self, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield every composition of one file; see :meth:`read`.

        What cannot be read of one file among several is one composition that is invalid, so that it
        can be left out as others are.
        """
        try:
            yield from self._items(shard)
        except DataError as error:
            if len(self.shards()) == 1:
                raise
            problem = str(error).removeprefix(f"{shard.path}: ").rstrip(".")
            is_fault = not isinstance(error, EmptyFileError)
            yield Invalid((Fault(shard.name, problem),), is_fault)

    def read_bytes(self, content: bytes, name: str) -> Iterator[Composition | Invalid]:
        """Yield every composition of a file that is in memory, and is called so in messages.

        Raises
        ------
        DataError
            If the file as a whole cannot be read.
        """
        file: BufferedReader = BufferedReader(BytesIO(content))
        yield from self._parsed(file, Shard(Path(name), name), lambda: content)

    def _items(self, shard: Shard) -> Iterator[Composition | Invalid]:
        def start() -> bytes:
            with opened(shard.path) as file:
                return file.read(START)

        with opened(shard.path) as file:
            yield from self._parsed(file, shard, start)

    def _parsed(
        self, file: BufferedReader, shard: Shard, start: Callable[[], bytes]
    ) -> Iterator[Composition | Invalid]:
        """Yield what an open file holds, made acyclic; a first fault says what it looks like."""
        if file.peek(len(BYTE_ORDER_MARK)).startswith(BYTE_ORDER_MARK):
            file.read(len(BYTE_ORDER_MARK))
        is_first = True
        try:
            for item in self.parse(file, shard):
                if isinstance(item, Composition):
                    item = as_dag(item, self.on_cycle, needs_link=self.needs_link)
                elif is_first and item.is_fault and (hint := self._hint(start)):
                    (place, problem), *others = item.faults
                    item = item._replace(faults=(Fault(place, f"{problem} ({hint})"), *others))
                is_first = False
                yield item
        except DataError as error:
            if not is_first or not (hint := self._hint(start)):
                raise
            raise DataError(f"{str(error).rstrip('.')} ({hint}).") from error

    def _hint(self, start: Callable[[], bytes]) -> str:
        """Return for which other reader a file looks, by how it starts."""
        option = ""
        with suppress(DataError):
            option = likely_option(start()[:START])
        this = self.option or type(self).__module__.rpartition(".")[2]
        return f"it looks like a file for data={option}" if option not in ("", this) else ""

    def shards(self) -> list[Shard]:
        """Return the files, sorted by path."""
        return find_files(self.given(), self.suffixes, self.holds)

    def sha256(self) -> str:
        """Return the hash of the file as it lies on the disk, or one over those of several."""
        shards = self.shards()
        if len(shards) > 1:
            return sha256_of_all(shards)
        with file_errors(shards[0].path):
            return sha256_of(shards[0].path)

    def given(self) -> str | Sequence[str]:
        """Return ``path``, or else ``default_path`` in ``$DAGREC_DATA_DIR``.

        Raises
        ------
        DataError
            If neither is given, or the latter is not there.
        """
        if self.path is not None:
            return self.path
        missing = ""
        if self.default_path:
            missing = " and DAGREC_DATA_DIR is not set"
            if folder := os.environ.get("DAGREC_DATA_DIR"):
                found = Path(folder) / self.default_path
                if found.exists():
                    return str(found)
                missing = f" and {found} does not exist"
        raise DataError(
            f"data.path is null{missing}; name a file of {self.holds}, or a folder of such files, "
            "with data.path=PATH."
        )
