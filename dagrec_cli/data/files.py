"""Files of the user's: found by name or glob, opened, hashed, and what can go wrong with them."""

import glob
import gzip
import hashlib
import logging
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from dagrec_cli.config.where import expanded, user_path
from dagrec_cli.data.composition import Shard
from dagrec_cli.data.plain_files import kind_of_mode
from dagrec_cli.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
OTHER_FORMATS = {  # by their first bytes
    b"PK\x03\x04": "a zip",
    b"BZh": "a bzip2",
    b"\xfd7zXZ": "an xz",
    b"\x28\xb5\x2f\xfd": "a zstd",
    b"\xff\xfe": "a UTF-16",
    b"\xfe\xff": "a UTF-16",
}
WIDEST = 4  # bytes of a character
UNREADABLE = "unreadable"  # stands for a hash
NAMED_FILES = 3  # files that a message names
BUFFER = 2**16  # bytes unpacked at a time
SAFE = 2**20  # bytes that any file may unpack to
MOST_RATIO = 200  # and beyond, times its own size; the portal's log has 21, a bomb 1,030

_LOG = logging.getLogger(__name__)


class EmptyFileError(DataError):
    """A file that holds nothing at all, which is no fault among others."""


def find_files(path: str | Sequence[str], suffixes: tuple[str, ...], holds: str) -> list[Shard]:
    """Return the files of a path, a folder, a glob, or several of them: sorted, each once.

    They are named by what their paths do not share: ``2020/a.jsonl``, ``2021/a.jsonl``. A file that
    is given twice is said in a warning.

    Parameters
    ----------
    path
        See :func:`~dagrec_cli.config.where.expanded`; what has the name of a glob is that file.
    suffixes
        Of the files that count in a folder, and in the folders in it, in small letters; ``.gz``
        may follow.
    holds
        What a file must hold, for messages.

    Raises
    ------
    DataError
        If a file is not there, a glob or a folder has no such file, or there is no path at all.
    """
    found: dict[str, Path] = {}
    repeated: list[str] = []
    for each in filter(None, [path] if isinstance(path, str) else path):
        files = _files_of(expanded(each), suffixes)
        if not files:
            kinds = ", ".join(suffixes)
            raise DataError(
                f"{each}: no file there (in a folder those count that end in {kinds}, gzipped or "
                f"not); name a file of {holds} with data.path=PATH."
            )
        absolute = {os.path.abspath(file): file for file in files}
        repeated += [str(file) for key, file in absolute.items() if key in found]
        found = absolute | found
    if not found:
        raise DataError(f"data.path is empty; name a file of {holds} with data.path=PATH.")
    if repeated:
        names = ", ".join(sorted(repeated)[:NAMED_FILES]) + (
            ", …" if len(repeated) > NAMED_FILES else ""
        )
        _warn_once(f"data.path has {len(repeated):,} of its files twice, read once: {names}")
    parent = os.path.commonpath([os.path.dirname(file) for file in found])
    return [Shard(file, os.path.relpath(file, parent)) for file in sorted(found.values())]


def _files_of(path: str, suffixes: tuple[str, ...]) -> set[Path]:
    """Return the files of a path, a folder or a glob."""
    if os.path.lexists(path) or not glob.has_magic(path):
        paths = [path]
        with file_errors(Path(path)):
            os.lstat(path)
    else:
        paths = glob.glob(path, recursive=True)
    files = {Path(p) for p in paths if not os.path.isdir(p)}
    for folder in filter(os.path.isdir, paths):
        with file_errors(Path(folder)):
            for inside, folders, names in os.walk(folder, onerror=_raise):
                folders[:] = [name for name in folders if not name.startswith(".")]  # .git, …
                files.update(
                    Path(inside, name)
                    for name in names
                    if name.lower().removesuffix(".gz").endswith(suffixes) and name[0] != "."
                )
    return files


def _raise(error: OSError) -> None:
    raise error


@cache
def _warn_once(message: str) -> None:
    _LOG.warning("%s", message)


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file to be read, unpacked if it is gzipped.

    Raises
    ------
    DataError
        If it cannot be read, here or inside the ``with`` block, is a gzip bomb, or packed or
        encoded in another way.
    """
    with file_errors(path), open_file(path) as file:
        is_gzip = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        content: BufferedReader = file
        if is_gzip:
            content = BufferedReader(_Unpacked(file, path), BUFFER)
        start = content.peek()
        kinds = [kind for magic, kind in OTHER_FORMATS.items() if start.startswith(magic)]
        if kinds or b"\0" in start[:WIDEST]:  # which no text in UTF-8 has
            kind = kinds[0] if kinds else "a UTF-16 or binary"
            raise DataError(f"{path}: {kind} file; give plain or gzipped text in UTF-8.")
        yield content


def open_file(path: Path) -> BufferedReader:
    """Open a file of the user's, never waiting for a pipe nor reading from a device without end.

    Raises
    ------
    DataError
        If it is a pipe, a device, a socket.
    OSError
        If it cannot be opened.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    kind = kind_of_mode(os.fstat(file.fileno()).st_mode)
    if kind:
        file.close()
        raise DataError(f"{path}: {kind}, which cannot be read twice; write it into a file first.")
    return file


def most_unpacked(size: int) -> int:
    """Return to how many bytes a gzip file of so many may unpack."""
    return max(SAFE, MOST_RATIO * size)


class _Unpacked(RawIOBase):
    """The content of a gzip file, as long as it is no bomb."""

    def __init__(self, file: BufferedReader, path: Path) -> None:
        self.path = path
        self.stream = gzip.GzipFile(fileobj=file)
        self.size = 0
        self.most = most_unpacked(os.fstat(file.fileno()).st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self.stream.readinto(buffer)
        self.size += size
        if self.size > self.most:
            raise DataError(
                f"{self.path}: it unpacks to more than {MOST_RATIO} times its size, as a gzip bomb "
                "does; if you trust it, unpack it and give that file."
            )
        return size


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, read in pieces."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_if_readable(path: Path) -> str:
    """Return a file's hash, or :data:`UNREADABLE`: what that means is said when it is read."""
    try:
        with file_errors(path):
            return sha256_of(path)
    except DataError:
        return UNREADABLE


def sha256_of_all(files: Sequence[Shard]) -> str:
    """Return what ``sha256sum NAME… | sha256sum`` prints if all can be read."""
    total = hashlib.sha256()
    for path, name in files:
        total.update(f"{sha256_if_readable(path)}  ".encode() + os.fsencode(name) + b"\n")
    return total.hexdigest()


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file inside the ``with`` block into a line for the user.

    Raises
    ------
    DataError
        If the file is missing, a folder, not readable, or broken gzip.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {_instead(path)} with data.path=FILE.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: a folder; name one file with data.path=FILE.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: broken gzip ({error}); fetch or compress it again.") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; make it a readable file.") from error


def _instead(path: Path) -> str:
    names = [entry.name for entry in path.parent.glob("*")]
    near = ", ".join(map(repr, get_close_matches(path.name, names)))
    return f"near names in that folder: {near}; give one" if near else "give an existing one"


def cache_dir() -> Path:
    """Return ``$DAGREC_CACHE_DIR``, or the folder that pooch uses, without importing it."""
    if folder := os.environ.get("DAGREC_CACHE_DIR"):
        return user_path(folder)
    if sys.platform == "win32":
        return Path(os.environ["LOCALAPPDATA"], "dagrec", "dagrec", "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dagrec"
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "dagrec"
