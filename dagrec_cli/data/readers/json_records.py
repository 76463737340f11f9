"""The text of each composition in a JSON file: an array's elements, or the lines of JSON Lines.

A file that holds a single composition may have it over several lines. Of an array, no more is held
than one element needs: where it ends is what msgspec names when it is asked to decode that element
alone, as it says at which byte "trailing characters" begin. So the text is scanned in C, and what
is wrong with it is said in msgspec's own words.
"""

import re
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path

import msgspec

from dagrec_cli.data.composition import Fault, inside
from dagrec_cli.data.files import EmptyFileError
from dagrec_cli.errors import DataError

BEGINNING = 2**16  # bytes that tell an array from JSON Lines
LARGEST = 2**24  # bytes of one composition, which then takes less than 1 GiB of memory
CHUNK = 2**18  # bytes read at a time
CUT = 16  # at so many bytes before the end of a chunk, text that is cut off may look malformed

_AT_BYTE = re.compile(r" \(byte (\d+)\)")
_FILLED = re.compile(rb"[^ \t\n\r]")
_VALUE = msgspec.json.Decoder(msgspec.Raw)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


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
        _VALUE.decode(line)
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


class JsonArray:
    """An array in a file, to be iterated over once.

    Parameters
    ----------
    text
        The beginning of the file, as far as it has been read; nothing but space before its ``[``.
    file
        Has the rest.
    path
        The file's name for messages.
    line
        Line of the file in which the text begins, from 1.
    holds
        What the file must hold, for messages.
    """

    def __init__(
        self, text: bytes, file: BufferedReader, path: Path, line: int, holds: str
    ) -> None:
        self._text = text
        self._file = file
        self._path = path
        self._line = line
        self._holds = holds
        self._column = 1
        self._at = text.index(b"[")  # the bracket or comma after which the text goes on

    def __iter__(self) -> Iterator[bytes]:
        """Yield the JSON of each element.

        Raises
        ------
        DataError
            If the array breaks, or an element is longer than :data:`LARGEST`.
        """
        number = 0
        is_over = self._next() == b"]"
        while not is_over:
            end = self._end_of_value(number)
            element, separator = self._text[self._at + 1 : end], self._text[end : end + 1]
            if separator not in (b",", b"]"):
                raise self._broken()
            self._check_length(len(element), number)
            yield element
            self._at = end
            is_over = separator == b"]"
            number += 1
        if self._next():
            raise self._broken()

    def _next(self) -> bytes:
        """Return the next byte that is no space; at an end bracket, also step onto it."""
        while not (found := _FILLED.search(self._text, self._at + 1)):
            if not self._has_more():
                return b""
        if found[0] == b"]" and self._text[self._at : self._at + 1] == b"[":
            self._at = found.start()
        return found[0]

    def _end_of_value(self, number: int) -> int:
        """Return where the next byte is that is no space, after the value that comes now."""
        while True:
            rest = memoryview(self._text)[self._at + 1 :]
            try:
                _VALUE.decode(rest)  # as far as the text goes this is all
            except msgspec.DecodeError as error:
                message = str(error)
                byte = _byte_of(message, len(rest))
                if "trailing characters" in message:
                    return self._at + byte  # these alone it counts from 1
                if byte + CUT < len(rest):
                    raise self._broken() from error
            except RecursionError as error:
                raise self._broken() from error
            self._check_length(len(rest), number)
            if not self._has_more():
                raise self._broken()

    def _check_length(self, length: int, number: int) -> None:
        if length > LARGEST:
            raise DataError(
                f"{self._path}: compositions[{number}] is longer than {LARGEST:,} bytes; "
                f"give {self._holds}."
            )

    def _has_more(self) -> bool:
        """Read on, as much again as is waited with, and forget what is done with."""
        done, rest = self._text[: self._at], self._text[self._at :]
        more = self._file.read(max(CHUNK, len(rest)))
        self._line, self._column = self._place(done)
        self._text, self._at = rest + more, 0
        return bool(more)

    def _place(self, text: bytes) -> tuple[int, int]:
        """Return the line and the column, from 1, behind some of the text."""
        n_lines = text.count(b"\n")
        tail = len(text[text.rfind(b"\n") + 1 :].decode("utf-8", "replace"))
        return self._line + n_lines, tail + (1 if n_lines else self._column)

    def _broken(self) -> DataError:
        """Return what msgspec says of an array that goes on as this one does."""
        head = b"" if self._text[self._at : self._at + 1] == b"[" else b"[0"
        message = "the JSON is malformed"
        try:
            _ARRAY.decode(head + self._text[self._at :])
        except RecursionError:
            return DataError(f"{self._path}: the JSON is nested too deeply; give {self._holds}.")
        except msgspec.DecodeError as error:
            message = str(error)
        byte = self._at + _byte_of(message, len(self._text) - self._at + len(head)) - len(head)
        line, column = self._place(self._text[:byte])
        return DataError(
            f"{self._path}: {_AT_BYTE.sub('', message)} at line {line}, column {column}; fix it "
            "there, or fetch the file again if it was cut off."
        )


def _byte_of(message: str, otherwise: int) -> int:
    found = _AT_BYTE.search(message)
    return int(found[1]) if found else otherwise
