"""What the YAML files say: of an option in the comment above all, of a setting in that behind it.

``--help`` shows these words. A comment goes on in lines that hold nothing else::

    epochs: 60   # passes over all training pairs; validation may
                 # choose fewer
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from dagrec_cli.config.where import config_dir, installed

OF_COMMANDS = "."  # the group of the commands' own files
HIDDEN = ("_target_", "defaults", "hydra")  # keys that are no setting of the file itself

_WORD_OF_VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s#'"])\S*"""  # a word of it, quoted or not
_KEY_LINE = re.compile(rf"( *)([\w./-]+):(?:\s+{_WORD_OF_VALUE})*(?:\s+#\s*(.*))?")
_ONGOING = re.compile(r"\s+#\s*(.*)")
_GROUP = re.compile(r"  - (\w+): \S+\s+# (.*)")
_CODE = re.compile(
    r"\s*Code[\w ]*: \S+\.py\.?|\s*\(PAPER §[^)]*\)|; PAPER §\d+"
)  # for whoever reads code
_CLAUSE = re.compile(r"(?:\([^)]*\)|[^(])+?(?=[;:] |[.?]\s+[A-Z]|\.?$)")


@dataclass(frozen=True)
class Option:
    """A YAML file of a group, with what it takes over from others of the group.

    Attributes
    ----------
    about
        The comment above all, as one line.
    settings
        Values by their dotted keys. A mapping is one setting if it has words and its parts none.
    words
        What each setting means, by its dotted key, where a file says it.
    target
        The class that it describes; empty if there is none.
    chosen
        Options of other groups that it chooses, by group.
    """

    about: str
    settings: dict[str, Any]
    words: dict[str, str]
    target: str
    chosen: dict[str, str]


def option_names(group: str, folders: Sequence[str] = ()) -> list[str]:
    """Return the names of a group's options; ``folders`` are the user's. None if it is no group."""
    return sorted(
        {f.stem for place in _config_folders(folders) for f in (place / group).glob("*.yaml")}
    )


def option_of(group: str, name: str, folders: Sequence[str] = ()) -> Option:
    """Return an option of a group.

    Raises
    ------
    FileNotFoundError
        If there is no such option.
    """
    names = [name]
    files = []
    for each in names:  # which grows
        files.append(_file(group, each, folders))
        parents = _values(files[-1]).get("defaults", ())
        names += [p for p in parents if isinstance(p, str) and p not in (*names, "_self_")]
    chosen: dict[str, str] = {}
    words: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for file in reversed(files):
        for entry in _values(file).get("defaults", ()):
            if isinstance(entry, dict):
                chosen |= {key.removeprefix("override /"): option for key, option in entry.items()}
        words |= _comments(file)
        values = {key: value for key, value in _values(file).items() if key not in HIDDEN}
        settings |= _flat_settings(values, words)
    targets = [str(_values(file)["_target_"]) for file in files if "_target_" in _values(file)]
    return Option(_about(files[0]), settings, words, next(iter(targets), ""), chosen)


def option_line(group: str, name: str, folders: Sequence[str] = ()) -> str:
    """Return the first clause of what is said of an option."""
    match = _CLAUSE.match(_about(_file(group, name, folders)))
    return match[0] if match else ""


def words_of(key: str) -> str:
    """Return what a setting means, by a dotted key such as ``trainer.epochs``, in any option."""
    group, _, name = key.partition(".")
    options = (option_of(group, option) for option in option_names(group))
    return next((option.words[name] for option in options if name in option.words), "")


@cache
def group_words() -> dict[str, str]:
    """Return what each group is for, as the commands' lists of defaults say it."""
    found: dict[str, str] = {}
    for file in sorted(config_dir().glob("*.yaml"), key=lambda file: file.stem != "train"):
        for line in _text_lines(file):
            if match := _GROUP.fullmatch(line):
                found.setdefault(match[1], match[2])
    return found


def commands_with(name: str) -> list[str]:
    """Return the commands that have a group, or a setting beside their groups."""
    files, begins = sorted(config_dir().glob("*.yaml")), (f"  - {name}:", f"{name}:")
    has = [f for f in files if any(line.startswith(begins) for line in _text_lines(f))]
    return [file.stem.replace("_", " ", 1) for file in has]


def _config_folders(folders: Sequence[str]) -> list[Path]:
    """Return folders of configs in the order in which Hydra looks into them."""
    return [config_dir(), *installed(), *map(Path, folders)]


def _file(group: str, name: str, folders: Sequence[str]) -> Path:
    files = [place / group / f"{name}.yaml" for place in _config_folders(folders)]
    return next((file for file in files if file.is_file()), files[0])


def _about(file: Path) -> str:
    """Return the comment above all that is in a file."""
    head = takewhile(lambda line: line.startswith("#"), _text_lines(file))
    return _CODE.sub("", " ".join(line.lstrip("# ") for line in head if "@package" not in line))


@cache
def _text_lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines()


@cache
def _values(file: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    values: Any = OmegaConf.to_container(OmegaConf.load(file))
    return values if isinstance(values, dict) else {}


def _comments(file: Path) -> dict[str, str]:
    """Return the comments behind values, by dotted keys."""
    words: dict[str, str] = {}
    above: list[tuple[int, str]] = []  # indentation and key of what a line is inside of
    name = ""  # whose comment goes on
    for line in _text_lines(file):
        if match := _KEY_LINE.fullmatch(line):
            indent = len(match[1])
            above = [(n, key) for n, key in above if n < indent] + [(indent, match[2])]
            name = ".".join(key for _, key in above) if match[3] else ""
            words |= {name: match[3]} if name else {}
        elif name and (more := _ONGOING.fullmatch(line)):
            words[name] += f" {more[1]}"
        else:
            name = ""
    return words


def _flat_settings(
    values: dict[str, Any], words: dict[str, str], above: str = ""
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}{key}"
        is_one = name in words and not any(other.startswith(f"{name}.") for other in words)
        if isinstance(value, dict) and value and not is_one:
            found |= _flat_settings(value, words, f"{name}.")
        else:
            found[name] = value
    return found
