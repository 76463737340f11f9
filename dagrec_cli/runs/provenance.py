"""Where a result comes from: command line, package versions, commit, machine."""

import hashlib
import json
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dagrec_cli import __version__
from dagrec_cli.config.deciding import Effect, settings
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


def is_part(group: str) -> bool:
    """Return whether a config group describes a part: not Hydra's own, nor a choice of choices."""
    return "/" not in group and group != "experiment"


def config_hash(config: Mapping[str, Any], *, with_place: bool = False, code: str = "") -> str:
    """Return a hash of what decides a run's files besides its data: config, code.

    Parameters
    ----------
    config
        The composed config of ``dagrec train`` as plain containers.
    with_place
        True to count where the data lie, too: for whoever cannot look at their content.
    code
        Hash of the code of others that runs.
    """
    places = set() if with_place else {Effect.PLACE}
    content = settings(config, set(Effect) - {Effect.NOTHING} - places)
    text = json.dumps([__version__, content, *filter(None, [code])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def origin(command: str, request: Request) -> Origin:
    """Return where a result comes from that is being made now."""
    return Origin(
        **msgspec.structs.asdict(request),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command_line=command_line(command, request.overrides),
        versions={"python": platform.python_version(), **_versions()},
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


def _versions() -> dict[str, str]:
    found = {"dagrec": __version__}  # of the code that runs, whatever was installed
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
