"""The text of each composition in a JSON file: an array's elements, or the lines of JSON Lines.

A file that holds a single composition may have it over several lines.
"""

from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path

import msgspec

from dagrec_cli.data.composition import Fault, inside
from dagrec_cli.data.files import EmptyFileError
from dagrec_cli.data.readers.json_array import LARGEST, JsonArray
from dagrec_cli.errors import DataError

BEGINNING = 2**16  # bytes that tell an array from JSON Lines


_ANY = msgspec.json.Decoder(msgspec.Raw)


def records(file: BufferedReader, path: Path, holds: str) -> Iterator[tuple[bytes, int | None]]:
    """Yield the JSON of each composition, and its line (from 1) in JSON Lines.

    Parameters
    ----------
    file
        Open at its beginning, unpacked.
    path
        The file's name for messages.
    holds
        What it must hold, for messages.

    Raises
    ------
    EmptyFileError
        If the file is empty.
    DataError
        If it is neither an array nor JSON Lines.
    """
    number, first = 0, b""
    while not first.strip():
        number += number == 0 or first.endswith(b"\n")
        if not (first := file.readline(BEGINNING)):
            raise EmptyFileError(f"{path}: the file is empty; it must hold {holds}.")
    if first.lstrip().startswith(b"["):
        yield from ((element, None) for element in JsonArray(first, file, path, number, holds))
    elif first.lstrip().startswith(b"{"):
        if not first.endswith(b"\n"):
            first += file.readline(LARGEST + 1 - len(first))
        lines = iter(partial(file.readline, LARGEST + 1), b"")
        yield from _objects(first, lines, path, number, holds)
    else:
        raise DataError(f"{path}: {_beginning(first)} in line {number}; give {holds}.")


def _objects(
    first: bytes, lines: Iterator[bytes], path: Path, number: int, holds: str
) -> Iterator[tuple[bytes, int | None]]:
    """Yield the objects of JSON Lines with their lines, or the only object of all lines."""
    second = next(lines, b"")
    if _is_cut_off(first) and not second.lstrip().startswith(b"{"):
        yield first + second + b"".join(_up_to(LARGEST, lines)), None
        return
    for at, line in enumerate(chain([first, second], lines), start=number):
        if len(line) > LARGEST:
            raise DataError(f"{path}: line {at} is longer than {LARGEST:,}; give {holds}.")
        if line.strip():
            yield line, at


def _up_to(size: int, lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines until they are longer than ``size`` together."""
    while size >= 0 and (line := next(lines, b"")):
        size -= len(line)
        yield line


def _is_cut_off(line: bytes) -> bool:
    """Return whether a line is the beginning of JSON that goes on in the next one."""
    try:
        _ANY.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def _beginning(line: bytes) -> str:
    try:
        return f"unexpected {line.decode('utf-8').strip()[:20]!r}"
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"


def decoding_fault(error: Exception, place: str) -> Fault:
    """Return why something could not be decoded, with msgspec's path behind its place."""
    if isinstance(error, UnicodeDecodeError):
        return Fault(place, f"not UTF-8 (byte {error.start}); save the file in UTF-8")
    if isinstance(error, RecursionError):
        return Fault(place, "JSON nested too deeply; fetch or export it again")
    problem, _, path = str(error).partition(" - at `$")
    if "truncated" in problem:
        problem = "JSON ends too early; a line must hold one whole composition"
    if "trailing characters" in problem:
        problem = "more behind the JSON; end lines in LF or CRLF, each with one composition"
    return Fault(inside(place, path.removesuffix("`")), problem)
