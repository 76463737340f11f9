"""What a user reads when something goes wrong: one line, and an exit code.

Mistakes the user can mend exit 2: our own errors, Hydra's complaints about overrides, and a folder
that cannot be written. Anything else is a defect of the program and keeps its traceback.
"""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from dagrec_cli.errors import DagrecError, TrainingError

DISK = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "there is no permission to write there",
    errno.EPERM: "there is no permission to write there",
    errno.ENOTDIR: "a part of it is a file, not a folder",
    errno.EEXIST: "a part of it is a file, not a folder",
    errno.ENOENT: "the folder above it cannot be made",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextmanager
def explained(command: str) -> Iterator[None]:
    """Turn an error inside into its line on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"dagrec {command}: interrupted.\n")
        sys.exit(130)
    except Exception as error:
        line = explain(error, command)
        if line is None or os.environ.get("DAGREC_DEBUG") == "1" or _is_verbose():
            raise
        sys.stderr.write(f"dagrec {command}: {line}\n")
        sys.exit(1 if isinstance(error, TrainingError) else 2)


def explain(error: Exception, command: str) -> str | None:
    """Return the line for an error, or None if it is a defect of the program."""
    if isinstance(error, DagrecError | TrainingError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK and error.filename is not None:
        return f"cannot write {error.filename}: {DISK[error.errno]}, or use another hydra.run.dir."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{DISK[errno.ENOSPC]}, or use another hydra.run.dir."
    if override := str(getattr(error, "override", "")):
        return f"cannot read {override!r}; write setting=value, and a list as seeds=[0,1]."
    if type(error).__module__.split(".")[0] in ("hydra", "omegaconf"):
        return _explain_hydra(str(error), command)
    return None


def _explain_hydra(message: str, command: str) -> str:
    if found := re.search(r"Could not find '([\w/]+)/([^']*)'", message):
        group, option = found.groups()
        return _unknown_choice(group, option, _options(group))
    if found := re.search(r"Could not override '([^']+)'", message):
        return _unknown_setting(found[1], command)
    return " ".join(message.split())


def _unknown_choice(group: str, option: str, options: list[str]) -> str:
    near = get_close_matches(option, options, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{group}={option} does not exist; {hint}{group} is one of {', '.join(options)}."


def _unknown_setting(key: str, command: str) -> str:
    known = _settings(command)
    near = get_close_matches(key, known, n=1) or [
        k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]
    ]
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown setting {key!r}; {hint}dagrec {command} --help lists all of them."


def _options(group: str) -> list[str]:
    from dagrec_cli.config.paths import config_dir

    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def _settings(command: str) -> list[str]:
    """Return every key of a command's default config, dotted, and its groups."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from dagrec_cli.config.paths import config_dir

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = OmegaConf.to_container(compose(command.replace(" ", "_")))
    keys: list[str] = []
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        prefix, node = stack.pop()
        if isinstance(node, dict):
            stack += [(f"{prefix}.{key}".strip("."), value) for key, value in node.items()]
        if prefix and not prefix.endswith("_target_"):
            keys.append(prefix)
    return keys


def _is_verbose() -> bool:
    return any(re.fullmatch(r"hydra\.verbose=(?!false|False).+", word) for word in sys.argv[1:])
