"""``--help`` and ``dagrec help GROUP``: options and settings, in the words of the YAML files."""

import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from shutil import get_terminal_size
from string import Template
from typing import Any

from dagrec_cli.config.annotations import annotations_of
from dagrec_cli.config.comments import (
    OF_COMMANDS,
    Option,
    group_words,
    option_line,
    option_names,
    option_of,
    words_of,
)
from dagrec_cli.config.deciding import is_part
from dagrec_cli.config.kinds import unsaid
from dagrec_cli.config.where import split_flag
from dagrec_cli.errors import ConfigError, did_you_mean

SPACES = 2  # spaces between what is typed and what it means
LEFT, INDENT = 0.45, 0.7  # share of a line that what is typed may take; and an example
GROUPS_TITLE = (
    "\nGroups and their options, * is chosen; dagrec help model=sasrec shows another one's settings"
)


def print_command_help(command: str, words: Sequence[str], folders: Sequence[str]) -> None:
    """Print the help of a command with the options and values that some words choose.

    Hydra's own takes a second: it looks up every group.
    """
    from omegaconf import OmegaConf

    from dagrec_cli.config.compose import composed

    config = composed(command, words, folders)
    texts, chosen = config.hydra.help, config.hydra.runtime.choices
    values: Any = OmegaConf.to_container(config, resolve=False)
    groups = [group for group in group_words() if group in chosen]
    parts = [group for group in groups if is_part(group) and chosen[group]]
    option = option_of(OF_COMMANDS, command.replace(" ", "_"))
    sections = {f"dagrec {command}": _settings_text(option, "", values, folders)} | {
        f"{group}={chosen[group]}": _settings_text(
            option_of(group, chosen[group], folders), f"{group}.", values, folders
        )
        for group in parts
    }
    shown = [f"{title}\n{text}" for title, text in sections.items() if text]
    listed = [_options(group, chosen[group], folders) for group in groups]
    texts.header = re.sub(r"(?m)^(\S.*)\n(?=\S)", r"\1 ", texts.header)  # as lines of any width
    _print(
        Template(texts.template).substitute(
            GROUPS="\n".join([GROUPS_TITLE, *listed]) if groups else "", CONFIG="\n".join(shown)
        )
    )


def print_group_help(words: Sequence[str], commands: Iterable[str]) -> None:
    """Print the options of a group (``model``), or an option (``model=gru4rec``) with its settings.

    Parameters
    ----------
    commands
        What there is besides groups, for the message.

    Raises
    ------
    ConfigError
        If there is no such group or option.
    """
    folders, words = split_flag(words)
    group, *inside = re.split(r"[ =.]", " ".join(words))
    names = option_names(group, folders) if re.fullmatch(r"\w[\w/-]*", group) else []
    if not names:
        groups = list(group_words())
        hint = did_you_mean(group, [*groups, *commands])
        raise ConfigError(
            f"there is no command and no group {group!r}; {hint}dagrec --help lists commands; "
            f"groups: {', '.join(groups)}."
        )
    if not inside:
        _print(_options(group, None, folders))
        return
    name = inside[0]
    if name not in names:
        hint = did_you_mean(name, [*names, *(word.split()[-1] for word in commands)])
        raise ConfigError(
            f"{group}={name} does not exist; {hint}{group} is one of {', '.join(names)}."
        )
    option = option_of(group, name, folders)
    above = f"{group}." if is_part(group) else ""
    _print(f"{group}={name}: {option.about}\n{_settings_text(option, above, {}, folders)}")


def _options(group: str, chosen: str | None, folders: Sequence[str]) -> str:
    """Return what a group is for, and a line for each of its options."""
    rows = [
        (f"{'*' if name == chosen else ' '} {name}", option_line(group, name, folders))
        for name in option_names(group, folders)
    ]
    return f"{group}: {group_words().get(group, 'options')}\n{_two_columns(rows)}"


def _settings_text(
    option: Option, above: str, values: Mapping[str, Any], folders: Sequence[str]
) -> str:
    """Return a line for each setting: what to type with its value, what it means, what it may be.

    A setting of another group, as experiments have them, is one of the option that is chosen there.

    Parameters
    ----------
    above
        What its dotted key begins with, such as ``model.``.
    values
        A composed config, whose values are shown where it has the setting.
    """
    rows = []
    for key, value in option.settings.items():
        of, name, (group, _, inside) = option, key, key.partition(".")
        there = option.chosen.get(group)
        if there and there in option_names(group, folders):
            of, name = option_of(group, there, folders), inside
        words = option.words.get(key) or of.words.get(name) or words_of(f"{above}{key}")
        allowed = unsaid(annotations_of(of.target).get(name, Any), words)
        meaning = f"{words} ({allowed})" if words and allowed else words or allowed
        typed = f"  {above}{key}={_typed(_value_at(values, above + key, value))}"
        width = get_terminal_size().columns
        rows.append((typed if len(typed) <= width else f"{typed[: width - 1]}…", meaning))
    return _two_columns(rows)


def _value_at(values: Any, key: str, default: Any) -> Any:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return default
        values = values[part]
    return values


def _typed(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case {"name": name}:  # of what a list holds, the rest is too long to show
            return str(name)
        case dict():
            return f"{{{','.join(f'{key}:{_typed(inside)}' for key, inside in value.items())}}}"
        case list():
            return f"[{','.join(map(_typed, value))}]"
        case _:
            return str(value)


def _two_columns(rows: Sequence[tuple[str, str]]) -> str:
    """Return rows whose second column begins at one place, below the first where that is long."""
    most = int(LEFT * get_terminal_size().columns)
    at = SPACES + max((len(left) for left, _ in rows if len(left) <= most), default=0)
    lines: list[str] = []
    for left, right in rows:
        is_long = len(left) > most
        lines += [left] * is_long + [f"{'' if is_long else left:{at}}{right}".rstrip()]
    return "".join(f"{line}\n" for line in lines)


def _print(text: str) -> None:
    width = get_terminal_size().columns
    lines = [folded for line in text.splitlines() for folded in _folded(line, width)]
    sys.stdout.write("\n".join([*lines, ""]))


def _folded(line: str, width: int) -> list[str]:
    """Return a line in lines of a width, the later ones below its last column."""
    columns = re.match(r" *(?:\S+(?: \S+)* {2,}(?=\S))?", line)
    indent = len(columns[0]) if columns else 0
    return textwrap.wrap(
        *(line, width),
        subsequent_indent=" " * (indent if indent < INDENT * width else 2),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
