"""The folder of kept data sets: who writes, what dead writers left, and who may read.

Everything is written under a name of its own and renamed. A writer holds the folder together with
other writers; one that finds itself alone removes what those left that were killed. Who may enter
the folder may use what is in it, whoever wrote it: a shared cache is trusted.
"""

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dagrec_cli.data.plain_files import ASIDE

READ_ONLY = 0o755  # of a folder like /tmp, where all may write but only the owner may remove


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Yield a new name in a folder, which is made if need be; what still has it then is removed.

    Raises
    ------
    OSError
        If the folder cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        aside = folder / ASIDE.format(secrets.token_hex(8))
        try:
            yield aside
        finally:
            _remove(aside)


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


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder together with its other writers, after those that died were cleaned up."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # others write, or the file system has no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in folder.glob(ASIDE.format("*")):
                _remove(left)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
