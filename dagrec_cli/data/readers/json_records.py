"""The text of each composition in a JSON file: an array's elements, or the lines of JSON Lines.

A file that holds a single composition may have it over several lines.
"""

import re
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path

import msgspec

from dagrec_cli.errors import DataError

ALLOWED = "a JSON array of compositions, or one composition per line, in UTF-8, gzipped or not"
LONGEST = 2**24  # bytes of one composition, which then takes less than 1 GiB of memory
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EmptyFileError(DataError):
    """A file that holds nothing at all, which is no mistake among others."""


_AT_BYTE = re.compile(r" \(byte (\d+)\)")
_ANY = msgspec.json.Decoder(msgspec.Raw)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def records(file: BufferedReader, path: Path) -> Iterator[tuple[bytes | msgspec.Raw, int | None]]:
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
    lines = iter(partial(file.readline, LONGEST + 1), b"")
    number, first = 0, b""
    while not first.strip():
        number += 1
        if not (line := next(lines, b"")):
            raise EmptyFileError(f"{path}: the file is empty; it must hold {ALLOWED}.")
        first = line.removeprefix(BYTE_ORDER_MARK)
    if first.lstrip().startswith(b"["):
        yield from ((raw, None) for raw in _array(first + file.read(), path, number))
    elif first.lstrip().startswith(b"{"):
        yield from _objects(first, lines, path, number)
    else:
        raise DataError(f"{path}: {_beginning(first)} in line {number}; give {ALLOWED}.")


def _objects(
    first: bytes, lines: Iterator[bytes], path: Path, number: int
) -> Iterator[tuple[bytes, int | None]]:
    """Yield the objects of JSON Lines with their lines, or the only object of all lines."""
    second = next(lines, b"")
    if _is_cut_off(first) and not second.lstrip().startswith(b"{"):
        yield first + second + b"".join(_up_to(LONGEST, lines)), None
        return
    for at, line in enumerate(chain([first, second], lines), start=number):
        if len(line) > LONGEST:
            raise DataError(f"{path}: line {at} is longer than {LONGEST:,}; give {ALLOWED}.")
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


def _array(text: bytes, path: Path, number: int) -> list[msgspec.Raw]:
    """Return the undecoded elements of an array, or say where its JSON breaks.

    Parameters
    ----------
    number
        Line of the file in which the text begins.
    """
    try:
        return _ARRAY.decode(text)
    except RecursionError as error:
        raise DataError(f"{path}: the JSON is nested too deeply; give {ALLOWED}.") from error
    except msgspec.DecodeError as error:
        found = _AT_BYTE.search(str(error))
        byte = int(found[1]) if found else len(text)
        line_start = text.rfind(b"\n", 0, byte) + 1
        line = text.count(b"\n", 0, byte) + number
        column = len(text[line_start:byte].decode("utf-8", "replace")) + 1
        raise DataError(
            f"{path}: {_AT_BYTE.sub('', str(error))} at line {line}, column {column}; mend it "
            "there, or fetch the file anew if it was cut off."
        ) from error


def _beginning(line: bytes) -> str:
    try:
        return f"unexpected {line.decode('utf-8').strip()[:20]!r}"
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"
