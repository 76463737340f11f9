"""What Hydra says, read in this one place: its messages, the frames of a crash, its list of groups.

Hydra's errors have no codes, so their English is read. ``tests/commands/test_hydra_texts.py`` lets
Hydra say every text that is read here, and fails where a newer Hydra says it otherwise.
"""

import re
from collections.abc import Collection
from traceback import walk_tb
from types import FrameType
from typing import NamedTuple

READERS = ("hydra", "omegaconf", "antlr4", "yaml")  # packages that read settings
CALLERS = ("dagrec_cli.app.hydra_main", "dagrec_cli.config.composed")  # call Hydra
GROUPS, SETTINGS = "Groups and their options\n", "Settings and their defaults\n"  # of the help
FULL_KEY = "\n    full_key: "  # how OmegaConf goes on after what it says


class NoOption(NamedTuple):
    """A group has no such option."""

    group: str
    option: str
    options: list[str]


class NoSetting(NamedTuple):
    """There is no such setting."""

    key: str


class SeveralValues(NamedTuple):
    """A setting has values with commas between them, but one job is run."""

    key: str
    values: str


class NoName(NamedTuple):
    """A group got something that is no name of an option."""


class TooDeep(NamedTuple):
    """A setting has more brackets in brackets than Python can follow."""


class Stumble(NamedTuple):
    """Hydra broke on a setting without a message of its own."""

    function: str
    told: str


class Other(NamedTuple):
    """Anything else that Hydra says about a setting."""

    text: str


Said = NoOption | NoSetting | SeveralValues | NoName | TooDeep | Stumble | Other


def read(error: Exception) -> Said | None:
    """Return what Hydra says about the settings, None where something else broke."""
    return _message(str(error)) if is_about_settings(error) else _crash(error)


def is_about_settings(error: Exception) -> bool:
    """Return whether an error is one that Hydra, or what it reads settings with, raises itself."""
    return type(error).__module__.split(".")[0] in READERS


def first_line(error: Exception) -> str:
    """Return what OmegaConf says, without where it says that it stands."""
    return " ".join(str(error).partition("\n")[0].split()).rstrip(".")


def help_with(text: str, groups: Collection[str]) -> str:
    """Return the text of ``--help`` with only some of the groups that Hydra lists in it."""
    before, title, rest = text.partition(GROUPS)
    listed, after_title, after = rest.partition(SETTINGS)
    own = [line for line in listed.splitlines() if line.partition(":")[0] in groups]
    block = [title, *(f"{line}\n" for line in own), "\n"] if own else []
    return "".join([before, *block, after_title, after])


def _message(message: str) -> Said:
    if found := re.search(r"Could not find '([\w/]+)/([^']*)'", message):
        group, option = found.groups()
        return NoOption(group, option, re.findall(r"^\t(\S+)$", message, re.M))
    if found := re.search(r"Could not override '([^']+)'", message):
        return NoSetting(found[1])
    if found := re.search(r"Ambiguous value for argument '([^=]+)=([^']+)'", message):
        return SeveralValues(*found.groups())
    text, _, rest = message.partition(FULL_KEY)
    key = f"{rest.split()[0]}: " if rest else ""
    return Other(f"{key}{' '.join(text.split()).rstrip('.')}.")


def _crash(error: Exception) -> Said | None:
    """Return what it is about, if Hydra broke before it called our code."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    modules = list(map(_module, frames))
    if modules[-1].endswith(".defaults_list"):
        return NoName()
    last = max((k for k, name in enumerate(modules) if name.startswith("dagrec_cli.")), default=-1)
    after = [name.split(".")[0] for name in modules[last + 1 :]]
    is_hydra = modules[last] in CALLERS and after[:1] == ["hydra"]
    if isinstance(error, RecursionError) and (is_hydra or modules[-1].startswith(READERS)):
        return TooDeep()
    if is_hydra:
        told = " ".join(str(error).split()) or type(error).__name__
        return Stumble(frames[-1].f_code.co_name, told)
    return None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
