"""YAML of a stranger, read as texts in mappings and lists.

The parser's events are put together here: the library's loaders end the whole process at a value
nested some thousand times, take the last of two equal keys, and follow aliases, by which a short
text describes a huge one.
"""

from collections.abc import Iterator
from typing import Any

import yaml

DEEPEST = 100  # lists and mappings inside one another
NULLS = ("", "~", "null")  # scalars without quotes that stand for nothing
LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def yaml_document(text: str) -> Any:
    """Return the first document of a text; its scalars are texts, or None where they are empty.

    Raises
    ------
    yaml.YAMLError
        If it is no YAML, has an alias, a key twice or one that is no text, or is nested too deeply.
    """
    open_values: list[Any] = [[]]  # the lists and mappings around what comes next
    keys: list[str | None] = [None]  # of each of these, the key that its next value belongs to
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            open_values.pop()
            keys.pop()
        elif isinstance(event, yaml.DocumentEndEvent):
            break
        elif isinstance(event, yaml.NodeEvent):
            value = _value(event)
            _put(value, open_values[-1], keys, event)
            if isinstance(event, yaml.CollectionStartEvent):
                open_values.append(value)
                keys.append(None)
                if len(open_values) > DEEPEST:
                    raise _error(f"nested more than {DEEPEST} times", event)
    return open_values[0][0] if open_values[0] else None


def everything_in(value: Any) -> Iterator[Any]:
    """Yield a value of a document, then what is in it, the keys of mappings included."""
    values = [value]
    for each in values:  # which grows meanwhile
        yield each
        if isinstance(each, dict):
            values += [*each, *each.values()]
        elif isinstance(each, list):
            values += each


def text_of(value: Any) -> str:
    """Return a value that is a text, empty for any other."""
    return value if isinstance(value, str) else ""


def _value(event: yaml.NodeEvent) -> Any:
    """Return a scalar's text, or an empty list or mapping to be filled."""
    if isinstance(event, yaml.AliasEvent):
        raise _error("an alias; write out what it stands for", event)
    if isinstance(event, yaml.ScalarEvent):
        return None if event.implicit[0] and event.value in NULLS else event.value
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _put(value: Any, holder: Any, keys: list[str | None], event: yaml.Event) -> None:
    """Put a value, or the key of the next one, into the list or mapping that is open."""
    if isinstance(holder, list):
        holder.append(value)
    elif keys[-1] is not None:
        holder[keys[-1]], keys[-1] = value, None
    elif not isinstance(value, str):
        raise _error("a key that is no text", event)
    elif value in holder:
        raise _error(f"duplicate key {value[:100]!r}; give it once", event)
    else:
        keys[-1] = value


def _error(problem: str, event: yaml.Event) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
