"""A run is a folder: every file is written under a temporary name, flushed, and renamed.

So a file is either whole or absent, whenever the program dies. No link in it is followed, whoever
made it: see :mod:`~dagrec_cli.data.plain_files`. ``run.log`` alone grows: what a run did, and
when; epochs are in ``metrics.csv``.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from dagrec_cli.data.plain_files import (
    check_own_folder,
    open_plain,
    read_plain,
    remove,
    remove_leftovers,
    write_whole,
)
from dagrec_cli.errors import InUseError, RunError, visible

RESULT = "result.json"
CONFIG = "config.yaml"
REQUEST = "request.json"
CHECKPOINTS = "checkpoints"
FINAL = "final"  # folder of the model that is fitted on all steps
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
RUN_FILES = (RESULT, CONFIG, REQUEST, METRICS_FILE, VOCABULARY, GRAPH, PREDICTIONS, CONTEXTS, LOG)

LOGGER = logging.getLogger("dagrec")


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

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file that has this content."""
        return self.write(name, lambda file: file.write(content))

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file as UTF-8 with the line ends that it has."""
        return self.write_bytes(name, text.encode())

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
        remove(self.path / name)

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


def read_whole(file: Path) -> bytes:
    """Return the content of a plain file of a run folder.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    RunError
        If it cannot be read.
    """
    try:
        return read_plain(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunError(f"{file}: {error.strerror or error}; make it readable.") from error


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


@contextmanager
def logged(folder: RunFolder) -> Iterator[logging.Logger]:
    """Send the log to the run folder while inside; the file begins with the first line.

    Raises
    ------
    RunError
        If the file is there and is a link, or has a second name: a line may hold what others chose.
    """
    file = folder.path / LOG
    if file.is_symlink() or file.exists():  # said now; later logging would print a traceback
        open_plain(file, "ab").close()
    handler = _LogFile(file, delay=True)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False  # the terminal shows progress and the table instead
    LOGGER.addHandler(handler)
    try:
        yield LOGGER
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = propagate
        handler.close()


class _LogFile(logging.FileHandler):
    """Appends to a plain file, and to nothing else."""

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(open_plain(Path(self.baseFilename), "ab"), encoding="utf-8")


class _OneLine(logging.Formatter):
    """Writes a record as one line, and the lines of a traceback indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, without a character that would act or begin another one."""
        bare = copy(record)
        bare.exc_info = bare.exc_text = None
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join(map(visible, [super().format(bare), *(f"    {line}" for line in trace)]))
