"""Files of a data set that were prepared apart, kept in the shared cache until they are merged.

A part is the hash of what follows, 32 bytes, and arrays as numpy writes them.
"""

import hashlib
import logging
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from dagrec_cli.data.cache import cannot_keep, entry_of
from dagrec_cli.data.cache_folder import share, writing
from dagrec_cli.data.collection import Collection
from dagrec_cli.data.composition import Invalid, Shard, ShardedSource
from dagrec_cli.data.files import sha256_if_readable
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.errors import RunError


class _Words(NamedTuple):
    """What of a collection is no array."""

    names: list[str]
    is_service: list[bool]
    owners: list[str]
    skipped: list[Invalid]
    dropped: dict[str, int]


WORDS = "words"
DIGEST = hashlib.sha256().digest_size
PART_ARRAYS = tuple(name for name in Collection._fields if name not in _Words._fields)

_LOG = logging.getLogger(__name__)


def part_of(source: ShardedSource, shard: Shard) -> Path:
    """Return where a file's part is kept, there or not; its name tells content and settings."""
    content = f"{sha256_if_readable(shard.path)}  {shard.name}"
    return entry_of(source, content).with_suffix(".npz")


def keep_part(found: Collection, path: Path) -> None:
    """Write a part as a whole or not at all.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    words = msgspec.json.encode(_Words(*(getattr(found, name) for name in _Words._fields)))
    arrays: dict[str, Any] = {name: getattr(found, name) for name in PART_ARRAYS}
    arrays[WORDS] = np.frombuffer(words, np.uint8)
    content = BytesIO()
    np.savez(content, **arrays)
    try:
        with writing(path.parent) as aside:
            aside.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())
            share(aside)
            aside.replace(path)
    except OSError as error:
        raise cannot_keep(path.parent, error) from error


def load_part(path: Path) -> Collection | None:
    """Return a part; None if there is none that can be used, with a warning if it is damaged."""
    try:
        content = read_plain(path)
        if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
            raise ValueError("it is not what was written")
    except FileNotFoundError:
        return None
    except (OSError, RunError, ValueError) as error:
        _LOG.warning("the part kept in %s cannot be used (%s); preparing it again", path, error)
        return None
    with np.load(BytesIO(content[DIGEST:])) as kept:
        words = msgspec.json.decode(kept[WORDS].tobytes(), type=_Words)
        arrays: dict[str, Any] = {name: kept[name] for name in PART_ARRAYS}
    return Collection(**words._asdict(), **arrays)
