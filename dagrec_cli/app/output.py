"""What a command leaves: the file or folder of ``output=``, and tables on the terminal."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dagrec_cli.config.where import user_path
from dagrec_cli.data.plain_files import kind_of, remove_leftovers
from dagrec_cli.errors import ConfigError, RunError, short_path
from dagrec_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from dagrec_cli.reporting.report import ReportSheet
    from dagrec_cli.reporting.tables import Table


def command_folder(what: str, *, asked: bool) -> RunFolder:
    """Return the folder of the command that runs, see :func:`~dagrec_cli.runs.state.check_new`."""
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.runs.state import check_new

    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    check_new(folder.path, what, asked=asked)
    return folder


def output_path(output: object) -> Path:
    """Return the path that the user gives.

    Raises
    ------
    ConfigError
        If none is given.
    """
    if output in (None, ""):
        given = "null" if output is None else "empty"
        raise ConfigError(f"output is {given}; say where to write with output=PATH.")
    return user_path(output)


def output_file(output: object, otherwise: str = "") -> Path:
    """Return the path of a file that the user gives.

    Parameters
    ----------
    otherwise
        What else may be given, for the message.

    Raises
    ------
    ConfigError
        If none is given, or something else than a plain file lies there.
    """
    path = output_path(output)
    _check_file(path, otherwise)
    return path


def check_replaces(path: Path, inputs: Iterable[Path], *, asked: bool) -> None:
    """Refuse to write to a file that is read, under whatever name, or to the folder of one.

    Parameters
    ----------
    asked
        Whether any other file there may be replaced, and what is in a folder.

    Raises
    ------
    ConfigError
        If it is one of the inputs, which nothing else may hold, or would be replaced unasked.
    """
    if not path.exists():
        return
    is_folder = path.is_dir()
    for file in inputs:
        if file.exists() and path.samefile(file.parent if is_folder else file):
            where = f"the folder of {file}, which" if is_folder else f"{file}, which"
            raise ConfigError(f"output is {str(path)!r}, {where} is read; write elsewhere.")
    if not asked and not (is_folder and all(file.name[0] == "." for file in path.iterdir())):
        raise ConfigError(
            f"output is {str(path)!r}, which is there already; write elsewhere, or replace it with "
            "overwrite=true."
        )


def write_output(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Write a file as a whole or not at all: ``fill`` gets it open, in binary mode.

    Raises
    ------
    ConfigError
        If there is anything else than a plain file: a folder, or what a file must not replace.
    RunError
        If nothing can be written there.
    """
    _check_file(path)
    with output_errors(path):
        remove_leftovers(path.parent)
        RunFolder(path.parent).write(path.name, fill)


def show_tables(tables: "Iterable[Table]", *, notes: bool) -> None:
    """Print tables as wide as the terminal, with what is said of them, once, if it is wanted."""
    from rich.console import Console

    from dagrec_cli.reporting.tables import said_once
    from dagrec_cli.reporting.terminal import to_rich

    console = Console()
    for table, new in said_once(tables):
        console.print(to_rich(table, console.width, new if notes else ()))


def write_tables(
    folder: RunFolder,
    title: str,
    sheets: "Sequence[ReportSheet]",
    what: str = "Tables",
    *,
    notes: bool,
) -> None:
    """Write tables and their report, print the tables, and say where they are.

    Parameters
    ----------
    what
        What the folder is called.
    notes
        Whether what is said of the tables is printed; it is written in any case.
    """
    from dagrec_cli.reporting.report import write_report
    from dagrec_cli.training.progress import showing

    tables = [table for sheet in sheets for table in sheet.tables]
    for table in tables:
        table.save(folder)
    show_tables(tables, notes=notes)
    with showing("drawing the report"):
        report = write_report(folder, title, sheets)
    sys.stdout.write(f"{what}: {short_path(folder.path)}\nReport: {short_path(report)}\n")


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


def _check_file(path: Path, otherwise: str = "") -> None:
    kind = "a folder" if path.is_dir() else kind_of(path) or ("no file" if path.name == "-" else "")
    if kind:
        hint = "name a file in it" if kind == "a folder" else "name a plain file"
        raise ConfigError(f"output is {str(path)!r}, {kind}; {hint}{otherwise}.")
