"""Compositions in JSON: an array of them, or one per line (JSON Lines), gzipped or not.

A composition has ``nodes`` (``id``, ``mid``) and ``links`` (``source``, ``target``), bare or as
``{"composition": {...}}``; other fields are ignored. A node is a table if its ``mid`` is absent,
null, or a number of ``table_mid_min`` and more. Ids are compared as text: ``"3985"`` is ``3985``.

A fault's place counts compositions from 0, and in JSON Lines names the file's line, from 1:
``compositions[17].links[2].target`` and ``compositions[17].links[2].target (line 18)``.
"""

import gzip
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from io import BufferedReader
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    check_links,
)
from dagrec_cli.data.download import file_errors, locate, sha256_of
from dagrec_cli.data.invalid import check_settings
from dagrec_cli.errors import DataError

ALLOWED = "a JSON array of compositions, or one composition per line, in UTF-8, gzipped or not"
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NOT_GIVEN = (None, "")
UNKNOWN = -1

_AT_BYTE = re.compile(r" \(byte (\d+)\)")


class _Node(msgspec.Struct, gc=False):
    id: int | str
    mid: int | str | None = None
    owner: int | str | None = None
    start_time: Any = None


class _Link(msgspec.Struct, gc=False):
    source: int | str
    target: int | str


class _Body(msgspec.Struct):
    nodes: list[_Node] = []
    links: list[_Link] = []
    owner: int | str | None = None
    start_time: Any = None


class _Record(_Body):
    composition: _Body | None = None


_RECORD = msgspec.json.Decoder(_Record)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class JsonFile:
    """A file of compositions in JSON.

    Parameters
    ----------
    path
        The file; null for the one that ``download`` names.
    table_mid_min
        A node with a ``mid`` of this number or more is a table.
    on_invalid
        ``error``: the first invalid composition stops the reading; ``skip``: it is left out.
    max_paths
        Most source-to-sink paths one composition may have, 1 or more.
    download
        ``url``, ``sha256`` and ``file`` of a public file (see :func:`download.locate`), or null.

    Raises
    ------
    ConfigError
        If ``on_invalid`` or ``max_paths`` has a value that is not allowed.
    """

    def __init__(
        self,
        *,
        path: str | None,
        table_mid_min: int,
        on_invalid: str,
        max_paths: int,
        download: Mapping[str, str] | None,
    ) -> None:
        check_settings(on_invalid=on_invalid, max_paths=max_paths)
        self.path = path
        self.table_mid_min = table_mid_min
        self.on_invalid = on_invalid
        self.max_paths = max_paths
        self.download = download

    def read(self) -> Iterator[Composition | Invalid]:
        """Yield every composition in order, or what is wrong with it.

        JSON Lines are read line by line; of an array, the text is held but one composition is
        decoded at a time.

        Raises
        ------
        DataError
            If the file as a whole cannot be read: not there, no JSON, a broken array, broken gzip.
        """
        path = self._file()
        with file_errors(path), path.open("rb") as file:
            for number, (text, line) in enumerate(_records(file, path)):
                item = self._composition(text, f"compositions[{number}]")
                if line and isinstance(item, Invalid):
                    yield Invalid(tuple(Fault(f"{at} (line {line})", p) for at, p in item.faults))
                else:
                    yield item

    def sha256(self) -> str:
        """Return the hash of the file as it lies on the disk."""
        path = self._file()
        with file_errors(path):
            return sha256_of(path)

    def _file(self) -> Path:
        if self.path is not None:
            return Path(os.path.expanduser(self.path))  # leaves ~nobody as it is
        if self.download is None:
            raise DataError(f"data.path is null; name the file with data.path=FILE ({ALLOWED}).")
        return locate(**self.download)

    def _composition(self, text: bytes | msgspec.Raw, place: str) -> Composition | Invalid:
        try:
            str(text, "utf-8")  # msgspec does not look into fields that it ignores
            record = _RECORD.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Invalid((_decoding_fault(error, place),))
        body: _Body = record
        if record.composition is not None:
            body, place = record.composition, f"{place}.composition"
        ids = [str(node.id) for node in body.nodes]
        position = {name: k for k, name in enumerate(ids)}
        links = [
            (position.get(str(link.source), UNKNOWN), position.get(str(link.target), UNKNOWN))
            for link in body.links
        ]
        if faults := _faults(body, ids, links, place):
            return Invalid(tuple(faults))
        is_service = tuple(not self._is_table(node.mid) for node in body.nodes)
        names = tuple(
            f"{PREFIX_SERVICE}{node.mid}" if service else f"{PREFIX_TABLE}{node.id}"
            for node, service in zip(body.nodes, is_service, strict=True)
        )
        return Composition(
            names, is_service, tuple(dict.fromkeys(links)), _owner(body), _time(body, is_service)
        )

    def _is_table(self, mid: int | str | None) -> bool:
        if isinstance(mid, int):
            return mid >= self.table_mid_min
        # float, since int() refuses digits by the thousand
        return mid in NOT_GIVEN or (mid.isdecimal() and float(mid) >= self.table_mid_min)


def _records(file: BufferedReader, path: Path) -> Iterator[tuple[bytes | msgspec.Raw, int | None]]:
    """Yield the JSON of each composition, and its line in JSON Lines."""
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


def _decoding_fault(error: Exception, place: str) -> Fault:
    """Return why one composition's JSON could not be decoded, with msgspec's path in our form."""
    if isinstance(error, UnicodeDecodeError):
        return Fault(place, f"not UTF-8 (byte {error.start}); save the file in UTF-8")
    if isinstance(error, RecursionError):
        return Fault(place, "JSON nested too deeply")
    problem, _, path = str(error).partition(" - at `$")
    if "truncated" in problem:
        problem = "JSON ends too early; a line must hold one whole composition"
    return Fault(place + path.removesuffix("`"), problem)


def _faults(
    body: _Body, ids: Sequence[str], links: Sequence[tuple[int, int]], place: str
) -> list[Fault]:
    """Return every broken rule of a decoded composition."""
    if not ids:
        return [Fault(f"{place}.nodes", "no node; a composition needs at least two")]
    faults = []
    if len(set(ids)) < len(ids):
        faults += [
            Fault(f"{place}.nodes[{k}].id", f"duplicate id {name!r}; nodes[{first}] has it")
            for k, name in enumerate(ids)
            if (first := ids.index(name)) < k
        ]
    if any(UNKNOWN in link for link in links):
        faults += [
            Fault(f"{place}.links[{k}].{end}", _unknown(str(getattr(link, end)), ids))
            for k, link in enumerate(body.links)
            for end, node in zip(("source", "target"), links[k], strict=True)
            if node == UNKNOWN
        ]
        # A link to two nodes of its own keeps the others' numbers right and closes no cycle.
        apart = (len(ids), len(ids) + 1)
        links = [apart if UNKNOWN in link else link for link in links]
    return faults + check_links(len(ids) + 2, links, ids, place)


def _unknown(name: str, ids: Sequence[str]) -> str:
    near = ", ".join(map(repr, get_close_matches(name, ids)))
    return f"unknown node {name!r}; " + (f"nearest ids: {near}" if near else "use a node's id")


def _owner(body: _Body) -> str | None:
    owners = [body.owner, *[node.owner for node in body.nodes]]
    return next((str(owner) for owner in owners if owner not in NOT_GIVEN), None)


def _time(body: _Body, is_service: Sequence[bool]) -> float | None:
    if body.start_time not in NOT_GIVEN:
        return _seconds(body.start_time)
    services = compress(body.nodes, is_service)
    starts = [_seconds(node.start_time) for node in services]
    return min((start for start in starts if start is not None), default=None)


def _seconds(moment: Any) -> float | None:
    """Return seconds since 1970 of an ISO 8601 date (UTC unless it says otherwise) or a number."""
    try:
        if isinstance(moment, str):
            date = datetime.fromisoformat(moment)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        return float(moment)
    except (TypeError, ValueError, OverflowError):
        return None
