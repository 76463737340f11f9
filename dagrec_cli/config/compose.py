"""The config that a command line has, composed without one: for tables, Python, and messages.

Hydra looks into the folder of built-in configs first, then into those of installed packages (which
name them by an entry point, ``mymodels = "mymodels.configs"``), then into the user's.
"""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from dagrec_cli.config.where import (
    ENTRY_POINTS,
    SCHEME,
    check_own,
    config_dir,
    installed,
    use_code,
)
from dagrec_cli.config.words import quoted, typed


class InstalledConfigs(SearchPathPlugin):
    """Hands the folders of installed packages to Hydra."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add them."""
        for folder in installed():
            search_path.append(ENTRY_POINTS, f"{SCHEME}{folder}")


def use_folders(folders: Sequence[str], search_path: Sequence[str] = ()) -> None:
    """Let configs and code of installed packages and of the user's folders be used.

    Parameters
    ----------
    search_path
        Further folders of configs alone, which the user gave to Hydra.

    Raises
    ------
    ConfigError
        If a built-in config would hide one of them.
    """
    Plugins.instance().register(InstalledConfigs)
    check_own([*folders, *search_path])
    use_code(folders)


def composed(command: str, words: Sequence[str], folders: Sequence[str] = ()) -> DictConfig:
    """Return the config of ``dagrec COMMAND WORDS``, with Hydra's own settings in it.

    Parameters
    ----------
    folders
        Those of the user's own configs and code.

    Raises
    ------
    HydraException
        If a word does not fit the config.
    ConfigError
        If a built-in config would hide one of the user's.
    """
    use_folders(folders)
    places = ",".join(quoted(f"file://{folder}") for folder in folders)
    search_path = [f"hydra.searchpath=[{places}]"] if folders else []
    outer = GlobalHydra.instance().hydra  # of a program that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            words = [*typed(words), *search_path]
            return compose(command.replace(" ", "_"), words, return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = outer
