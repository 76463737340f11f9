"""Where configs and code lie: the package's, those in the user's folder, of installed packages.

Built-in configs and installed code come first, so a file in the user's folder (``-cd mine``) that
one of them would hide is refused.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dagrec_cli.errors import ConfigError, short_path

PACKAGE = Path(__file__).resolve().parent.parent
SCHEME = "file://"  # which a search path may have
ENTRY_POINTS = "dagrec.configs"  # group of those that bring configs
IN_BRACES = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")  # ${HOME}; ${seed} is Hydra's
_VARIABLE = re.compile(rf"{IN_BRACES.pattern}|\$([A-Za-z_]\w*)")
CONFIG_FLAGS = ("-cd", "--config-dir")

_FOLDERS: list[Path] = []  # whose code is the user's, on this command line


def config_dir() -> Path:
    """Return the folder of the YAML groups (``model/``, ``loss/``, …).

    It is inside the installed package, or beside it in a checkout.
    """
    packaged = PACKAGE / "configs"
    return packaged if packaged.is_dir() else PACKAGE.parent / "configs"


@cache
def options(group: str) -> dict[str, dict[str, Any]]:
    """Return the content of every built-in option of a group by its name; of no group, nothing."""
    from omegaconf import OmegaConf

    files = sorted((config_dir() / group).glob("*.yaml"))
    return {file.stem: OmegaConf.to_container(OmegaConf.load(file)) for file in files}  # type: ignore[misc]


@cache
def agreed(group: str) -> dict[str, Any]:
    """Return the settings that several built-in options of a group have, all with one value.

    What options share grows. A YAML of the user's, or of an earlier run, that does not name the
    newest setting has its value from here, so that it stands in the built-in YAML files alone.
    An option that is built upon another one, and so names no class, says what it has of its own.
    """
    classes = [option for option in options(group).values() if "_target_" in option]
    named = [item for option in classes for item in option.items()]
    values = {name: [value for key, value in named if key == name] for name, _ in named}
    return {name: v[0] for name, v in values.items() if len(v) > 1 and v.count(v[0]) == len(v)}


def read_yaml(
    group: str, name: str, own_configs: Sequence[str]
) -> tuple[dict[str, Any] | None, str]:
    """Return the content of ``GROUP/NAME.yaml``, None if there is no such file, and its places.

    Parameters
    ----------
    own_configs
        Folders of the user's own, which are looked into first.
    """
    from omegaconf import OmegaConf

    files = [Path(place, group, f"{name}.yaml") for place in (*own_configs, str(config_dir()))]
    file = next(filter(Path.is_file, files), None)
    content: Any = file and OmegaConf.to_container(OmegaConf.load(file))
    return content, " or ".join(map(str, files))


def user_path(text: object) -> Path:
    """Return a path that a user typed, see :func:`expanded`."""
    return Path(expanded(str(text)))


def expanded(text: str) -> str:
    """Return a path with ``~`` as the home folder, and ``$NAME`` and ``${NAME}`` as in a shell.

    What lies there under that very name is meant as it is. ``~nobody`` stays.

    Raises
    ------
    ConfigError
        If a variable is not set.
    """
    if os.path.lexists(text):
        return text
    return _VARIABLE.sub(variable, os.path.expanduser(text))


def variable(match: re.Match[str]) -> str:
    """Return the value of the environment's variable that a pattern's group names.

    Raises
    ------
    ConfigError
        If it is not set.
    """
    name = match[match.lastindex or 0]
    if name not in os.environ:
        raise ConfigError(
            f"{match.string!r}: no variable {name} is set; set it, or write out what it stands for."
        )
    return os.environ[name]


def check_own(folders: Iterable[str]) -> None:
    """Raise ConfigError if a file in one of the folders has the place and name of a built-in one.

    Hydra looks into the built-in folders first, then into those of installed packages, and does not
    say that there was another file.
    """
    import hydra.conf

    above = [config_dir(), Path(hydra.conf.__path__[0])]
    for package in installed():
        _check_seen(package, above)
        above.append(package)
    for folder in folders:
        _check_seen(Path(folder.removeprefix(SCHEME)), above)


def _check_seen(place: Path, above: Iterable[Path]) -> None:
    for built_in in above:
        for file in sorted(built_in.rglob("*.yaml")):  # the user's folder may be any
            users_file = place / file.relative_to(built_in)
            if os.path.exists(users_file) and not os.path.samefile(users_file, file):
                raise _hidden(users_file, file)


def installed() -> list[Path]:
    """Return the config folders of installed packages.

    Raises
    ------
    ConfigError
        If a package says that it has one, and has none.
    """
    from importlib.metadata import entry_points

    folders = []
    for entry in sorted(entry_points(group=ENTRY_POINTS)):
        package, *inside = entry.value.split(".")
        places = [place.joinpath(*inside) for place in _places(package)]  # nothing is imported
        if not (there := [place for place in places if place.is_dir()]):
            raise ConfigError(
                f"the entry point {entry.name} of {ENTRY_POINTS} names {entry.value!r}, but there "
                "is no such folder; install its package again, or uninstall it."
            )
        folders += [place for place in there if place not in folders]
    return folders


def split_flag(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the folders that ``-cd FOLDER`` names among the words of a command, and the rest."""
    folders, rest = [], []
    left = iter(words)
    for word in left:
        flag, equals, value = word.partition("=")
        if flag in CONFIG_FLAGS:
            folders.append(expanded(value if equals else next(left, "")))
        else:
            rest.append(word)
    return folders, rest


def use_code(folders: Iterable[str]) -> None:
    """Let the code in the user's folders be imported, and no other folder's count as his."""
    _FOLDERS[:] = [Path(folder.removeprefix(SCHEME)).absolute() for folder in folders]
    sys.path += [str(folder) for folder in _FOLDERS if str(folder) not in sys.path]


def config_flag() -> list[str]:
    """Return the words of a command line that name the user's folder, if there is one."""
    return [CONFIG_FLAGS[0], str(short_path(_FOLDERS[0]))] if _FOLDERS else []


def packages_of(config: Mapping[str, Any]) -> list[str]:
    """Return the packages, other than this one, whose classes a config names."""
    nodes = [node for node in config.values() if isinstance(node, Mapping)]
    packages = {str(node["_target_"]).partition(".")[0] for node in nodes if "_target_" in node}
    return sorted(packages - {PACKAGE.name})


def is_own(package: str) -> bool:
    """Return whether the code of a package lies in the user's folder."""
    return package.isidentifier() and any(
        (folder / f"{package}.py").is_file() or (folder / package).is_dir() for folder in _FOLDERS
    )


def check_code(package: str) -> None:
    """Raise ConfigError if the code of a package in the user's folder would not be what is run."""
    places = _places(package) if is_own(package) else []
    for place in places[:1]:
        if not any(path.is_relative_to(folder) for path in places for folder in _FOLDERS):
            raise _hidden(_FOLDERS[0] / f"{package}.py", place)


def code_sha256(config: Mapping[str, Any]) -> str:
    """Return a hash of the code that a config runs besides this package; empty if it runs none.

    All of the user's folder counts, since one file of it may use another.
    """
    packages = packages_of(config)
    places = {
        place
        for package in packages
        for place in (_FOLDERS if is_own(package) else _places(package))
    }
    total = hashlib.sha256()
    for place in sorted(places):
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            total.update(file.read_bytes())
    return total.hexdigest() if packages else ""


def _places(package: str) -> list[Path]:
    """Return the folders of a package, or the file of a module; nothing if it is not there."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    named = spec.submodule_search_locations or filter(None, [spec.origin])
    return [place for place in map(Path, named) if place.exists()]  # some are inside Python itself


def _hidden(file: Path, by: Path) -> ConfigError:
    return ConfigError(
        f"{file} would be hidden by the built-in {by}; rename it, such as my_{file.name}."
    )
