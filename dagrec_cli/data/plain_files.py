"""Files of a folder that may come from a stranger: opened only where they are plain files.

A link would lead a write to a file of the user's, a pipe would be waited for, a device would act.
So nothing in such a folder is opened but what lies there itself; how the folder is reached is the
user's own matter. New files get names that nobody can guess, and then their own in one step.

The folder of kept data sets has several writers, who hold it together; one that finds itself alone
removes what those left that were killed. Who may enter it may use what is in it, whoever wrote it:
a shared cache is trusted.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import IO, Any

from dagrec_cli.errors import RunError

ASIDE = ".dagrec-{}.tmp"  # a name of its own for every file that is being written
AS_IT_IS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
OPEN_FLAGS = {
    "rb": os.O_RDONLY,
    "ab": os.O_WRONLY | os.O_APPEND | os.O_CREAT,
    "r+b": os.O_RDWR | os.O_CREAT,
}
KINDS = (
    (stat.S_ISLNK, "a symlink"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
READ_ONLY = 0o755  # of a folder like /tmp, where all may write but only the owner may remove


def kind_of(path: Path) -> str:
    """Return what lies at a path if it is no plain file, in words; empty if it is one, or nothing.

    Links are not followed.
    """
    try:
        return kind_of_mode(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def kind_of_mode(mode: int) -> str:
    """Return what has a mode of ``stat``, in words; empty if it is a plain file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_kind, name in KINDS if is_kind(mode)), "a device")


def open_plain(path: Path, mode: str = "rb") -> IO[bytes]:
    """Open a file in binary mode if it is a plain one.

    Parameters
    ----------
    mode
        ``rb`` to read, ``ab`` to append; ``r+b`` to lock, which makes the file if need be and
        leaves its content.

    Raises
    ------
    RunError
        If it is a symlink, a pipe, a device, a folder; to append, also if it has a second name.
    OSError
        If it cannot be opened.
    """
    if kind := kind_of(path):
        raise RunError(_refusal(path, kind))
    descriptor = os.open(path, OPEN_FLAGS[mode] | AS_IT_IS, 0o666)
    status = os.fstat(descriptor)
    is_shared = mode == "ab" and status.st_nlink > 1
    if is_shared or not stat.S_ISREG(status.st_mode):  # or it was exchanged meanwhile
        os.close(descriptor)
        raise RunError(_refusal(path, "a file with a second name" if is_shared else "no file"))
    return os.fdopen(descriptor, mode)


def read_plain(path: Path, most: int | None = None) -> bytes:
    """Return the content of a plain file, see :func:`open_plain`.

    Parameters
    ----------
    most
        Bytes that it may have.

    Raises
    ------
    RunError
        If it is none, or has more.
    """
    with open_plain(path) as file:
        if most is not None and (size := os.fstat(file.fileno()).st_size) > most:
            raise RunError(f"{path}: {size:,} bytes; such a file has {most:,} at most.")
        return file.read()


def check_own_folder(path: Path) -> None:
    """Raise RunError if a folder inside a run folder is anything else than a folder, or nothing."""
    kind = kind_of(path) or ("a file" if path.exists() else "a folder")
    if kind != "a folder":
        raise RunError(_refusal(path, kind, "a folder"))


def check_own_folders(path: Path, inside: Path) -> None:
    """Check a folder, and those above it that are inside another one, as above."""
    above = [each for each in path.parents if inside in each.parents]
    for each in (path, *above):
        check_own_folder(each)


def write_whole(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Write a file as a whole or not at all: ``fill`` gets it open, in binary mode.

    It is written under a name of its own, flushed, and renamed; so of two that are written at once
    under one name the last one stays, whole.
    """
    aside, file = _aside(path)
    try:
        with file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _aside(path: Path) -> tuple[Path, IO[bytes]]:
    """Return a new file beside a path; as long as it is open, nobody takes it for a leftover."""
    while True:
        aside = path.with_name(ASIDE.format(secrets.token_hex(8)))
        file = aside.open("xb")
        with suppress(OSError):  # a file system without locks
            flock(file, LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else it was taken for one before it was held
            return aside, file
        file.close()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing in a folder; what is being written is held."""
    for path in folder.glob(ASIDE.format("*")):
        with suppress(OSError), path.open("rb") as file:
            flock(file, LOCK_EX | LOCK_NB)
            path.unlink()


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Yield a new name in a folder, which is made if need be; what still has it then is removed.

    The folder is held together with its other writers, after those that died were cleaned up.

    Raises
    ------
    OSError
        If the folder cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    aside = folder / ASIDE.format(secrets.token_hex(8))
    try:
        with suppress(OSError):  # others write, or the file system has no locks
            flock(descriptor, LOCK_EX | LOCK_NB)
            for left in folder.glob(ASIDE.format("*")):
                remove(left)
        with suppress(OSError):
            flock(descriptor, LOCK_SH)
        yield aside
    finally:
        with suppress(OSError):
            remove(aside)
        os.close(descriptor)


def share(path: Path) -> None:
    """Let a new file, or a new folder of files, be read by whoever may enter the folder it is in.

    The user's umask, and ``tempfile``, would keep it from the others of a shared cache.
    """
    status = path.parent.stat().st_mode
    mode = stat.S_IMODE(status) & (READ_ONLY if status & stat.S_ISVTX else 0o777)
    for file in path.iterdir() if path.is_dir() else [path]:
        file.chmod(mode & 0o666)
    if path.is_dir():
        path.chmod(mode)


def _refusal(path: Path, kind: str, wanted: str = "a plain file") -> str:
    return f"{path}: {kind}, where a run folder has {wanted}; it is not used, remove it."
