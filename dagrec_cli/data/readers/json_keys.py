"""JSON objects that have a key twice: a decoder would keep the last value without a word."""

import json
from collections.abc import Collection
from contextlib import suppress
from typing import Any, NamedTuple

KEY_SHOWN = 100  # characters of a key that a message repeats


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
