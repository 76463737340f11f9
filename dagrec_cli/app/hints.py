"""What to type instead: the line for a word of the command line that is no setting or option."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from dagrec_cli.config.comments import commands_with, group_words, option_names, option_of
from dagrec_cli.config.deciding import flat, is_part
from dagrec_cli.config.where import split_flag, user_path
from dagrec_cli.errors import DagrecError, did_you_mean, install, nearest, same_meaning

if TYPE_CHECKING:
    from omegaconf import DictConfig

LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm", "ray")  # of extras, named before the _
OF_HYDRA = ("hydra.run.dir", "hydra.verbose")  # settings of Hydra's that others have as their own
SPELLED_ALIKE = 0.7  # how much, of names that were meant for one another
MOST = 4  # options that a line names
DECIMAL = re.compile(r"-?\d+,\d+")  # a number, where a comma begins its decimals
A_FILE = re.compile(r"[./~]")  # in a word that is likely the name of a file


def unreadable(word: str, command: str) -> str:
    """Return the line for a word that Hydra cannot read."""
    key, equals, value = word.partition("=")
    if not word.isprintable():
        return f"cannot read {word!r}; write it without line breaks and control characters."
    if not equals:
        return f"{word!r} is no setting; {_meaning(word, command)}."
    if value.count("[") > value.count("]"):
        after = sys.argv[sys.argv.index(word) + 1 :] if word in sys.argv else []
        whole = f"{' '.join([word, *after]).partition(']')[0]}]"
        return f"cannot read {word!r}; write a list as one word, as in '{whole}'."
    items = value.removeprefix("[").removesuffix("]").split(",")
    inside = ",".join(f'"{item.strip()}"' for item in items)
    quoted = f"[{inside}]" if value.startswith("[") else inside
    return f"cannot read {word!r}; quote what it holds: '{key}={quoted}'."


def unknown_flag(word: str, known: Iterable[str], command: str) -> str:
    """Return the line for a word with dashes; ``known`` are Hydra's flags."""
    from difflib import get_close_matches

    flag, equals, value = word.partition("=")
    if near := get_close_matches(flag, known, n=1, cutoff=0.8):
        return f"unknown flag {flag!r}; did you mean {near[0]}?"
    after = sys.argv[sys.argv.index(word) + 1 :]
    if not equals:
        value = after[0] if after and re.match(r"[^-=][^=]*$", after[0]) else ""
    words = _offer(flag.strip("-"), value, command)
    hint = f"write {words}, without dashes" if words else "--help lists them"
    return f"unknown flag {flag!r}; {hint}."


def several_values(key: str, values: str, command: str) -> str:
    """Return the line for a setting with commas and without ``-m``."""
    if option_names(key):
        return f"{key} has several options; add -m to run each."
    if isinstance(_setting(key, command), float) and DECIMAL.fullmatch(values):
        number = values.replace(",", ".")
        return f"{key} has several values; write {key}={number}, or add -m to run each."
    a_list = f"seeds=[{values}]" if key == "seed" else f"write a list: {key}=[{values}]"
    return f"{key} has several values; add -m to run each, or {a_list}."


def unknown_option(group: str, option: str, known: list[str]) -> str:
    """Return the line for an option that a group does not have."""
    if group == "hydra/launcher" and option in LAUNCHERS:
        return f"{group}={option} needs an extra; {install(option.partition('_')[0])}."
    if group == "data" and (A_FILE.search(option) or os.path.exists(option)):
        return f"data={option} does not exist; data is how to read a file: {_reading(option)}."
    setting = same_meaning(option, [k.partition(".")[2] for k in _of_group(group)])
    hint = f"did you mean {group}.{setting}=VALUE? " if setting else did_you_mean(option, known)
    return f"{group}={option} does not exist; {hint}{group} is one of {', '.join(known)}."


def unknown_setting(key: str, command: str) -> str:
    """Return the line for a setting that a command's config does not have."""
    from dagrec_cli.config.build import REPLACED  # with what --help does not need

    if said := REPLACED.get(key):
        return said
    if below := [known for known in _known(command) if known.startswith(f"{key}.")]:
        return f"{key!r} has no options here; it has {', '.join(below)}."
    if key in group_words():
        others = " or ".join(f"dagrec {other}" for other in commands_with(key))
        return f"dagrec {command} has no group {key!r}; {others} has."
    if owners := _options_with(key):
        return _of_other_options(key, owners, command)
    if key.startswith("hydra."):
        place = key.rpartition(".")[0]
        splits = [known.rpartition(".") for known in _known(command)]
        names = [name for above, _, name in splits if above == place]
        return f"unknown setting {key!r}; {place} has {', '.join(names) or 'none'}."
    words = _offer(key, _value_of(key), command)
    hint = f"did you mean {words}? " if words else ""
    if not hint and (having := [f"dagrec {other}" for other in commands_with(key)]):
        hint = f"{' and '.join(having)} {'has' if len(having) == 1 else 'have'} it. "
    return f"unknown setting {key!r}; {hint}dagrec {command} --help lists all of them."


def _of_other_options(key: str, owners: list[str], command: str) -> str:
    """Return the line for a setting that options have which are not the chosen one."""
    group, _, name = key.partition(".")
    value = _value_of(key) or "VALUE"
    swept = [word for word in sys.argv if re.match(rf"{re.escape(group)}=.*,", word)]
    if swept:
        return _of_some_options(key, value, owners, re.findall(r"[\w-]+", swept[0])[1:])
    reading = _reading(value) if key == "data.path" else ""
    if _chosen_options(command).get(group, group) is None:
        return (
            f"the {group} is the run's own, as it was, unless one is chosen; leave {key} out, or "
            f"write {reading or f'{group}=OPTION {key}={value}'}."
        )
    if reading:
        return f"the chosen data is no file; name what reads it, too: {reading}."
    return f"the chosen {group} has no setting {name!r}; add {_any_of(owners)}."


def _of_some_options(key: str, value: str, owners: list[str], swept: list[str]) -> str:
    """Return the line for a setting of a multirun over options, of which some may not have it."""
    group, _, name = key.partition(".")
    lacking = [f"{group}={option}" for option in swept if f"{group}={option}" not in owners]
    if not lacking:
        return f"Hydra does not look for {key} in several {group}s; write ++{key}={value}."
    rest = ",".join(option for option in swept if f"{group}={option}" in owners)
    flag, plus = ("-m ", "++") if "," in rest else ("", "")
    apart = f", or run without: {flag}{group}={rest} {plus}{key}={value}" if rest else ""
    lack = "have" if lacking[1:] else "has"
    return f"{' and '.join(lacking)} {lack} no setting {name!r}; leave it out{apart}."


def _any_of(options: Sequence[str]) -> str:
    return " or ".join(options[:MOST])


def _meaning(word: str, command: str) -> str:
    """Return what to write for a word without ``=``."""
    groups = [group for group in group_words() if group in _chosen_options(command)]
    chosen = [f"{group}={word}" for group in groups if word in option_names(group, _folders())]
    name, colon, value = word.partition(":")
    is_file = bool(A_FILE.search(word)) or os.path.exists(word)
    if chosen:
        return f"write {_any_of(chosen)}"
    after = [*sys.argv, ""][[*sys.argv, word].index(word) + 1 :][:1]
    value_after = after[0] if after and re.fullmatch(r"[^-=][^=]*", after[0]) else ""
    if word in groups:
        return f"write {word}={value_after or 'OPTION'}; dagrec help {word} lists them"
    if colon and (near := _near_setting(name, command)):
        return f"write {near}={value}"
    if is_file and "run" in _known(command):
        return f"name the run folder as run={word}"
    if word.endswith(".yaml"):
        return "settings in a file: -cd FOLDER experiment=NAME reads FOLDER/experiment/NAME.yaml"
    if is_file and "data" in groups:
        return f"name the data as {_reading(word)}"
    if "--run" in sys.argv and "run" in _known(command):
        return f"--run is a flag of Hydra's; write run={word}"
    near = _near_setting(word, command)
    is_no_run = f"no folder {word} is here to be run={word}; " * ("run" in _known(command))
    other = f"{is_no_run}write setting=value, and a list as seeds=[0,1]"
    return f"write {near}={value_after or 'VALUE'}" if near else other


def _reading(path: str) -> str:
    """Return the words that let a file be read: by what it holds, else by its name."""
    from dagrec_cli.data.files import opened
    from dagrec_cli.data.readers.formats import START, likely_option

    try:
        with opened(user_path(path)) as file:
            option = likely_option(file.read(START))
    except (DagrecError, OSError):
        option = ""
    suffix = path.removesuffix(".gz").rpartition(".")[2]
    option = option or nearest(suffix, option_names("data")) or ""
    which = "" if option else "; dagrec help data lists readers"
    return f"data={option or 'READER'} data.path={path}{which}"


def _setting(key: str, command: str) -> object:
    """Return the value that a command's setting has by itself."""
    from omegaconf import OmegaConf

    return OmegaConf.select(_config(command), key)


def _value_of(key: str) -> str:
    """Return what was typed for a setting, if it was."""
    words = (word.lstrip("+").partition("=") for word in sys.argv)
    return next((value for name, _, value in words if name == key), "")


def _offer(key: str, value: str, command: str) -> str:
    """Return right words for what a wrong setting may mean; empty if nothing is near."""
    near = _near_setting(key, command)
    if near is None:
        return ""
    is_chosen = near in _known(command)
    if (near == "data.path" and not is_chosen) or (near == "data" and A_FILE.search(value)):
        return _reading(value or "PATH")
    is_switch = _setting(near, command) in (True, False)
    text = f"{near}={value or ('true' if is_switch else 'VALUE')}"
    return text if is_chosen else f"{text} with {_any_of(_options_with(near))}"


def _near_setting(key: str, command: str) -> str | None:
    """Return the setting or group that a wrong key stands for: ``trainer.epochs`` for ``epochs``.

    What means the same comes before what is spelled alike; and what stands in the group that the
    key names, before what others of the chosen options have, and before what can be chosen.
    """
    key = key.replace("-", "_")
    group, _, name = key.rpartition(".")
    known = sorted(_known(command), key=lambda each: each.count("."))
    ours = [each for each in known if not each.startswith("hydra.")]
    scopes = [[k for k in ours if k.startswith(f"{group}.")], ours]
    scopes.append(
        [
            k
            for g in group_words()
            if g in _chosen_options(command) and is_part(g)
            for k in _of_group(g)
        ]
    )
    for find in (same_meaning, partial(nearest, cutoff=SPELLED_ALIKE)):
        for scope in scopes:
            by_name = {each: each for each in reversed(scope)} | {
                each.rpartition(".")[2]: each for each in reversed(scope)
            }
            if found := find(name, by_name) or find(key, by_name):
                return by_name[found]
        of_hydra = [each for each in OF_HYDRA if each in known]
        if find is same_meaning and (found := find(key, of_hydra)):
            return found
    return None


def _options_with(key: str) -> list[str]:
    """Return the options that have a setting, or some inside it, such as ``trainer=mini_batch``."""
    group, _, name = key.partition(".")
    options = {each: option_of(group, each, _folders()) for each in option_names(group, _folders())}
    return [
        f"{group}={option}"
        for option, has in options.items()
        if any(f"{setting}.".startswith(f"{name}.") for setting in has.settings)
    ]


def _of_group(group: str) -> list[str]:
    """Return the settings of all options of a group."""
    options = [option_of(group, name, _folders()) for name in option_names(group, _folders())]
    return [f"{group}.{name}" for option in options for name in option.settings]


def _folders() -> list[str]:
    return split_flag(sys.argv[1:])[0]


def _chosen_options(command: str) -> dict[str, str | None]:
    """Return the option of each of a command's groups, None where none is chosen."""
    return dict(_config(command).hydra.runtime.choices)


def _known(command: str) -> list[str]:
    """Return every key of a command's config with the options that were chosen, dotted."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(_config(command))
    keys = [key for key, _ in flat(config) if not key.endswith("_target_")]
    groups = [group for group in group_words() if group in _chosen_options(command)]
    return [*keys, *{key.rpartition(".")[0]: None for key in keys if "." in key}, *groups]


def _config(command: str) -> "DictConfig":
    """Return the config of a command with the options that were chosen, but with no setting."""
    folders = _folders()
    words = [word for word in sys.argv[1:] if re.fullmatch(r"[a-z/]+=\w+", word)]
    groups = [word.partition("=")[0] for word in words]
    chosen = [w for w, g in zip(words, groups, strict=True) if option_names(g, folders)]
    launched = [word for word in words if word.startswith("hydra/")]
    return _composed(command, *chosen, *launched, folders=tuple(map(os.path.abspath, folders)))


@lru_cache(maxsize=4)  # one line asks for it several times
def _composed(command: str, *words: str, folders: tuple[str, ...]) -> "DictConfig":
    from hydra.errors import HydraException

    from dagrec_cli.config.compose import composed

    try:
        return composed(command, words, folders)
    except HydraException:
        return composed(command, [])
