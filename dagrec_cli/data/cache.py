"""Prepared data sets kept on disk, so that a sweep prepares once.

An entry is a folder of ``.npy`` arrays, ``names.json``, and ``manifest.json`` with every file's
hash. Its name is a hash of the data, the settings, and this package's data code, so an entry is
never out of date. What was prepared apart, of one file, is an entry too until it is merged. It is
written aside and renamed: readers see all of it or nothing. What is read is held in memory and has
the hash that was written: another process may do with the files what it likes, where a mapped file
that it cuts would end this one with a bus error.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.build import parameters_of
from dagrec_cli.config.deciding import Effect, effect
from dagrec_cli.config.where import code_sha256
from dagrec_cli.data.collection import Watch, collect
from dagrec_cli.data.composition import Context, Invalid, Source
from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.dataset import Dataset, Links, assemble, build_dataset
from dagrec_cli.data.files import cache_dir, sha256_of
from dagrec_cli.data.plain_files import kind_of, open_plain, read_plain, share, writing
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DataError, RunError

MANIFEST, NAMES, FILE = "manifest.json", "names.json", "{}.npy"
ARRAYS = (  # in the order in which their owners take them
    *("contexts.node", "contexts.n_parents", "contexts.parents", "contexts.depth"),
    *("links.source", "links.target", "links.composition"),
    *("owner", "start_time", "end_time"),
)

# Fewer compositions and pairs are prepared in 0.2 s at most, and an entry takes files and 0.01 s:
# smaller data sets are not kept, which costs them 0.0001 s.
WORTH_KEEPING = 20_000
MOST_HEAD = 1024  # bytes before a file's array; numpy writes 128

_LOG = logging.getLogger(__name__)

Words = TypeVar("Words")


class _Names(NamedTuple):
    """What of a data set is no array."""

    vocabulary: Vocabulary
    context: Context
    owners: tuple[str, ...]
    sha256: str
    skipped: list[Invalid]
    dropped: dict[str, int]


@runtime_checkable
class CachedSource(Source, Protocol):
    """A source that says whether its data set may be kept; every YAML in ``configs/data`` does."""

    cache: bool


def cached_dataset(source: CachedSource, watch: Watch | None = None) -> Dataset:
    """Return a source's data set from the cache, or prepare it and keep it if it is large.

    Parameters
    ----------
    watch
        Called with the number of compositions read so far, for a progress display.

    Raises
    ------
    DataError
        As :func:`~dagrec_cli.data.dataset.build_dataset` does.
    """
    if not source.cache:
        return build_dataset(source, watch)
    sha256 = source.sha256()
    entry = entry_of(source, sha256)
    kept = load_dataset(entry)
    if kept is not None:
        return kept
    dataset = assemble(collect(source.read(), source, watch), source, sha256)
    if dataset.n_compositions + len(dataset.pairs.target) >= WORTH_KEEPING:
        try:
            keep(dataset, entry, source)
        except DataError as error:
            _LOG.warning("%s", error)
    return dataset


def entry_of(source: Source, sha256: str) -> Path:
    """Return the folder of a source's data set, there or not.

    Parameters
    ----------
    sha256
        Hash of the data that the source reads.
    """
    kind = type(source)
    names = [k for k in parameters_of(kind) if effect(f"data.{k}") is Effect.FIGURES]
    settings = {k: getattr(source, k) for k in names}
    code = code_sha256({"data": {"_target_": kind.__module__}})
    key = json.dumps([_code() + code, kind.__name__, settings, sha256], sort_keys=True)
    return cache_dir() / "prepared" / hashlib.sha256(key.encode()).hexdigest()[:32]


def load_dataset(entry: Path) -> Dataset | None:
    """Return a kept data set, see :func:`load_entry`."""
    if (kept := load_entry(entry, _Names, ARRAYS)) is None:
        return None
    names, arrays = kept
    owner, start_time, end_time = arrays[7:]
    return Dataset(
        contexts=ContextDag(*arrays[:4]),
        links=Links(*arrays[4:7]),
        owner=owner,
        start_time=start_time,
        end_time=end_time,
        **names._asdict(),
    )


def load_entry(
    entry: Path, kind: type[Words], arrays: Sequence[str]
) -> tuple[Words, list[Any]] | None:
    """Return words and arrays that are kept; None if there is no entry that can be used.

    A damaged entry is removed, with a warning; one that cannot be read is left alone, with another.

    Parameters
    ----------
    kind
        Of the words.
    arrays
        Names of the arrays.
    """
    if kind_of(entry) != "a folder":
        return None
    try:
        hashes = msgspec.json.decode(read_plain(entry / MANIFEST), type=dict[str, str])
        words = msgspec.json.decode(_bytes_written(entry / NAMES, hashes).data, type=kind)
        return words, [_array(_bytes_written(entry / FILE.format(name), hashes)) for name in arrays]
    except (FileNotFoundError, RunError, ValueError, msgspec.MsgspecError) as error:
        _LOG.warning("the data set kept in %s is damaged (%s); preparing it again", entry, error)
        discard(entry)
    except OSError as error:
        reason = error.strerror or error
        _LOG.warning("cannot read the data set kept in %s (%s); preparing it again", entry, reason)
    return None


def discard(entry: Path) -> None:
    """Remove an entry, at once for whoever looks for it; or not, if that is not allowed."""
    with suppress(OSError), writing(entry.parent) as aside:
        entry.rename(aside)


def keep(dataset: Dataset, entry: Path, source: Source) -> None:
    """Write a data set, see :func:`keep_entry`.

    Raises
    ------
    DataError
        If the folder cannot be written, or what the source reads has changed since.
    """
    if source.sha256() != dataset.sha256:
        raise DataError("the data changed while they were read, so they are not kept.")
    names = _Names(*attrgetter(*_Names._fields)(dataset))
    keep_entry(entry, names, {name: attrgetter(name)(dataset) for name in ARRAYS})


def keep_entry(entry: Path, words: object, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write words and arrays, unless another process was quicker.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    try:
        with writing(entry.parent) as aside:
            aside.mkdir()
            for name, array in arrays.items():
                np.save(aside / FILE.format(name), array)
            (aside / NAMES).write_bytes(msgspec.json.encode(words))
            hashes = {file.name: sha256_of(file) for file in sorted(aside.iterdir())}
            (aside / MANIFEST).write_bytes(msgspec.json.encode(hashes))
            share(aside)
            aside.rename(entry)
    except OSError as error:
        if not entry.is_dir():
            raise DataError(
                f"cannot keep the prepared data set in {entry.parent} "
                f"({error.strerror or error}); set DAGREC_CACHE_DIR to a folder that can be "
                "written, or data.cache=false."
            ) from error


def _bytes_written(file: Path, hashes: Mapping[str, str]) -> NDArray[np.uint8]:
    """Return the bytes of a file that has the hash that was written."""
    with open_plain(file) as opened:
        found = np.empty(os.fstat(opened.fileno()).st_size, np.uint8)
        opened.readinto(found.data)  # type: ignore[attr-defined]
    if hashlib.sha256(found.data).hexdigest() != hashes.get(file.name):
        raise ValueError(f"{file.name} is not what was written")
    return found


def _array(content: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the array of a ``.npy`` file's content, which it shares: no second copy is made."""
    head = BytesIO(content[:MOST_HEAD].tobytes())
    np.lib.format.read_magic(head)
    shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    return content[head.tell() :].view(dtype).reshape(shape)


@cache
def _code() -> str:
    """Return a hash of everything that turns files into data sets."""
    total = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()
