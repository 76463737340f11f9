"""The text of each composition in a JSON file: an array's elements, or the lines of JSON Lines."""

import gzip
import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import msgspec

from dagrec_cli.errors import DataError

ALLOWED = "a JSON array of compositions, or one composition per line, in UTF-8, gzipped or not"
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_AT_BYTE = re.compile(r" \(byte (\d+)\)")
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def records(file: BufferedReader, path: Path) -> Iterator[tuple[bytes | msgspec.Raw, int | None]]:
    """Yield the JSON of each composition, and its line (from 1) in JSON Lines.

    Parameters
    ----------
    file
        Open at its beginning.
    path
        The file's name for messages.

    Raises
    ------
    DataError
        If the file is empty, or neither an array nor JSON Lines.
    """
    is_gzip = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
    stream = gzip.GzipFile(fileobj=file) if is_gzip else file
    blank: list[bytes] = []
    for line in stream:
        first = line.removeprefix(BYTE_ORDER_MARK)
        if first.strip():
            break
        blank.append(first)
    else:
        raise DataError(f"{path}: the file is empty; it must hold {ALLOWED}.")
    if first.lstrip().startswith(b"["):
        text = b"".join([*blank, first, stream.read()])
        yield from ((raw, None) for raw in _array(text, path))
    elif first.lstrip().startswith(b"{"):
        yield first, len(blank) + 1
        for number, line in enumerate(stream, start=len(blank) + 2):
            if line.strip():
                yield line, number
    else:
        raise DataError(f"{path}: {_beginning(first)} in line {len(blank) + 1}; give {ALLOWED}.")


def _array(text: bytes, path: Path) -> list[msgspec.Raw]:
    """Return the undecoded elements of an array, or say where its JSON breaks."""
    try:
        return _ARRAY.decode(text)
    except RecursionError as error:
        raise DataError(f"{path}: the JSON is nested too deeply; give {ALLOWED}.") from error
    except msgspec.DecodeError as error:
        found = _AT_BYTE.search(str(error))
        byte = int(found[1]) if found else len(text)
        line_start = text.rfind(b"\n", 0, byte) + 1
        line = text.count(b"\n", 0, byte) + 1
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
