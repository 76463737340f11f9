"""What a user reads when something goes wrong: one line, and an exit code.

Mistakes the user can mend exit 2: our own errors, Hydra's complaints about overrides, and whatever
the system refuses. Anything else is a defect of the program and keeps its traceback.
"""

import errno
import os
import re
import sys
from difflib import get_close_matches
from typing import Any

from dagrec_cli.app.hydra_texts import (
    NoName,
    NoOption,
    NoSetting,
    Other,
    Said,
    SeveralValues,
    Stumble,
    TooDeep,
    read,
)
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
LAUNCHERS = {  # which extra brings them
    "joblib": "joblib",
    "submitit_local": "submitit",
    "submitit_slurm": "submitit",
    "ray": "ray",
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
GONE = {
    "bootstrap": "intervals and tests need no resamples any more; leave it out.",
}
ELSEWHERE = "write elsewhere with hydra.run.dir=FOLDER"


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
    if override := str(getattr(error, "override", "")):
        if os.path.exists(override):
            return f"{override!r} is no setting; name the data as data.path={override}."
        key, is_list, rest = override.partition("=[")
        if is_list and "=" in rest:
            items = ",".join(f'"{each}"' for each in rest.rstrip("]").split(","))
            return f"cannot read {override!r}; quote what holds '=': '{key}=[{items}]'."
        return f"cannot read {override!r}; write setting=value, and a list as seeds=[0,1]."
    if isinstance(error, MemoryError) or TOO_LARGE.search(str(error)):
        return "there is not enough memory for these sizes; use smaller ones."
    said = read(error)
    return None if said is None else _explain_hydra(said, command)


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
        return f"cannot write{place}: {DISK[error.errno]}; {ELSEWHERE}."
    return f"cannot use{place or ' a file'}: {error.strerror}."


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and what led to it, each once: Hydra raises some that lead to themselves."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    return chain


def _explain_hydra(said: Said, command: str) -> str:
    match said:
        case NoOption(group, option, options):
            return _unknown_choice(group, option, options)
        case NoSetting(key):
            return _unknown_setting(key, command)
        case SeveralValues(key, values):
            return _several(key, values)
        case NoName():
            return "a group takes the name of one of its options, as in model=gru4rec."
        case TooDeep():
            return "a setting is nested too deeply; write it with fewer brackets."
        case Stumble(function, told):
            return f"Hydra cannot take one of the settings ({function}: {told})."
        case Other(text):
            return text


def _several(key: str, values: str) -> str:
    if _options(key):
        return f"{key} has several options; add -m to run each."
    a_list = f"seeds=[{values}]" if key == "seed" else f"write a list: {key}=[{values}]"
    return f"{key} has several values; add -m to run each, or {a_list}."


def _unknown_choice(group: str, option: str, options: list[str]) -> str:
    if group == "hydra/launcher" and option in LAUNCHERS:
        install = f"pip install -c constraints.txt -e '.[{LAUNCHERS[option]}]'"
        return f"{group}={option} needs an extra; {install}."
    near = get_close_matches(option, options, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{group}={option} does not exist; {hint}{group} is one of {', '.join(options)}."


def _unknown_setting(key: str, command: str) -> str:
    if key in GONE:
        return f"there is no setting {key!r}: {GONE[key]}"
    group, _, name = key.partition(".")
    if any(re.match(rf"{re.escape(group)}=.*,", word) for word in sys.argv[1:]):
        return f"Hydra does not look for {key} in several {group}s; write ++{key}=VALUE."
    if owners := [
        f"{group}={option}" for option in _options(group) if name in _keys(group, option)
    ]:
        return f"the chosen {group} has no setting {name!r}; add {' or '.join(owners[:4])}."
    near = nearest_setting(key, command)
    hint = f"did you mean {near}? " if near else ""
    return f"unknown setting {key!r}; {hint}dagrec {command} --help lists all of them."


def nearest_setting(key: str, command: str) -> str | None:
    """Return the setting that a wrong key may stand for: ``trainer.epochs`` for ``epochs``."""
    known = _settings(command)
    same = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]]
    return next(iter(get_close_matches(key, known, n=1) or same), None)


def _options(group: str) -> list[str]:
    from dagrec_cli.config.paths import config_dir

    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def _keys(group: str, option: str) -> list[str]:
    from omegaconf import OmegaConf

    from dagrec_cli.config.paths import config_dir

    return [str(key) for key in OmegaConf.load(config_dir() / group / f"{option}.yaml")]


def _settings(command: str) -> list[str]:
    """Return every key of a command's config with the options that were chosen, dotted."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from dagrec_cli.config.composed import composed

    chosen = [word for word in sys.argv[1:] if re.fullmatch(r"[a-z]+=\w+", word)]
    chosen = [word for word in chosen if _options(word.partition("=")[0])]
    try:
        found = composed(command, chosen)
    except HydraException:
        found = composed(command, [])
    keys: list[str] = []
    stack: list[tuple[str, Any]] = [("", OmegaConf.to_container(found))]
    while stack:
        prefix, node = stack.pop()
        if isinstance(node, dict) and prefix != "hydra":
            stack += [(f"{prefix}.{key}".strip("."), value) for key, value in node.items()]
        if prefix and not prefix.endswith("_target_"):
            keys.append(prefix)
    return keys
