"""What a user reads when something goes wrong: one line, and an exit code.

Mistakes the user can fix exit 2: our own errors, Hydra's complaints about overrides, and whatever
the system refuses. Anything else is a defect of the program and keeps its traceback.

Hydra's errors have no codes, so their English is read, and where a crash comes from.
``tests/commands/test_hydra_errors.py`` lets Hydra say every text that is read here, and fails where
a newer Hydra says it otherwise.
"""

import errno
import os
import re
from traceback import walk_tb

from dagrec_cli.errors import DagrecError, TrainingError

DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "there is no permission to write there",
    errno.EPERM: "there is no permission to write there",
    errno.ENOTDIR: "a part of it is a file, not a folder",
    errno.EEXIST: "a part of it is a file, not a folder",
    errno.ENOENT: "the folder above it cannot be made",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EFBIG: "the file is larger than the system allows",
}
TOO_LARGE = re.compile(
    r"can't allocate memory|out of memory|[Oo]verflow when unpacking|calculation overflowed"
    r"|int too large to convert|Cannot allocate memory|failed to map segment"
)
LIMITS = {  # what is said in an OSError, or in whatever a library makes of it
    os.strerror(errno.EMFILE): "too many files are open; allow more with: ulimit -n 1024",
    os.strerror(errno.ENFILE): "too many files are open on this machine; end other programs",
    "can't start new thread": "too many threads run; allow more with: ulimit -u 4096",
    os.strerror(errno.EIO): "the disk or device has failed; use another one",
}
WRITE_ELSEWHERE = "write elsewhere with hydra.run.dir=FOLDER"
READERS = ("hydra", "omegaconf", "antlr4", "yaml")  # packages that read settings
CALLERS = ("dagrec_cli.app.hydra_main", "dagrec_cli.config.compose")  # call Hydra
FULL_KEY = "\n    full_key: "  # how OmegaConf goes on after what it says


def explain(error: Exception, command: str) -> str | None:
    """Return the line for an error, or None if it is a defect of the program."""
    for place in getattr(error, "__notes__", ()):  # where a table has what dagrec train refuses
        line = _explain(error, "train")
        return line and f"{place}: {line}"
    return _explain(error, command)


def _explain(error: Exception, command: str) -> str | None:
    if isinstance(error, DagrecError | TrainingError):
        return str(error)
    if line := _explain_system(error):
        return line
    if isinstance(error, MemoryError) or TOO_LARGE.search(str(error)):
        return "there is not enough memory for these sizes; use smaller ones."
    return explain_hydra(error, command)


def _explain_system(error: Exception) -> str | None:
    """Return the line for what the system refuses, whatever a library made of it on the way."""
    for cause in _chain(error):
        for words, line in LIMITS.items():
            if words in str(cause):
                place = cause.filename if isinstance(cause, OSError) else None
                return f"{line}." if place is None else f"{place}: {line}."
    if not isinstance(error, OSError) or error.errno is None:
        return None
    place = "" if error.filename is None else f" {error.filename}"
    if error.errno in DISK:
        return f"cannot write{place}: {DISK[error.errno]}; {WRITE_ELSEWHERE}."
    return f"cannot use{place or ' a file'}: {error.strerror}."


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and what led to it, each once: Hydra raises some that lead to themselves."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    return chain


def explain_hydra(error: Exception, command: str) -> str | None:
    """Return the line for what Hydra says about the settings; None where something else broke."""
    if not is_about_settings(error):
        return _crash(error)
    if override := str(getattr(error, "override", "")):
        from dagrec_cli.app.hints import unreadable  # with what dagrec --help does not need

        return unreadable(override, command)
    return _line_for(str(error), command)


def is_about_settings(error: Exception) -> bool:
    """Return whether an error is one that Hydra, or what it reads settings with, raises itself."""
    return type(error).__module__.split(".")[0] in READERS


def first_line(error: Exception) -> str:
    """Return what OmegaConf says, without where it says that it stands."""
    return " ".join(str(error).partition("\n")[0].split()).rstrip(".")


def _line_for(message: str, command: str) -> str:
    from dagrec_cli.app.hints import several_values, unknown_option, unknown_setting

    if match := re.search(r"Could not find '([\w/]+)/([^']*)'", message):
        return unknown_option(match[1], match[2], re.findall(r"^\t(\S+)$", message, re.M))
    if match := re.search(r"Could not override '([^']+)'", message):
        return unknown_setting(match[1], command)
    if match := re.search(r"Ambiguous value for argument '([^=]+)=([^']+)'", message):
        return several_values(match[1], match[2], command)
    text, _, rest = message.partition(FULL_KEY)
    key = f"{rest.split()[0]}: " if rest else ""
    return f"{key}{' '.join(text.split()).rstrip('.')}."


def _crash(error: Exception) -> str | None:
    """Return the line for a crash of Hydra's before it called our code, which a setting causes."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    if modules[-1].endswith(".defaults_list"):
        return "a group takes the name of one of its options, as in model=gru4rec."
    last = max((k for k, name in enumerate(modules) if name.startswith("dagrec_cli.")), default=-1)
    after = [name.split(".")[0] for name in modules[last + 1 :]]
    is_hydra = modules[last] in CALLERS and after[:1] == ["hydra"]
    if isinstance(error, RecursionError) and (is_hydra or modules[-1].startswith(READERS)):
        return "a setting is nested too deeply; write it with fewer brackets."
    if is_hydra:
        reason = " ".join(str(error).split()) or type(error).__name__
        function = frames[-1].f_code.co_name
        return f"Hydra cannot take one of the settings ({function}: {reason})."
    return None
