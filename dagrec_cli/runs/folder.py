"""A run is a folder: every file is written under a temporary name, flushed, and renamed.

So a file is either whole or absent, whenever the program dies. No link in it is followed, whoever
made it: see :mod:`~dagrec_cli.data.plain_files`.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dagrec_cli.data.plain_files import (
    check_own_folder,
    open_plain,
    remove_leftovers,
    write_whole,
)
from dagrec_cli.errors import InUseError, RunError

RESULT = "result.json"
CONFIG = "config.yaml"
REQUEST = "request.json"
CHECKPOINTS = "checkpoints"
METRICS_FILE = "metrics.csv"
MODEL = "model.safetensors"
VOCABULARY = "vocabulary.json"
GRAPH = "graph.json"
PREDICTIONS = "predictions.csv"
CONTEXTS = "contexts.csv"
SWEEP_REQUEST = "sweep_request.json"
LOG = "run.log"
EVENTS = "tensorboard"
MLFLOW_RUN = "mlflow_run.txt"
LOCK = ".lock"


class RunFolder:
    """Writes the files of one run.

    Parameters
    ----------
    path
        The folder; made with its parents if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, fill: Callable[[IO[bytes]], Any]) -> Path:
        """Write a file as a whole: ``fill`` gets an open binary file."""
        write_whole(self.path / name, fill)
        return self.path / name

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file as UTF-8 with the line ends that it has."""
        return self.write(name, lambda file: file.write(text.encode()))

    def write_json(self, name: str, content: object, indent: int | None = 2) -> Path:
        """Write an object as JSON, without an indent in one line; NaN is not allowed in it."""
        text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
        return self.write_text(name, f"{text}\n")

    def below(self, name: str) -> "RunFolder":
        """Return a folder in this one, made if need be.

        Raises
        ------
        RunError
            If it is a link or no folder.
        """
        check_own_folder(self.path / name)
        return RunFolder(self.path / name)

    def remove(self, name: str) -> None:
        """Remove a file, a link, or a folder with all that is in it, if it is there."""
        path = self.path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, setting: str = "hydra.run.dir") -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it when the process ends.

        Parameters
        ----------
        setting
            What names another folder, for the error.

        Raises
        ------
        InUseError
            If another process holds it.
        RunError
            If something else than a lock is in its place.
        """
        import fcntl

        file = self.path / LOCK
        with open_plain(file, "r+b") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_held = os.path.samestat(
                    os.fstat(lock.fileno()), file.stat()
                )  # not removed since
            except (BlockingIOError, FileNotFoundError):
                is_held = False
            if not is_held:
                raise InUseError(
                    f"{self.path} is in use by another process; wait for it, or write elsewhere "
                    f"with {setting}=FOLDER."
                )
            remove_leftovers(self.path)
            try:
                yield
            finally:
                self.remove(LOCK)

    def remove_if_empty(self) -> None:
        """Remove the folder if nothing is in it, and those above it up to the working directory.

        A command that stops before its first result leaves nothing behind.
        """
        here, path = Path.cwd(), self.path.absolute()
        for folder in (path, *(p for p in path.parents if here in p.parents)):
            try:
                if folder != here:
                    folder.rmdir()
            except OSError:  # not empty
                return


def is_in_use(path: Path) -> bool:
    """Return whether a process holds a run folder."""
    import fcntl

    try:
        with open_plain(path / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, RunError):  # there is no lock, or no folder
        return False
    return False
