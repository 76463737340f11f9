"""Hands a command's task to Hydra with that command's own config."""

import os
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from omegaconf import DictConfig

from dagrec_cli.app.hints import unknown_flag
from dagrec_cli.config.comments import option_names
from dagrec_cli.config.deciding import is_part
from dagrec_cli.config.where import config_dir, installed, use_code
from dagrec_cli.config.words import typed
from dagrec_cli.errors import ConfigError

if TYPE_CHECKING:
    from hydra.conf import HydraConf

LONGEST_KEY, SHOWN_OF_KEY = 200, 60  # letters of a setting; those that a message repeats
SHELLS = ("install=", "uninstall=", "query=")


def run_with_hydra(command: str, task: Callable[[DictConfig], object]) -> None:
    """Compose the config of ``dagrec COMMAND`` with the overrides in ``sys.argv``; run the task.

    An error of a single run is carried past Hydra, which would print a line of its own for it. A
    task that writes nothing leaves no folder.

    Raises
    ------
    ConfigError
        If a flag is not Hydra's, or is used wrongly.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from dagrec_cli.config.compose import use_folders
    from dagrec_cli.runs.folder import RunFolder

    sys.argv[1:] = typed(sys.argv[1:])
    flags = _check_flags(command)
    folders = [*filter(None, [flags.config_dir])]
    _check_words(command)
    use_folders(folders, _search_path())
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting
    failures: list[Exception] = []

    @wraps(task)
    def run_task(config: DictConfig) -> object:
        job = HydraConfig.get()
        try:
            use_code(own_folders(job))  # a launcher's process has not done so
            return task(config)
        except Exception as error:
            if job.mode == RunMode.MULTIRUN:
                raise
            failures.append(error)
            return None
        finally:
            RunFolder(Path(job.runtime.output_dir)).remove_if_empty()

    if flags.help:
        from dagrec_cli.app.help import print_command_help

        print_command_help(command, flags.overrides, folders)
        return
    name = command.replace(" ", "_")
    with nullcontext() if folders or _search_path() or installed() else _composed_once():
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(run_task)()
    if failures:
        raise failures[0]


@contextmanager
def _composed_once() -> Iterator[None]:
    """Spare Hydra the first of two compositions, a third of the time until a small task begins.

    It looks there for ``hydra.mode``, which no config of ours sets.
    """
    from hydra._internal.hydra import Hydra

    plain = Hydra.get_mode
    if not any(word.lstrip("+").startswith("hydra.mode=") for word in sys.argv[1:]):
        Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = plain  # type: ignore[method-assign]


def _check_words(command: str) -> None:
    """Raise ConfigError for what Hydra would take: several options, or too long a setting."""
    for word in sys.argv[1:]:
        key, is_setting, value = word.partition("=")
        if is_setting and len(key) > LONGEST_KEY:
            raise ConfigError(
                f"unknown setting '{key[:SHOWN_OF_KEY]}…' of {len(key):,} letters; "
                f"dagrec {command} --help lists all of them."
            )
        several = value[1:-1].split(",")
        if value.startswith("[") and is_part(key) and set(several) <= set(option_names(key)):
            each = ",".join(several)
            raise ConfigError(f"{key} takes one option; to run each, write -m {key}={each}.")


def overrides_of(hydra: "DictConfig | HydraConf") -> dict[str, list[str]]:
    """Return the words given for a task (``task``) and for Hydra (``hydra``), as they were written.

    Reading them from the node would resolve what they look up, such as ``${hydra.job.num}``, which
    only a job has.
    """
    from omegaconf import OmegaConf

    given = OmegaConf.to_container(hydra.overrides)
    assert isinstance(given, dict)
    return {str(kind): [str(word) for word in words] for kind, words in given.items()}


def own_folders(hydra: "DictConfig | HydraConf") -> list[str]:
    """Return the folders of a task that ``-cd`` named."""
    return [
        source.path for source in hydra.runtime.config_sources if source.provider == "command-line"
    ]


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; --help lists the flags.")


def _search_path() -> list[str]:
    """Return the folders that the user adds with ``hydra.searchpath``."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [word for word in sys.argv[1:] if word.startswith("hydra.searchpath=")]
    given = [override.value() for override in OverridesParser.create().parse_overrides(words)]
    return [str(place) for places in given if isinstance(places, list) for place in places]


def _check_flags(command: str) -> Namespace:
    """Read the command line as Hydra will, to say in one line what it would answer with a page."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.exit_on_error = False
    parser.error = _refuse  # type: ignore[method-assign]  # or it ends the program with a page
    try:
        flags, unknown = parser.parse_known_args()
    except ArgumentError as error:
        raise ConfigError(f"{error}; --help lists the flags.") from error
    for word in unknown:
        if not word.startswith("-"):
            raise ConfigError(
                f"a flag stands between settings, before {word!r}; write flags before all settings "
                "or after them."
            )
        raise ConfigError(unknown_flag(word, parser._option_string_actions, command))
    if flags.experimental_rerun:
        raise ConfigError("--experimental-rerun reads a pickle and is not supported.")
    if flags.shell_completion and not any(word.startswith(SHELLS) for word in flags.overrides):
        raise ConfigError("-sc needs to know what to do, such as dagrec -sc install=bash.")
    return flags
