"""Compositions in JSON: an array of them, or one per line (JSON Lines), gzipped or not.

A composition has ``nodes`` (``id``, ``mid``) and ``links`` (``source``, ``target``), bare or as
``{"composition": {...}}``; other fields are ignored. ``links`` may be called ``edges``, so that
networkx's node-link graphs are compositions. A node is a table if its ``mid`` is absent, null, or a
number of ``table_mid_min`` and more, unless ``is_service`` says otherwise; a table is named by its
``id``, or by ``table`` if that is given.
Ids are compared as text: ``"3985"`` is ``3985`` is ``3985.0``. Owner and times are the
composition's, or else those of its service calls: their first owner, from the earliest start to the
latest end.

A fault's place counts compositions from 0, and in JSON Lines names the file's line, from 1:
``compositions[17].links[2].target`` and ``compositions[17].links[2].target (line 18)``. Of several
files it names the file first: ``b.jsonl: compositions[17]``.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from io import BufferedReader
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
from dagrec_cli.data.readers.base import Reader, moment
from dagrec_cli.data.readers.json_graph import (
    ID,
    IS_SERVICE,
    TABLE,
    UNSET,
    Keys,
    decoded,
    is_number,
    repeated,
)
from dagrec_cli.data.readers.json_records import LARGEST, decoding_fault, records
from dagrec_cli.errors import ConfigError

NOT_GIVEN = (None, "", UNSET)
UNKNOWN = -1
HINTS, NEAR, SHORT = 3, 100, 100  # faults with a hint, ids looked at for it, characters of an id
NAMED_KEYS = 10  # keys that a message names

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class JsonFile(Reader):
    """Files of compositions in JSON.

    Parameters
    ----------
    service_key, owner_key, time_key, end_key
        What the file calls ``mid``, ``owner``, ``start_time`` and ``end_time``; ``service_key`` may
        be ``id``, which makes every node a service.
    table_mid_min
        A node with a ``mid`` of this number or more is a table.
    download
        ``url``, ``sha256`` and ``file`` of a public file (see :func:`download.locate`), or null;
        it is read where ``path`` is null.
    """

    option = "compositions"
    holds = "a JSON array of compositions, or one composition per line, in UTF-8, gzipped or not"
    suffixes = (".json", ".jsonl", ".ndjson")

    def __init__(
        self,
        *,
        service_key: str,
        owner_key: str,
        time_key: str,
        end_key: str,
        table_mid_min: int,
        download: Mapping[str, str] | None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.service_key = service_key
        self.owner_key = owner_key
        self.time_key = time_key
        self.end_key = end_key
        keys = Keys(service_key, owner_key, time_key, end_key)
        if len({TABLE, IS_SERVICE, ID, *keys}) < 3 + len(keys) - (service_key == ID):
            raise ConfigError(
                f"data.service_key, owner_key, time_key, end_key are {', '.join(keys)}; use "
                f"different keys, not {TABLE} or {IS_SERVICE}, and id for service_key alone."
            )
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
        for number, (text, line) in enumerate(records(file, shard.path, self.holds)):
            suffix = f" (line {line})" if line else ""
            yield self._composition(text, f"{prefix}compositions[{number}]{suffix}")

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
        keys = Keys(self.service_key, self.owner_key, self.time_key, self.end_key)
        try:
            unpacked = str(text, "utf-8")  # msgspec does not look into fields that it ignores
            if len(unpacked) > LARGEST:
                return Invalid((Fault(place, f"longer than {LARGEST:,} characters"),))
            record = decoded(text, keys)
            if found := repeated(unpacked, record, keys):
                return Invalid((Fault(inside(place, found.place), found.problem),))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Invalid((decoding_fault(error, place),))
        body = record
        if record.composition is not None:
            body, place = record.composition, inside(place, ".composition")
        if problem := _other_format(body, text):
            return Invalid((Fault(place, problem),))
        graph = _DecodedGraph(body, keys, place)
        is_service = graph.are_services([not self._is_table(mid) for mid in graph.mids])
        starts, ends = (graph.moments(name, is_service) for name in ("start_time", "end_time"))
        links = graph.links()
        if graph.faults:
            return Invalid(tuple(graph.faults))
        return Composition(
            graph.names(is_service),
            is_service,
            tuple(links),
            graph.owner(),
            min(starts, default=None),
            max(ends, default=None),
            place,
            graph.ids,
        )

    def _is_table(self, mid: object) -> bool:
        if isinstance(mid, int):
            return mid >= self.table_mid_min
        if not isinstance(mid, str):
            return True
        # float, since int() refuses digits by the thousand
        return is_number(mid) and float(mid) >= self.table_mid_min


class _DecodedGraph:
    """Nodes and links of a decoded composition, and what is wrong with them."""

    def __init__(self, body: Any, keys: Keys, place: str) -> None:
        self.body = body
        self.nodes = body.nodes
        self.keys = keys
        self.place = place
        self.ids = [str(node.id) for node in body.nodes]
        self.mids = self.ids if keys.mid == ID else [node.mid for node in body.nodes]
        self.faults: list[Fault] = []
        if len(set(self.ids)) < len(self.ids):
            first: dict[str, int] = {}
            for k, name in enumerate(self.ids):
                if first.setdefault(name, k) < k:
                    self._add(
                        f".nodes[{k}].id", f"duplicate id {name!r}; nodes[{first[name]}] has it"
                    )
        for k in [k for k, mid in enumerate(self.mids) if type(mid) is str and not mid.strip()]:
            self._add(f".nodes[{k}].{keys.mid}", "empty; name a service, or write null for a table")

    def are_services(self, by_mid: Sequence[bool]) -> tuple[bool, ...]:
        """Return which nodes are services, given which are by their ``mid`` alone."""
        given = [node.is_service for node in self.nodes]
        if given.count(UNSET) == len(given):
            return tuple(by_mid)
        for k, (mid, is_service) in enumerate(zip(self.mids, given, strict=True)):
            if is_service is True and mid in NOT_GIVEN:
                self._add(f".nodes[{k}].{IS_SERVICE}", f"no {self.keys.mid}, which names a service")
        return tuple([b if g is UNSET else g for b, g in zip(by_mid, given, strict=True)])

    def names(self, is_service: Sequence[bool]) -> tuple[str, ...]:
        """Return the name of each node."""
        tables = self.ids
        if any([node.table is not UNSET for node in self.nodes]):  # noqa: C419 - faster
            tables = [
                name if node.table in NOT_GIVEN else str(node.table)
                for node, name in zip(self.nodes, self.ids, strict=True)
            ]
        return tuple(
            [
                f"{PREFIX_SERVICE}{mid}" if service else f"{PREFIX_TABLE}{table}"
                for mid, table, service in zip(self.mids, tables, is_service, strict=True)
            ]
        )

    def links(self) -> list[tuple[int, int]]:
        """Return both ends of each link."""
        key = "edges" if self.body.links is UNSET else "links"
        given = getattr(self.body, key)
        position = {name: k for k, name in enumerate(self.ids)}
        ends = [
            (position.get(str(link.source), UNKNOWN), position.get(str(link.target), UNKNOWN))
            for link in given
        ]
        if any([UNKNOWN in link for link in ends]):  # noqa: C419 - a list is faster here
            unknown = [
                (f".{key}[{k}].{end}", str(getattr(link, end)))
                for k, link in enumerate(given)
                for end, node in zip(("source", "target"), ends[k], strict=True)
                if node == UNKNOWN
            ]
            for n, (part, name) in enumerate(unknown):
                near = self.ids[:NEAR] if n < HINTS and len(name) <= SHORT else []
                self._add(part, _unknown(name, near))
        return ends

    def moments(self, name: str, is_service: Sequence[bool]) -> list[float]:
        """Return when the composition starts or ends, or else when its services do."""
        key, given = getattr(self.keys, name), getattr(self.body, name)
        moments = [(f".{key}", given)]
        if given in NOT_GIVEN:
            values = [getattr(node, name) for node in self.nodes]
            is_given = values.count(UNSET) < len(values)
            moments = [
                (f".nodes[{k}].{key}", value)
                for k, value in enumerate(values if is_given else ())
                if is_service[k] and value not in NOT_GIVEN
            ]
        found = [moment(value, inside(self.place, part), self.faults) for part, value in moments]
        return [time for time in found if time is not None]

    def owner(self) -> str | None:
        """Return whose composition it is, or else its first node that has an owner."""
        for each in (self.body, *self.nodes):
            if each.owner not in NOT_GIVEN:
                return str(each.owner)
        return None

    def _add(self, part: str, problem: str) -> None:
        self.faults.append(Fault(inside(self.place, part), problem))


def _other_format(body: Any, text: bytes) -> str:
    """Return why a record is no composition, empty if it is one."""
    if body.directed is False:
        return "an undirected graph; links must have a direction"
    for wanted, given in (("nodes", [body.nodes]), ("links", [body.links, body.edges])):
        if all(each is UNSET for each in given):
            keys = list(_OBJECT.decode(text))
            more = ", …" if len(keys) > NAMED_KEYS else ""
            shown = ", ".join(str(key)[:SHORT] for key in keys[:NAMED_KEYS]) + more
            return f"no {wanted} among its keys ({shown or 'it has none'})"
    return ""


def _unknown(name: str, ids: Sequence[str]) -> str:
    near = ", ".join(map(repr, get_close_matches(name, ids)))
    return f"unknown node {name!r}; " + (f"nearest ids: {near}" if near else "use a node's id")
