"""The config that a command line has, composed without one: for tables, Python, and messages."""

from collections.abc import Sequence

from omegaconf import DictConfig

from dagrec_cli.config.own import check_own, use_code
from dagrec_cli.config.paths import config_dir
from dagrec_cli.config.words import as_typed, quoted


def composed(command: str, words: Sequence[str], own_configs: Sequence[str] = ()) -> DictConfig:
    """Return the config of ``dagrec COMMAND WORDS``, with Hydra's own settings in it.

    Parameters
    ----------
    own_configs
        Folders of the user's own configs.

    Raises
    ------
    HydraException
        If a word does not fit the config.
    ConfigError
        If a built-in config would hide one of the user's.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from dagrec_cli.config.installed import register

    register()
    check_own(own_configs)
    use_code(own_configs)
    places = ",".join(quoted(f"file://{each}") for each in own_configs)
    search_path = [f"hydra.searchpath=[{places}]"] if own_configs else []
    around = GlobalHydra.instance().hydra  # of a program that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            words = [*map(as_typed, words), *search_path]
            return compose(command.replace(" ", "_"), words, return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = around
