"""What the readers of workflows in JSON share: a file has one, or an array, or JSON Lines.

A workflow's place is its file, ``flow.json``; in an array, or from the second line of JSON Lines
on, ``flows.json[2]``.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import Annotated, ClassVar

import msgspec

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    Shard,
)
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.draft import TooLargeError
from dagrec_cli.data.readers.json_graph import repeated_key
from dagrec_cli.data.readers.json_records import decoding_fault, records

Name = Annotated[str, msgspec.Meta(pattern=r"\S")]

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JsonWorkflows(Reader):
    """Files of workflows in JSON."""

    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl", ".ndjson")

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of every workflow of a file, or what is wrong with it."""
        is_array = file.peek().lstrip().startswith(b"[")
        found = records(file, shard.path, f"{self.holds}, in JSON")
        for number, (text, _) in enumerate(found):
            is_alone = number == 0 and not is_array
            yield self.checked(text, shard.name if is_alone else f"{shard.name}[{number}]")

    def checked(self, text: bytes, place: str) -> Composition | Invalid:
        """Return the composition of a workflow that may be damaged."""
        try:
            if repeated := repeated_key(str(text, "utf-8")):
                return Invalid((Fault(place + repeated.place, repeated.problem),))
            return self.composition(text, place)
        except (*BROKEN, TooLargeError) as error:
            return Invalid((decoding_fault(error, place),))

    @abstractmethod
    def composition(self, text: bytes, place: str) -> Composition | Invalid:
        """Return a workflow's composition, or what is wrong with it.

        Raises
        ------
        msgspec.DecodeError, UnicodeDecodeError, RecursionError
            If the JSON is broken, or a field is not what it must be.
        TooLargeError
            If it describes too much.
        """


def with_tables(composition: Composition, table: re.Pattern[str]) -> Composition:
    """Return a composition whose nodes are named by types as one of tables and services.

    Parameters
    ----------
    composition
        Its names are types.
    table
        Finds the types that are tables where nothing feeds them; all else are services.
    """
    fed = {target for _, target in composition.links}
    types = composition.names
    is_service = tuple(k in fed or not table.search(kind) for k, kind in enumerate(types))
    names = tuple(
        (PREFIX_SERVICE if service else PREFIX_TABLE) + kind
        for kind, service in zip(types, is_service, strict=True)
    )
    return composition._replace(names=names, is_service=is_service)


def repeated_ids(ids: Iterable[str], place: str) -> list[Fault]:
    """Return a fault for each id that an element of ``place`` before it has too."""
    first: dict[str, int] = {}
    return [
        Fault(f"{place}[{k}]", f"{name!r} also names [{first[name]}]; a name names one of them")
        for k, name in enumerate(ids)
        if first.setdefault(name, k) < k
    ]
