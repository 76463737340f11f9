"""Configs that installed packages bring: Hydra looks into their folders behind the built-in one.

A package says so by an entry point of the group ``dagrec.configs``, whose value is a package with
config groups in its folder: ``mymodels = "mymodels.configs"``.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from dagrec_cli.config.own import ENTRY_POINTS, SCHEME, installed


class InstalledConfigs(SearchPathPlugin):
    """Hands the folders to Hydra."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add them."""
        for folder in installed():
            search_path.append(ENTRY_POINTS, f"{SCHEME}{folder}")


def register() -> None:
    """Make the plugin known to Hydra."""
    Plugins.instance().register(InstalledConfigs)
