"""Compositions in JSON: an array of them, or one per line (JSON Lines), gzipped or not.

A composition has ``nodes`` (``id``, ``mid``) and ``links`` (``source``, ``target``), bare or as
``{"composition": {...}}``; other fields are ignored. A node is a table if its ``mid`` is absent,
null, or a number of ``table_mid_min`` and more. Ids are compared as text: ``"3985"`` is ``3985``.

A fault's place counts compositions from 0, and in JSON Lines names the file's line, from 1:
``compositions[17].links[2].target`` and ``compositions[17].links[2].target (line 18)``. Of several
files it names the file first: ``b.jsonl: compositions[17]``.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from io import BufferedReader
from itertools import compress
from typing import Any

import msgspec

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    Shard,
    inside,
)
from dagrec_cli.data.download import locate
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.json_array import ALLOWED, LONGEST
from dagrec_cli.data.readers.json_keys import repeated_key
from dagrec_cli.data.readers.json_records import EmptyFileError, records

NOT_GIVEN = (None, "", msgspec.UNSET)
UNKNOWN = -1
HINTS, NEAR, SHORT = 3, 100, 100  # faults with a hint, ids looked at for it, characters of an id


class _Node(msgspec.Struct, gc=False):
    id: int | str
    mid: int | str | msgspec.UnsetType | None = msgspec.UNSET
    owner: int | str | msgspec.UnsetType | None = msgspec.UNSET
    start_time: Any = msgspec.UNSET


class _Link(msgspec.Struct, gc=False):
    source: int | str
    target: int | str


class _Body(msgspec.Struct):
    nodes: list[_Node] = []
    links: list[_Link] = []
    owner: int | str | msgspec.UnsetType | None = msgspec.UNSET
    start_time: Any = msgspec.UNSET


class _Record(_Body):
    composition: _Body | None = None


KEYS = {key for each in (_Record, _Node, _Link) for key in each.__struct_fields__}
_RECORD = msgspec.json.Decoder(_Record)
_LOG = logging.getLogger(__name__)


class JsonFile(Reader):
    """Files of compositions in JSON.

    Parameters
    ----------
    table_mid_min
        A node with a ``mid`` of this number or more is a table.
    download
        ``url``, ``sha256`` and ``file`` of a public file (see :func:`download.locate`), or null;
        it is read where ``path`` is null.
    """

    holds = ALLOWED
    suffixes = (".json", ".jsonl", ".ndjson")

    def __init__(
        self, *, table_mid_min: int, download: Mapping[str, str] | None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.table_mid_min = table_mid_min
        self.download = download

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield every composition in order, of JSON Lines and of an array one at a time.

        Raises
        ------
        DataError
            If a file as a whole cannot be read: no JSON, a broken array.
        """
        prefix = f"{shard.name}: " if shard.name else ""
        try:
            for number, (text, line) in enumerate(records(file, shard.path)):
                suffix = f" (line {line})" if line else ""
                yield self._composition(text, f"{prefix}compositions[{number}]{suffix}")
        except EmptyFileError:
            if not shard.name:
                raise
            _LOG.warning("%s: the file is empty.", shard.name)

    def shards(self) -> list[Shard]:
        """Return the files, sorted by path; a single one needs no name."""
        found = super().shards()
        return found if len(found) > 1 else [found[0]._replace(name="")]

    def given(self) -> str | Sequence[str]:
        """Return ``path``, or the file that ``download`` names."""
        if self.path is None and self.download:
            return str(locate(**self.download))
        return super().given()

    def _composition(self, text: bytes, place: str) -> Composition | Invalid:
        try:
            unpacked = str(text, "utf-8")  # msgspec does not look into fields that it ignores
            if len(unpacked) > LONGEST:
                return Invalid((Fault(place, f"longer than {LONGEST:,} characters"),))
            record = _RECORD.decode(text)
            if may_repeat(unpacked, record) and (found := repeated_key(unpacked, KEYS)):
                return Invalid((Fault(inside(place, found.place), found.problem),))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Invalid((_decoding_fault(error, place),))
        body: _Body = record
        if record.composition is not None:
            body, place = record.composition, inside(place, ".composition")
        nodes = body.nodes
        ids = [str(node.id) for node in nodes]
        position = {name: k for k, name in enumerate(ids)}
        links = [
            (position.get(str(link.source), UNKNOWN), position.get(str(link.target), UNKNOWN))
            for link in body.links
        ]
        if faults := _faults(body, ids, links, place):
            return Invalid(tuple(faults))
        is_service = [not self._is_table(node.mid) for node in nodes]
        names = [
            f"{PREFIX_SERVICE}{node.mid}" if service else f"{PREFIX_TABLE}{name}"
            for node, name, service in zip(nodes, ids, is_service, strict=True)
        ]
        return Composition(
            tuple(names),
            tuple(is_service),
            tuple(links),
            _owner(body),
            _time(body, is_service),
            place,
            ids,
        )

    def _is_table(self, mid: int | str | msgspec.UnsetType | None) -> bool:
        if isinstance(mid, int):
            return mid >= self.table_mid_min
        if not isinstance(mid, str) or mid in NOT_GIVEN:
            return True
        # float, since int() refuses digits by the thousand
        return mid.isdecimal() and float(mid) >= self.table_mid_min


def may_repeat(text: str, record: _Record) -> bool:
    """Return whether an object may have a key twice, of those that are read.

    Counting is fast. A key that stands in the text no more often than in what was decoded stands in
    no object twice; one that is spelled with an escape is not found so.
    """
    body = record.composition or record
    nodes, n_links = body.nodes, len(body.links)
    holders: list[Any] = [*nodes, body, record] if body is not record else [*nodes, body]
    return (
        text.count('source"') > n_links  # without the quote before it is found faster
        or text.count('target"') > n_links
        or text.count('"id"') > len(nodes)
        or text.count('"mid"') > _n_given([node.mid for node in nodes])
        or text.count('"owner"') > _n_given([each.owner for each in holders])
        or text.count('"start_time"') > _n_given([each.start_time for each in holders])
        or any(text.count(key) > 1 for key in ('"nodes"', '"links"', '"composition"'))
        or ("\\" in text and "\\u00" in text)
    )


def _n_given(values: list[Any]) -> int:
    return len(values) - values.count(msgspec.UNSET)


def _decoding_fault(error: Exception, place: str) -> Fault:
    """Return why one composition's JSON could not be decoded, with msgspec's path in our form."""
    if isinstance(error, UnicodeDecodeError):
        return Fault(place, f"not UTF-8 (byte {error.start}); save the file in UTF-8")
    if isinstance(error, RecursionError):
        return Fault(place, "JSON nested too deeply")
    problem, _, path = str(error).partition(" - at `$")
    if "truncated" in problem:
        problem = "JSON ends too early; a line must hold one whole composition"
    return Fault(inside(place, path.removesuffix("`")), problem)


def _faults(
    body: _Body, ids: Sequence[str], links: Sequence[tuple[int, int]], place: str
) -> list[Fault]:
    """Return every broken rule of a decoded composition."""
    if not ids:
        return [Fault(inside(place, ".nodes"), "no node; a composition needs at least two")]
    faults: list[Fault] = []
    if len(set(ids)) < len(ids):
        first: dict[str, int] = {}
        faults += [
            Fault(
                inside(place, f".nodes[{k}].id"),
                f"duplicate id {name!r}; nodes[{first[name]}] has it",
            )
            for k, name in enumerate(ids)
            if first.setdefault(name, k) < k
        ]
    if any([UNKNOWN in link for link in links]):  # noqa: C419 - a list is faster here
        unknown = [
            (inside(place, f".links[{k}].{end}"), str(getattr(link, end)))
            for k, link in enumerate(body.links)
            for end, node in zip(("source", "target"), links[k], strict=True)
            if node == UNKNOWN
        ]
        faults += [
            Fault(at, _unknown(name, ids[:NEAR] if n < HINTS and len(name) <= SHORT else []))
            for n, (at, name) in enumerate(unknown)
        ]
    return faults


def _unknown(name: str, ids: Sequence[str]) -> str:
    near = ", ".join(map(repr, get_close_matches(name, ids)))
    return f"unknown node {name!r}; " + (f"nearest ids: {near}" if near else "use a node's id")


def _owner(body: _Body) -> str | None:
    holders: tuple[_Body | _Node, ...] = (body, *body.nodes)
    for each in holders:
        if each.owner not in NOT_GIVEN:
            return str(each.owner)
    return None


def _time(body: _Body, is_service: Sequence[bool]) -> float | None:
    if body.start_time not in NOT_GIVEN:
        return _seconds(body.start_time)
    starts = [_seconds(node.start_time) for node in compress(body.nodes, is_service)]
    return min([start for start in starts if start is not None], default=None)


def _seconds(moment: Any) -> float | None:
    """Return seconds since 1970 of an ISO 8601 date (UTC unless it says otherwise) or a number."""
    try:
        if isinstance(moment, str):
            date = datetime.fromisoformat(moment)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        return float(moment)
    except (TypeError, ValueError, OverflowError):
        return None
