"""Where a result comes from: command line, package versions, commit, machine."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("dagrec", "torch", "numpy", "hydra-core", "omegaconf", "msgspec", "safetensors")


def provenance(command: str) -> dict[str, object]:
    """Return what it takes to make a result again.

    Parameters
    ----------
    command
        Name of the command, which Hydra has taken off the command line.
    """
    return {
        "command_line": shlex.join(["dagrec", *command.split(), *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **_versions()},
        "git_commit": git_commit(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def git_commit() -> str | None:
    """Return the commit of the checkout that the package runs from, ``+`` if it was changed."""
    folder = Path(__file__).resolve().parent.parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=5
    )
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
