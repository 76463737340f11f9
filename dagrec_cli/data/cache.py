"""Prepared data sets kept on disk, so that a sweep prepares once.

An entry is a folder of ``.npy`` arrays, ``names.json``, and ``manifest.json`` with every file's
hash. Its name is a hash of the data, the settings, and this package's data code, so an entry is
never out of date. It is written aside and renamed: readers see all of it or nothing.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
import numpy as np

from dagrec_cli.config.build import parameters_of
from dagrec_cli.config.deciding import Effect, effect
from dagrec_cli.data.collection import Watch, collect
from dagrec_cli.data.composition import Fault, Invalid, Source
from dagrec_cli.data.contexts import ContextTrie
from dagrec_cli.data.dataset import Dataset, Steps, assemble, prepare
from dagrec_cli.data.files import cache_dir, sha256_of
from dagrec_cli.data.pairs import Pairs
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DataError

MANIFEST, NAMES, FILE = "manifest.json", "names.json", "{}.npy"
ARRAYS = (  # in the order in which their owners take them
    *("contexts.parent", "contexts.node", "contexts.depth"),
    *("pairs.context", "pairs.target", "pairs.composition"),
    *("other_steps.source", "other_steps.target", "other_steps.composition"),
    *("path", "path_composition", "time"),
)

# Fewer compositions and pairs are prepared in 0.2 s at most, and an entry takes files and 0.01 s:
# smaller data sets are not kept, which costs them 0.0001 s.
WORTH_KEEPING = 20_000

_LOG = logging.getLogger(__name__)


@runtime_checkable
class CachedSource(Source, Protocol):
    """A source that says whether its data set may be kept; every YAML in ``configs/data`` does."""

    cache: bool


def prepared(source: CachedSource, watch: Watch | None = None) -> Dataset:
    """Return a source's data set from the cache, or prepare it and keep it if it is large.

    Parameters
    ----------
    watch
        Called with the number of compositions read so far, for a progress display.

    Raises
    ------
    DataError
        As :func:`~dagrec_cli.data.dataset.prepare` does.
    """
    if not source.cache:
        return prepare(source, watch)
    sha256 = source.sha256()
    entry = entry_of(source, sha256)
    kept = load(entry)
    if kept is not None:
        return kept
    dataset = assemble(collect(source.read(), source, watch), sha256)
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
    key = json.dumps([_code(), kind.__name__, settings, sha256], sort_keys=True)
    return cache_dir() / "prepared" / hashlib.sha256(key.encode()).hexdigest()[:32]


def load(entry: Path) -> Dataset | None:
    """Return a kept data set, its arrays mapped into memory; None if there is none.

    A damaged entry is removed, with a warning.
    """
    if not entry.is_dir():
        return None
    try:
        hashes = msgspec.json.decode((entry / MANIFEST).read_bytes(), type=dict[str, str])
        for name in (NAMES, *map(FILE.format, ARRAYS)):
            if sha256_of(entry / name) != hashes.get(name):
                raise ValueError(f"{name} is not what was written")
        return _read(entry)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        _LOG.warning("the data set kept in %s is damaged (%s); preparing it anew", entry, error)
        shutil.rmtree(entry, ignore_errors=True)
        return None


def keep(dataset: Dataset, entry: Path, source: Source) -> None:
    """Write a data set, unless another process was quicker.

    Raises
    ------
    DataError
        If the folder cannot be written, or what the source reads has changed since.
    """
    if source.sha256() != dataset.sha256:
        raise DataError("the data changed while they were read, so they are not kept.")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".", dir=entry.parent))
        try:
            _write(dataset, aside)
            aside.rename(entry)
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # there only if it could not be renamed
    except OSError as error:
        if not entry.is_dir():
            raise cannot_keep(entry.parent, error) from error


def cannot_keep(folder: Path, error: OSError) -> DataError:
    """Return what to raise if the cache's folder cannot be written."""
    return DataError(
        f"cannot keep the prepared data set in {folder} ({error.strerror or error}); "
        "set DAGREC_CACHE_DIR to a folder that can be written, or data.cache=false."
    )


class _Names(NamedTuple):
    """What of a data set is no array."""

    nodes: tuple[str, ...]
    is_service: tuple[bool, ...]
    services: tuple[str, ...]
    sha256: str
    skipped: list[tuple[Fault, ...]]


def _write(dataset: Dataset, folder: Path) -> None:
    for name in ARRAYS:
        np.save(folder / FILE.format(name), attrgetter(name)(dataset))
    words = dataset.vocabulary
    skipped = [invalid.faults for invalid in dataset.skipped]
    names = _Names(words.nodes, words.is_service, words.services, dataset.sha256, skipped)
    (folder / NAMES).write_bytes(msgspec.json.encode(names))
    hashes = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(hashes))


def _read(entry: Path) -> Dataset:
    names = msgspec.json.decode((entry / NAMES).read_bytes(), type=_Names)
    # Copy on write: torch wants arrays that it could write to, and the files stay as they are.
    mapped = [np.load(entry / FILE.format(name), mmap_mode="c") for name in ARRAYS]
    arrays: list[Any] = [array.view(np.ndarray) for array in mapped]
    return Dataset(
        Vocabulary(names.nodes, names.is_service, names.services),
        ContextTrie(*arrays[:3]),
        Pairs(*arrays[3:6]),
        Steps(*arrays[6:9]),
        **dict(zip(ARRAYS[9:], arrays[9:], strict=True)),
        sha256=names.sha256,
        skipped=[Invalid(faults) for faults in names.skipped],
    )


@cache
def _code() -> str:
    """Return a hash of everything that turns files into data sets."""
    total = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()
