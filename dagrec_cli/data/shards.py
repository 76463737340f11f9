"""A data set prepared ahead: its files apart, in processes or as Ray tasks, and merged in order.

Files may also be prepared by commands of their own, on other machines, before one merges them.
"""

import logging
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal, NamedTuple

from dagrec_cli.data.cache import (
    CachedSource,
    discard,
    entry_of,
    keep,
    keep_entry,
    load_dataset,
    load_entry,
)
from dagrec_cli.data.collection import Collection, Watch, collect, merge
from dagrec_cli.data.composition import Invalid, Shard, ShardedSource, Source
from dagrec_cli.data.dataset import Dataset, assemble
from dagrec_cli.data.files import sha256_if_readable
from dagrec_cli.data.processes import process_pool
from dagrec_cli.errors import ConfigError, DagrecError, DataError, install, plural


class _Words(NamedTuple):
    """What of a collection is no array."""

    names: list[str]
    is_service: list[bool]
    owners: list[str]
    skipped: list[Invalid]
    dropped: dict[str, int]


PART_ARRAYS = tuple(name for name in Collection._fields if name not in _Words._fields)


def prepare_ahead(
    source: CachedSource, *, engine: Literal["processes", "ray"], n_jobs: int, watch: Watch
) -> tuple[Dataset, Path]:
    """Return the data set from the cache, or prepare it and keep it, however small.

    It has the same bytes as a data set prepared in one go.

    Parameters
    ----------
    engine
        ``processes`` of this machine, or ``ray``: as many tasks at a time as its cluster has cores.
    n_jobs
        Processes, 1 or more.
    watch
        Called with the number of files done.

    Returns
    -------
    tuple
        The data set, and the folder that holds it.

    Raises
    ------
    ConfigError
        If nothing may be kept, or Ray is not installed.
    DataError
        If the data set cannot be prepared or kept.
    """
    _check_kept(source)
    sha256 = source.sha256()
    entry = entry_of(source, sha256)
    kept = load_dataset(entry)
    if kept is not None:
        return kept, entry
    dataset = assemble(merge(_watched(_collections(source, engine, n_jobs), watch)), source, sha256)
    keep(dataset, entry, source)
    if isinstance(source, ShardedSource):
        for shard in source.shards():
            discard(part_of(source, shard))
    return dataset, entry


def prepare_part(source: CachedSource, number: int) -> tuple[Collection, Path]:
    """Prepare one file of a data set and keep it for :func:`prepare_ahead`.

    Parameters
    ----------
    number
        Which of the files, sorted by path, from 0.

    Returns
    -------
    tuple
        What the file holds, and where that is kept.

    Raises
    ------
    ConfigError
        If there is no such file, or nothing may be kept.
    DataError
        If the file cannot be prepared or kept.
    """
    _check_kept(source)
    if not isinstance(source, ShardedSource):
        raise ConfigError("part is the number of a file, but this data has none; use part=null.")
    shards = source.shards()
    if number >= len(shards):
        raise ConfigError(
            f"part is {number} but the data has {plural(len(shards), 'file')}, numbered from 0; "
            "use a smaller number, or part=null."
        )
    path = part_of(source, shards[number])
    found = _collect_shard(source, shards[number])
    words = _Words(*(getattr(found, name) for name in _Words._fields))
    keep_entry(path, words, {name: getattr(found, name) for name in PART_ARRAYS})
    return found, path


def part_of(source: ShardedSource, shard: Shard) -> Path:
    """Return where a file's part is kept, there or not; its name tells content and settings."""
    return entry_of(source, f"{sha256_if_readable(shard.path)}  {shard.name}").with_suffix(".part")


def load_part(path: Path) -> Collection | None:
    """Return what a file holds, as it was kept; see :func:`load_entry`."""
    if (kept := load_entry(path, _Words, PART_ARRAYS)) is None:
        return None
    words, arrays = kept
    return Collection(**words._asdict(), **dict(zip(PART_ARRAYS, arrays, strict=True)))


def _check_kept(source: CachedSource) -> None:
    if not source.cache:
        raise ConfigError(
            "data.cache is false, but preparing ahead is for the cache; leave it true."
        )


def _watched(parts: Iterator[Collection], watch: Watch) -> Iterator[Collection]:
    for n_done, part in enumerate(parts, start=1):
        watch(n_done)
        yield part


def _collections(source: Source, engine: str, n_jobs: int) -> Iterator[Collection]:
    if not isinstance(source, ShardedSource):
        return iter([collect(source.read(), source)])
    shards = source.shards()
    if engine == "ray":
        return _by_ray(source, shards)
    if n_jobs == 1 or len(shards) == 1:
        return (_collect_shard(source, shard) for shard in shards)
    return _by_processes(source, shards, n_jobs)


def _collect_shard(source: ShardedSource, shard: Shard) -> Collection:
    return load_part(part_of(source, shard)) or collect(source.read_shard(shard), source)


def _by_processes(source: ShardedSource, shards: list[Shard], n_jobs: int) -> Iterator[Collection]:
    try:
        with process_pool(min(n_jobs, len(shards))) as pool:
            yield from pool.map(_collect_shard, [source] * len(shards), shards)
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {n_jobs} processes died, perhaps for want of memory; use a smaller n_jobs."
        ) from error


def _by_ray(source: ShardedSource, shards: list[Shard]) -> Iterator[Collection]:
    """Join the cluster of ``RAY_ADDRESS`` or of this machine, or else start one for the while."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"engine=ray needs Ray; {install('ray')}, or use engine=processes."
        ) from error
    try:
        ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise ConfigError(
            f"engine=ray: {error}; set RAY_ADDRESS to a cluster that runs (and RAY_AUTH_MODE=token "
            "if it wants one), or unset it."
        ) from error
    task = ray.remote(_collect_shard)
    try:
        for part in [task.remote(source, shard) for shard in shards]:
            yield ray.get(part)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, DagrecError) else error from None
    finally:
        ray.shutdown()
