"""Kinds and ranges of settings: annotations that hold them, and the one check against them.

A constructor says ``hidden: Count``, and ``config/build.py`` checks what a config has for it before
the constructor is called. Python code that calls a constructor itself is trusted: its numbers are
not checked.
"""

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from sys import float_info
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta

from dagrec_cli.errors import ConfigError, did_you_mean

Count = Annotated[int, Meta(ge=1)]
PathCount = Annotated[int, Meta(ge=1, le=1_000_000)]  # of a composition: each is kept as a list
Natural = Annotated[int, Meta(ge=0)]
TwoOrMore = Annotated[int, Meta(ge=2)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]

KIND_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
}
CONTAINERS = (list, Sequence, dict, Mapping)
COMPARISONS = {"ge": operator.ge, "gt": operator.gt, "lt": operator.lt, "le": operator.le}
RANGE_WORDS = {  # by the bounds that there are: in a message, and in a line of help
    (): ("", ""),
    ("ge",): (" of {ge} or more", "{ge} and up"),
    ("gt",): (" above {gt}", "above {gt}"),
    ("lt",): (" below {lt}", "below {lt}"),
    ("le",): (" of {le} or less", "{le} at most"),
    ("ge", "lt"): (" from {ge} up to, not including, {lt}", "{ge} and up, below {lt}"),
    ("ge", "le"): (" from {ge} to {le}", "{ge} to {le}"),
    ("gt", "lt"): (" above {gt} and below {lt}", "above {gt}, below {lt}"),
    ("gt", "le"): (" above {gt} and up to {le}", "above {gt}, {le} at most"),
}


class OneOf:
    """Annotates a text that is one of some names, such as the keys of a dictionary of classes."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def __contains__(self, value: object) -> bool:
        return value in self.names

    @property
    def words(self) -> str:
        """What may be used, for messages."""
        return _alternatives(self.names)

    def near(self, value: str) -> str:
        """Return a question with what is nearest to a wrong value; empty if nothing is near."""
        return did_you_mean(value, self.names)


def check(name: str, value: object, kind: Any) -> None:
    """Raise ConfigError unless a setting's value is of a kind and in its range.

    Parameters
    ----------
    name
        Dotted, for the message: ``model.hidden``.
    kind
        An annotation: a class of :data:`KIND_WORDS`, ``Literal``, a list or mapping, ``|`` of some,
        with a range (``Annotated[int, Meta(ge=1)]``) or :class:`OneOf`. No number may be infinite
        or not a number. Any other annotation, such as ``Any``, allows everything.
    """
    if not _allows(kind, value):
        raise ConfigError(f"{name} is {value!r}; {_near(kind, value)}use {_words(kind)}.")


def unsaid(kind: Any, words: str) -> str:
    """Return in few words what a setting may be; choices, unless a comment on it names all.

    >>> unsaid(Share, "share of coordinates")
    '0 and up, below 1'
    >>> unsaid(Literal["auto", "padded"], "auto: the faster"), unsaid(Literal[1, 2], "1; 2: all")
    ('auto, padded', '')
    """
    inside = get_args(kind)
    match get_origin(kind):
        case None if kind is bool:
            return "" if re.search(r"\b(true|false)\b", words) else "true, false"
        case origin if origin in (Union, UnionType):
            return " or ".join(filter(None, (unsaid(option, words) for option in inside)))
        case origin if origin is Annotated and isinstance(inside[1], OneOf):
            is_said = not _lacks(words, inside[1].names)
            return "" if is_said else inside[1].words.removeprefix("one of ")
        case origin if origin is Annotated:
            bounds = _bounds_of(inside[1])
            return RANGE_WORDS[tuple(bounds)][1].format(**bounds)
        case origin if origin is Literal and _lacks(words, inside):
            return ", ".join(map(_as_yaml, inside))
        case _:
            return ""


def _lacks(words: str, choices: Iterable[object]) -> bool:
    """Return whether a comment leaves out one of some choices."""
    said = set(re.findall(r"[\w@]+", words))
    return not said.issuperset(map(_as_yaml, choices))


def _as_yaml(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _allows(kind: Any, value: Any) -> bool:
    """Return whether a value is of a kind, and all that it contains of the kinds in that."""
    inside = get_args(kind)
    match get_origin(kind):
        case origin if origin in (Union, UnionType):
            return any(_allows(option, value) for option in inside)
        case origin if origin is Annotated:
            return _allows(inside[0], value) and _is_within(value, inside[1])
        case origin if origin is Literal:
            return any(value == option and type(value) is type(option) for option in inside)
        case origin if kind in KIND_WORDS or origin in CONTAINERS:
            return _is_a(value, origin or kind) and _allows_inside(inside, value)
        case _:
            return True


def _is_a(value: Any, cls: type) -> bool:
    if isinstance(value, bool):
        return cls is bool
    if cls is float:
        return isinstance(value, int | float) and -float_info.max <= value <= float_info.max
    return isinstance(value, cls)


def _allows_inside(inside: tuple[Any, ...], value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_allows(inside[0], k) and _allows(inside[1], v) for k, v in value.items())
    return not inside or all(_allows(inside[0], item) for item in value)


def _is_within(value: Any, limit: object) -> bool:
    if isinstance(limit, OneOf):
        return value in limit
    return all(COMPARISONS[name](value, bound) for name, bound in _bounds_of(limit).items())


def _bounds_of(limit: object) -> dict[str, Any]:
    """Return the bounds of a ``Meta``; none of what else an annotation may have."""
    bounds = {name: getattr(limit, name, None) for name in COMPARISONS}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _near(kind: Any, value: object) -> str:
    limits = [each for each in get_args(kind)[1:] if isinstance(each, OneOf)]
    return limits[0].near(value) if limits and isinstance(value, str) else ""


def _words(kind: Any) -> str:
    inside = get_args(kind)
    match get_origin(kind):
        case None:
            return KIND_WORDS[kind]
        case origin if origin in (Union, UnionType):
            return ", or ".join(map(_words, inside))
        case origin if origin is Literal:
            return _alternatives(inside)
        case origin if origin is Annotated:
            if isinstance(inside[1], OneOf):
                return inside[1].words
            bounds = _bounds_of(inside[1])
            return f"{_words(inside[0])}{RANGE_WORDS[tuple(bounds)][0].format(**bounds)}"
        case _ if len(inside) > 1:
            return f"a mapping from {' to '.join(map(_words, inside))}"
        case _:
            item = _words(inside[0]).replace("a whole number", "whole numbers")
            return f"a list of {item}"


def _alternatives(choices: Iterable[object]) -> str:
    """Return choices as they are written in YAML."""
    names = list(dict.fromkeys(map(_as_yaml, choices)))
    return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
