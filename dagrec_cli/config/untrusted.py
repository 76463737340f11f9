"""Config nodes of a run folder, which may come from a stranger: what is refused before building.

Nothing outside this package is named, nothing is looked up (environment, resolvers), no path leads
out of the working folder, and nothing is downloaded but the public files of ``configs/data``.
"""

import glob
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.where import PACKAGE, is_own, options
from dagrec_cli.errors import ConfigError, RunError, visible

GROUPS = ("data", "split", "model", "loss", "sampler", "trainer", "logger")
LARGEST_CONFIG = 2**18  # of a config; ours have some thousand, a list of files has more
DEEPEST_CONFIG = 20
LARGEST_NUMBER = 10**7  # compositions, epochs, pairs of a batch
PATHS = ("path",)  # settings that name files
SQLITE = "sqlite:///"
QUOTED = 60  # characters of a refused text that a message repeats


def checked_config(
    config: Mapping[str, Any], file: Path, trusted: Collection[str], packages: Collection[str] = ()
) -> DictConfig:
    """Return a run's whole config, safe to run again.

    Parameters
    ----------
    trusted
        Groups that the user names himself, whose paths may lead anywhere.
    packages
        See :func:`checked_node`.

    Raises
    ------
    RunError
        See :func:`checked_node`.
    """
    for key, value in config.items():
        if key not in GROUPS:
            for place, text in _texts(value, key):
                _refuse_lookup(place, text, file)
    nodes = {g: checked_node(config, g, file, packages, is_trusted=g in trusted) for g in GROUPS}
    return OmegaConf.create({**config, **nodes})


def checked_node(
    config: Mapping[str, Any],
    group: str,
    file: Path,
    packages: Collection[str] = (),
    *,
    is_trusted: bool = False,
) -> DictConfig:
    """Return a group of a run's config as a node that is safe to build.

    Parameters
    ----------
    config
        The run's config, nothing in it resolved.
    group
        ``model``, ``data``, ``split``, …
    file
        Where the config was read, for messages.
    packages
        Those of others whose classes may be built, besides what lies in the user's own folder.
    is_trusted
        True to let paths lead out of the working folder.

    Raises
    ------
    RunError
        If the group is missing, its ``_target_`` is no class of the group's options, a text holds
        an interpolation or leads out of the working folder, or an unknown file would be fetched.
    """
    node = config.get(group)
    if not isinstance(node, Mapping):
        raise RunError(f"{file}: no {group} in it; it is no config of dagrec train.")
    _check_target(str(node.get("_target_")), group, file, packages)
    if not is_trusted:
        check_whole_numbers(node, group, file, LARGEST_NUMBER)
    for key, text in _texts(node, group):
        _refuse_lookup(key, text, file)
        if leads_out(key, text) and not is_trusted:
            raise RunError(
                f"{file}: {key} is {text[:QUOTED]!r}; a run folder may only name paths below the "
                f"working folder. If you trust it, add {key}={text[:QUOTED]} (to dagrec evaluate, "
                f"{group}=OPTION, too)."
            )
    download = node.get("download")
    if download and download not in [option.get("download") for option in options("data").values()]:
        raise RunError(f"{file}: {group}.download is no public file of configs/data; not fetched.")
    return OmegaConf.create({str(key): value for key, value in node.items()})


def trusted_packages(trust: object) -> tuple[str, ...]:
    """Return the packages that the setting ``trust`` names: one, or a list of some.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    given = [] if trust is None else [trust] if isinstance(trust, str) else trust
    names: list[Any] = list(given) if isinstance(given, Sequence) else [given]
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or name == PACKAGE.name:
            raise ConfigError(
                f"trust is {name!r}; name a package whose code may run, such as trust=mymodel."
            )
    return tuple(names)


def _check_target(target: str, group: str, file: Path, packages: Collection[str]) -> None:
    package = target.partition(".")[0]
    ours = {option.get("_target_") for option in options(group).values()}
    if target in ours or package in packages or is_own(package):
        return
    setting = f"{file}: {group}._target_ is {target[:QUOTED]!r}"
    if "." in target and package.isidentifier() and package != PACKAGE.name:
        package = package[:QUOTED]
        raise RunError(
            f"{setting}: code of {package} would run; if you trust it, add trust={package}, or -cd "
            "FOLDER with the folder that it lies in."
        )
    raise RunError(
        f"{setting}; a run folder may only name classes that an option of configs/{group} names."
    )


def check_whole_numbers(node: Any, place: str, file: Path, most: int) -> None:
    """Refuse sizes that no sound run has, before anything of such a size is made.

    Raises
    ------
    RunError
        If a whole number below a node, but for a seed, is larger than ``most``.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key != "seed":
                check_whole_numbers(key, place, file, most)
                check_whole_numbers(value, f"{place}.{key}", file, most)
    elif isinstance(node, Sequence) and not isinstance(node, str | bytes):
        for value in node:
            check_whole_numbers(value, place, file, most)
    elif isinstance(node, int) and abs(node) > most:
        raise RunError(
            f"{file}: {place} is {str(node)[:QUOTED]}; from a run folder {most:,} is the most that "
            "is taken."
        )


def read_config(text: str, file: Path) -> dict[str, Any]:
    """Return the config of a run as plain containers, nothing in it resolved.

    Raises
    ------
    RunError
        If it is no YAML, holds an alias (some make gigabytes of a few
        lines), nests too deeply, or has a value that no config has.
    """
    try:
        _check_events(text, file)
        config = OmegaConf.to_container(OmegaConf.load(StringIO(text)), resolve=False)
        _check_values(config)
    except RunError:
        raise
    except Exception as error:  # whatever a YAML parser raises: the file is damaged
        reason = visible(" ".join(str(error).split()))
        raise RunError(f"{file}: missing or damaged ({reason}).") from error
    return {str(k): v for k, v in config.items()} if isinstance(config, dict) else {}


def _check_events(text: str, file: Path) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise RunError(f"{file}: it holds an alias, *{event.anchor}; write the value itself.")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_CONFIG:
            raise RunError(f"{file}: it nests more than {DEEPEST_CONFIG} deep; no config does.")


def _check_values(node: Any) -> None:
    """Raise TypeError at a value or a mix of keys that JSON does not have."""
    if isinstance(node, dict):
        if len({type(key) for key in node}) > 1 or not all(isinstance(k, str | int) for k in node):
            raise TypeError(f"keys {list(node)[:3]} are not all text, nor all numbers")
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            _check_values(value)
    elif not isinstance(node, str | int | float | None):
        raise TypeError(f"a value is {type(node).__name__}")


def _texts(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text below a node, keys too, with its place."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield place, str(key)
            yield from _texts(value, f"{place}.{key}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _texts(value, f"{place}[{position}]")
    elif isinstance(node, str):
        yield place, node


def _refuse_lookup(key: str, text: str, file: Path) -> None:
    if "${" in text:
        raise RunError(
            f"{file}: {key} is {text[:QUOTED]!r}; a run folder must not look anything up, "
            "write the value itself."
        )


def leads_out(key: str, text: str) -> bool:
    """Return whether the text of a setting, read as a path, leads out of the working folder.

    Where the setting is one of a path, links are followed before it is judged, those below a folder
    and those that a glob finds too: a run folder may hold one that leads anywhere.
    """
    is_absolute = PurePosixPath(text).is_absolute() or bool(PureWindowsPath(text).anchor)
    if is_absolute or text.startswith("~") or ".." in re.split(r"[/\\]", text) or "\0" in text:
        return True
    name = key.rpartition(".")[2].partition("[")[0]
    if name == "uri":  # a server, or a file
        return not text.startswith(SQLITE) or leads_out("path", text.removeprefix(SQLITE))
    if name not in PATHS:
        return False
    here = Path.cwd().resolve()
    return not all(path.resolve().is_relative_to(here) for path in _reached(text))


def _reached(text: str) -> Iterator[Path]:
    """Yield what a path or glob may make a reader open."""
    for path in (text, *(glob.iglob(text, recursive=True) if glob.has_magic(text) else ())):
        yield Path(path)
        for folder, inside, files in os.walk(path):
            yield from (Path(folder, name) for name in (*inside, *files))
