"""A file or folder that the user names with ``output=``: what can go wrong with it, in one line."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.reporting.run_folder import RunFolder


def output_path(output: object) -> Path:
    """Return the path that the user gives.

    Raises
    ------
    ConfigError
        If none is given.
    """
    if output is None:
        raise ConfigError("output is null; say where to write with output=PATH.")
    return Path(str(output)).expanduser()


def write_output(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Write a file as a whole or not at all: ``fill`` gets it open, in binary mode.

    Raises
    ------
    ConfigError
        If the path is a folder.
    RunError
        If nothing can be written there.
    """
    if path.is_dir():
        raise ConfigError(f"output is {str(path)!r}, a folder; name a file in it.")
    with output_errors(path):
        RunFolder(path.parent).write(path.name, fill)


def say_report_is_drawn() -> None:
    """Tell whoever watches why the command takes some more seconds."""
    if sys.stderr.isatty():
        sys.stderr.write("Drawing the report …\n")


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong with writing inside the ``with`` block into a line for the user."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot write {path}: {reason}; write elsewhere: output=PATH.") from error
