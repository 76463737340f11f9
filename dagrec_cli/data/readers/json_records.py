"""The text of each composition in a JSON file: an array's elements, or the lines of JSON Lines.

A file that holds a single composition may have it over several lines.
"""

from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path

import msgspec

from dagrec_cli.data.readers.json_array import LARGEST, LAYOUTS, JsonArray
from dagrec_cli.errors import DataError

BEGINNING = 2**16  # bytes that tell an array from JSON Lines


class EmptyFileError(DataError):
    """A file that holds nothing at all, which is no mistake among others."""


_ANY = msgspec.json.Decoder(msgspec.Raw)


def records(file: BufferedReader, path: Path) -> Iterator[tuple[bytes, int | None]]:
    """Yield the JSON of each composition, and its line (from 1) in JSON Lines.

    Parameters
    ----------
    file
        Open at its beginning, unpacked.
    path
        The file's name for messages.

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
            raise EmptyFileError(f"{path}: the file is empty; it must hold {LAYOUTS}.")
    if first.lstrip().startswith(b"["):
        yield from ((element, None) for element in JsonArray(first, file, path, number))
    elif first.lstrip().startswith(b"{"):
        if not first.endswith(b"\n"):
            first += file.readline(LARGEST + 1 - len(first))
        lines = iter(partial(file.readline, LARGEST + 1), b"")
        yield from _objects(first, lines, path, number)
    else:
        raise DataError(f"{path}: {_beginning(first)} in line {number}; give {LAYOUTS}.")


def _objects(
    first: bytes, lines: Iterator[bytes], path: Path, number: int
) -> Iterator[tuple[bytes, int | None]]:
    """Yield the objects of JSON Lines with their lines, or the only object of all lines."""
    second = next(lines, b"")
    if _is_cut_off(first) and not second.lstrip().startswith(b"{"):
        yield first + second + b"".join(_up_to(LARGEST, lines)), None
        return
    for at, line in enumerate(chain([first, second], lines), start=number):
        if len(line) > LARGEST:
            raise DataError(f"{path}: line {at} is longer than {LARGEST:,}; give {LAYOUTS}.")
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
