"""One composition's JSON decoded: nodes and links under the keys that a file uses; and encoded.

Of a key that an object has twice a decoder would keep the last value without a word, so these are
looked for.
"""

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import msgspec

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE, Composition

UNSET = msgspec.UNSET
ID = "id"
TABLE, IS_SERVICE = "table", "is_service"
KEY_SHOWN = 100  # characters of a key that a message repeats
GRAPH_KEYS = ("nodes", "links", "edges", "directed", "composition")

Id = int | str


class Keys(NamedTuple):
    """What a file calls what is read of its nodes; ``mid`` may be the same as ``id``."""

    mid: str
    owner: str
    start_time: str
    end_time: str


class GraphLink(msgspec.Struct, gc=False):
    """A link between two nodes, by their ids."""

    source: Id
    target: Id


class Repeated(NamedTuple):
    """A key that an object has twice.

    Attributes
    ----------
    place
        Path of the object, such as ``.nodes[3]``; empty for the whole.
    key
        The key.
    """

    place: str
    key: str

    @property
    def problem(self) -> str:
        """What is wrong, for a fault."""
        return f"duplicate key {self.key[:KEY_SHOWN]!r}; give it once"


def decoded(text: bytes, keys: Keys) -> Any:
    """Return a record: ``composition``, or else ``nodes``, ``links``, ``edges``, ``directed``.

    Bodies and nodes have ``owner``, ``start_time``, ``end_time``, nodes also ``id``, ``table``,
    ``is_service`` and, unless it is the id, ``mid``; what is not given is ``UNSET``. Whole numbers
    may be written as pandas does, ``308.0``.

    Raises
    ------
    msgspec.DecodeError, UnicodeDecodeError, RecursionError
        If it is no JSON, or a field is not what it must be.
    """
    decoder = _decoder(keys)
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return decoder.decode(msgspec.json.encode(_whole(msgspec.json.decode(text))))


def encoded(composition: Composition) -> bytes:
    """Return a line of JSON that is read as the same composition, its end included.

    It is so whatever the reader's ``table_mid_min``: of a service with a number for its name the
    line says that it is one.
    """
    ids = list(composition.ids)
    if len(set(ids)) < len(composition.names):
        ids = [str(k) for k in range(len(composition.names))]
    nodes: list[dict[str, Any]] = []
    for name, node, is_service in zip(composition.names, ids, composition.is_service, strict=True):
        bare = name.removeprefix(PREFIX_SERVICE if is_service else PREFIX_TABLE)
        if is_service:
            nodes.append({ID: node, "mid": bare} | ({IS_SERVICE: True} if is_number(bare) else {}))
        else:
            nodes.append({ID: node} | ({} if bare == node else {TABLE: bare}))
    about = {name: getattr(composition, name) for name in ("owner", "start_time", "end_time")}
    links = [{"source": ids[source], "target": ids[target]} for source, target in composition.links]
    given = {name: value for name, value in about.items() if value is not None}
    return msgspec.json.encode({**given, "nodes": nodes, "links": links}) + b"\n"


@cache
def _decoder(keys: Keys) -> msgspec.json.Decoder[Any]:
    given, names = Id | msgspec.UnsetType | None, keys._asdict()
    about = [("owner", given, UNSET), ("start_time", Any, UNSET), ("end_time", Any, UNSET)]
    service = [] if keys.mid == ID else [("mid", given, UNSET)]
    is_service = (IS_SERVICE, bool | msgspec.UnsetType, UNSET)
    fields: list[Any] = [(ID, Id), (TABLE, given, UNSET), is_service, *service, *about]
    node: Any = msgspec.defstruct("Node", fields, rename=names, gc=False)
    graph = [
        ("nodes", list[node] | msgspec.UnsetType, UNSET),
        ("links", list[GraphLink] | msgspec.UnsetType, UNSET),
        ("edges", list[GraphLink] | msgspec.UnsetType, UNSET),
        ("directed", bool, True),
    ]
    body: Any = msgspec.defstruct("Body", [*graph, *about], rename=names)
    record = msgspec.defstruct("Record", [("composition", body | None, None)], bases=(body,))
    return msgspec.json.Decoder(record)


def is_number(mid: str) -> bool:
    """Return whether a text is a number, as ``table_mid_min`` has it."""
    return mid.isdecimal()


def _whole(value: Any) -> Any:
    """Return what was decoded with whole numbers instead of floats that are whole."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return value


def repeated(text: str, record: Any, keys: Keys) -> Repeated | None:
    """Return the first key, of those that are read, that an object of a record has twice.

    Counting is fast. A key that stands in the text no more often than in what was decoded stands in
    no object twice; one that is spelled with an escape is not found so.
    """
    body = record if record.composition is None else record.composition
    nodes, links = body.nodes or (), [*(body.links or ()), *(body.edges or ())]
    holders = [*nodes, body] if body is record else [*nodes, body, record]
    given: dict[str, tuple[str, Sequence[Any]]] = {
        getattr(keys, name): (name, holders) for name in keys._fields[1:]
    }
    given |= {TABLE: (TABLE, nodes), IS_SERVICE: (IS_SERVICE, nodes)}
    given |= {} if keys.mid == ID else {keys.mid: ("mid", nodes)}
    if (
        text.count('source"') > len(links)  # without the quote before it is found faster
        or text.count('target"') > len(links)
        or text.count('"id"') > len(nodes)
        or any([text.count(f'"{key}"') > 1 for key in GRAPH_KEYS])  # noqa: C419 - faster
        or any([_may_repeat(text, key, *each) for key, each in given.items()])  # noqa: C419 - faster
        or ("\\" in text and "\\u00" in text)
    ):
        return repeated_key(text, {*given, *GRAPH_KEYS, ID, "source", "target"})
    return None


def _may_repeat(text: str, key: str, name: str, holders: Sequence[Any]) -> bool:
    if not (n_found := text.count(f'"{key}"')):
        return False
    values = [getattr(each, name) for each in holders]
    return n_found > len(values) - values.count(UNSET)


class _RepeatedError(Exception):
    """Some object has a key twice."""


class _Object(list[tuple[str, Any]]):
    """Keys and values of an object."""


def repeated_key(text: bytes | str, keys: Collection[str] | None = None) -> Repeated | None:
    """Return the first key that an object in a JSON text has twice; None for a text that is broken.

    Parameters
    ----------
    keys
        Those that count; None for all.

    Raises
    ------
    RecursionError
        If the text is nested too deeply.
    """

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs) and _twice(pairs, keys) is not None:
            raise _RepeatedError

    with suppress(ValueError):  # no JSON to this decoder; the reader's own says what is wrong
        try:
            _loads(text, look)
        except _RepeatedError:  # before the end of the text, which may be broken further on
            return _placed(_loads(text, _Object), keys)
    return None


def _loads(text: bytes | str, hook: Any) -> Any:
    # numbers stay text, since int() refuses digits by the thousand
    return json.loads(text, object_pairs_hook=hook, parse_int=str, parse_float=str, strict=False)


def _twice(pairs: list[tuple[str, Any]], keys: Collection[str] | None) -> str | None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen and (keys is None or key in keys):
            return key
        seen.add(key)
    return None


def _placed(whole: Any, keys: Collection[str] | None) -> Repeated | None:
    stack = [("", whole)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, _Object):
            if (key := _twice(value, keys)) is not None:
                return Repeated(place, key)
            stack += [(f"{place}.{key[:KEY_SHOWN]}", inner) for key, inner in reversed(value)]
        elif isinstance(value, list):
            stack += [(f"{place}[{k}]", inner) for k, inner in enumerate(value)][::-1]
    return None
