"""Config nodes of a run folder, which may come from a stranger: what is refused before building.

Nothing outside this package is named, nothing is looked up (environment, resolvers), no path leads
out of the working folder, and nothing is downloaded but the public files of ``configs/data``.
"""

import glob
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.paths import config_dir
from dagrec_cli.errors import RunError

HOMES = {
    "data": "dagrec_cli.data.",
    "split": "dagrec_cli.data.",
    "model": "dagrec_cli.models.",
    "loss": "dagrec_cli.losses.",
    "sampler": "dagrec_cli.samplers.",
    "trainer": "dagrec_cli.training.",
    "logger": "dagrec_cli.reporting.loggers.",
}
PATHS = ("path", "store")  # settings that name files
SHOWN = 60  # characters of a refused text that a message repeats


def checked_config(config: Mapping[str, Any], file: Path, trusted: Collection[str]) -> DictConfig:
    """Return a run's whole config, safe to run again.

    Parameters
    ----------
    trusted
        Groups that the user names himself, whose paths may lead anywhere.

    Raises
    ------
    RunError
        See :func:`checked_node`.
    """
    for key, value in config.items():
        if key not in HOMES:
            for place, text in _texts(value, key):
                _refuse_lookup(place, text, file)
    nodes = {g: checked_node(config, g, file, is_trusted=g in trusted) for g in HOMES}
    return OmegaConf.create({**config, **nodes})


def checked_node(
    config: Mapping[str, Any], group: str, file: Path, *, is_trusted: bool = False
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
    is_trusted
        True to let paths lead out of the working folder.

    Raises
    ------
    RunError
        If the group is missing, its ``_target_`` is no class of the group's package, a text holds
        an interpolation or leads out of the working folder, or an unknown file would be fetched.
    """
    node = config.get(group)
    if not isinstance(node, Mapping):
        raise RunError(f"{file}: no {group} in it; it is no config of dagrec train.")
    if not str(node.get("_target_")).startswith(HOMES[group]):
        raise RunError(
            f"{file}: {group}._target_ is {node.get('_target_')!r}; only classes of "
            f"{HOMES[group].rstrip('.')} are built from a run folder."
        )
    for key, text in _texts(node, group):
        _refuse_lookup(key, text, file)
        if leads_out(key, text) and not is_trusted:
            raise RunError(
                f"{file}: {key} is {text[:SHOWN]!r}; a run folder may only name paths below the "
                f"working folder. If you trust it, add {key}={text[:SHOWN]} (to dagrec evaluate, "
                f"{group}=OPTION, too)."
            )
    if node.get("download") and node["download"] not in _public_files():
        raise RunError(f"{file}: {group}.download is no public file of configs/data; not fetched.")
    return OmegaConf.create({str(key): value for key, value in node.items()})


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
            f"{file}: {key} is {text[:SHOWN]!r}; a run folder must not look anything up, "
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
    if key.rpartition(".")[2].partition("[")[0] not in PATHS:
        return False
    here = Path.cwd().resolve()
    return not all(path.resolve().is_relative_to(here) for path in _reached(text))


def _reached(text: str) -> Iterator[Path]:
    """Yield what a path or glob may make a reader open."""
    for each in (text, *(glob.iglob(text, recursive=True) if glob.has_magic(text) else ())):
        yield Path(each)
        for folder, inside, files in os.walk(each):
            yield from (Path(folder, name) for name in (*inside, *files))


def _public_files() -> list[Any]:
    options = [OmegaConf.load(file) for file in (config_dir() / "data").glob("*.yaml")]
    return [OmegaConf.to_container(option).get("download") for option in options]  # type: ignore[union-attr]
