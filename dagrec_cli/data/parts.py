"""Files of a data set that were prepared apart, kept in the shared cache until they are merged."""

import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import msgspec
import numpy as np

from dagrec_cli.data.cache import cannot_keep, entry_of
from dagrec_cli.data.collection import Collection
from dagrec_cli.data.composition import Fault, Invalid, Shard, ShardedSource
from dagrec_cli.data.files import file_errors, sha256_of


class _Words(NamedTuple):
    """What of a collection is no array."""

    names: list[str]
    is_service: list[bool]
    skipped: list[tuple[Fault, ...]]


WORDS = "words"
ARRAYS = tuple(name for name in Collection._fields if name not in _Words._fields)


def part_of(source: ShardedSource, shard: Shard) -> Path:
    """Return where a file's part is kept, there or not; its name tells content and settings."""
    with file_errors(shard.path):
        return entry_of(source, f"{sha256_of(shard.path)}  {shard.name}").with_suffix(".npz")


def keep_part(found: Collection, path: Path) -> None:
    """Write a part as a whole or not at all.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    skipped = [invalid.faults for invalid in found.skipped]
    words = msgspec.json.encode(_Words(found.names, found.is_service, skipped))
    arrays: dict[str, Any] = {name: getattr(found, name) for name in ARRAYS}
    arrays[WORDS] = np.frombuffer(words, np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            try:
                np.savez(file, **arrays)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise cannot_keep(path.parent, error) from error


def load_part(path: Path) -> Collection | None:
    """Return a part; None if there is none, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as kept:
            words = msgspec.json.decode(kept[WORDS].tobytes(), type=_Words)
            arrays: dict[str, Any] = {name: kept[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, BadZipFile, msgspec.MsgspecError):
        return None
    skipped = [Invalid(faults) for faults in words.skipped]
    return Collection(words.names, words.is_service, skipped=skipped, **arrays)
