"""Where a result comes from: command line, package versions, commit, machine."""

import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from dagrec_cli import __version__
from dagrec_cli.config.where import config_flag

PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "msgspec", "safetensors")


class Request(Struct, frozen=True):
    """What the user asked for.

    Attributes
    ----------
    choices
        Which option each config group was given.
    overrides
        The overrides of the command line (in a multirun: of this job), as they were written.
    sweep
        Folder of the multirun that this is a job of, if it is one.
    code_sha256
        Hash of the code of others that runs; empty if none does.
    """

    choices: dict[str, str]
    overrides: list[str]
    sweep: str | None = None
    code_sha256: str = ""


class Origin(Request, frozen=True, kw_only=True, tag_field="status"):
    """What it takes to make a result again, and when it was made."""

    started: str
    command_line: str
    versions: dict[str, str]
    git_commit: str | None
    machine: str

    @property
    def status(self) -> str:
        """``finished``, ``failed`` or ``interrupted``."""
        return str(self.__struct_config__.tag)


def origin(command: str, request: Request) -> Origin:
    """Return where a result comes from that is being made now."""
    return Origin(
        **msgspec.structs.asdict(request),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command_line=command_line(command, request.overrides),
        versions={
            "python": platform.python_version(),
            "dagrec": __version__,  # of the code that runs, whatever was installed
            **{name: version(name) for name in PACKAGES},
        },
        git_commit=git_commit(),
        machine=f"{platform.system()} {platform.machine()}",
    )


def command_line(command: str, overrides: Sequence[str]) -> str:
    """Return the words of a command, to be pasted into a shell."""
    return shlex.join(["dagrec", *command.split(), *config_flag(), *overrides])


def git_commit() -> str | None:
    """Return the commit of the checkout that the package runs from, ``+`` if it was changed."""
    folder = Path(__file__).resolve().parent.parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + (
            "+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=5
    )
    return done.stdout.strip()
