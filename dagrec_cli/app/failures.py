"""What a user reads when something goes wrong: one line, and an exit code.

Mistakes the user can fix exit 2: our own errors, Hydra's complaints about overrides, and whatever
the system refuses. Anything else is a defect of the program and keeps its traceback.
"""

import errno
import os
import re

from dagrec_cli.app.hydra_errors import explain_hydra
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
