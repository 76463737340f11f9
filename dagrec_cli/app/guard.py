"""Around every command: Ctrl-C, standard streams that are closed, full or gone, the exit code."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, NoReturn, TextIO

from dagrec_cli.app.failures import explain
from dagrec_cli.errors import DagrecError, TrainingError, one_line
from dagrec_cli.training.interrupt import heard, is_pressed, listening

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LONGEST_LINE = 1000  # characters of a line
EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 130, 141
STDOUT, STDERR = 1, 2  # file descriptors


class OutputError(DagrecError):
    """Standard output cannot be written."""


class ReaderGoneError(OutputError):
    """Who reads standard output has gone, as in ``dagrec train --help | head``: no mistake."""


@contextmanager
def explained(command: str) -> Iterator[None]:
    """Turn an error inside into its line on stderr and an exit code.

    Parameters
    ----------
    command
        ``train``, or empty where there is none yet.
    """
    name = f"dagrec {command}".rstrip()
    with _standard_error(), listening():
        try:
            with _standard_output():
                yield
        except BaseException as error:
            if is_pressed() or isinstance(error, KeyboardInterrupt):
                heard()
                text = str(error) if isinstance(error, KeyboardInterrupt) else ""
                _end(EXIT_INTERRUPTED, f"{name}: {text or 'interrupted.'}")
            if isinstance(error, ReaderGoneError):
                _end(EXIT_BROKEN_PIPE)
            line = explain(error, command) if isinstance(error, Exception) else None
            if line is None or os.environ.get("DAGREC_DEBUG") == "1" or _is_verbose():
                raise
            code = 1 if isinstance(error, TrainingError) else 2
            _end(code, one_line(f"{name}: {line}", LONGEST_LINE))


def _end(code: int, line: str = "") -> NoReturn:
    if line:
        sys.stderr.write(f"{line}\n")
    sys.exit(code)


@contextmanager
def _standard_error() -> Iterator[None]:
    """Open what standard streams are closed, and let standard error raise nothing inside."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_closed()
    before = sys.stderr
    if before is None or before is sys.__stderr__:
        sys.stderr = _stream(_StandardError(STDERR, "w", closefd=False), before)
    try:
        yield
    finally:
        sys.stderr = before


@contextmanager
def _standard_output() -> Iterator[None]:
    """Let standard output raise errors of its own inside, also about what it still holds.

    Raises
    ------
    OutputError
        If it is closed, or what was written does not arrive.
    """
    before = sys.stdout
    if before is None:
        raise OutputError("standard output is closed; send it to a file, or >/dev/null.")
    if before is sys.__stdout__:
        sys.stdout = _stream(_StandardOutput(STDOUT, "w", closefd=False), before)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputError:  # or it fails again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        raise
    finally:
        sys.stdout = before


class _StandardOutput(FileIO):
    def write(self, text: "ReadableBuffer", /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError as error:
            raise ReaderGoneError("standard output: its reader has gone.") from error
        except OSError as error:
            raise OutputError(
                f"cannot write to standard output: {error.strerror}; send it elsewhere with >FILE."
            ) from error


class _StandardError(FileIO):
    """What cannot be said must not stop what is done."""

    def write(self, text: "ReadableBuffer", /) -> int:
        try:
            return super().write(text)
        except OSError:
            return memoryview(text).nbytes


def _stream(raw: FileIO, like: TextIO | None) -> TextIOWrapper:
    """Return a text stream like another; a terminal may lack letters that names have."""
    is_raw = isinstance(like, TextIOWrapper) and like.write_through
    return TextIOWrapper(
        raw if is_raw else BufferedWriter(raw),
        encoding=like.encoding if like else "utf-8",
        errors="backslashreplace",
        line_buffering=raw.fileno() == STDERR or raw.isatty(),
        write_through=is_raw,
    )


def _open_closed() -> None:
    """Open the standard streams that are closed, or the next file would be taken for one."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(number, True)
    os.close(number)


def _is_verbose() -> bool:
    return any(re.fullmatch(r"hydra\.verbose=(?i:true)", word) for word in sys.argv[1:])
