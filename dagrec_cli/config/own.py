"""Configs of the user: none may have the name of a built-in one, which Hydra takes instead."""

import os
from collections.abc import Iterable
from pathlib import Path

from dagrec_cli.config.paths import config_dir
from dagrec_cli.errors import ConfigError

SCHEME = "file://"  # which a search path may have


def check_own(folders: Iterable[str]) -> None:
    """Raise ConfigError if a file in one of the folders has the place and name of a built-in one.

    Hydra looks into the built-in folders first, and does not say that there was another file.
    """
    import hydra.conf

    for folder in folders:
        place = Path(folder.removeprefix(SCHEME))
        for built_in in (config_dir(), Path(hydra.conf.__path__[0])):
            for file in sorted(built_in.rglob("*.yaml")):  # the user's folder may be any
                own = place / file.relative_to(built_in)
                if os.path.exists(own) and not os.path.samefile(own, file):
                    raise ConfigError(
                        f"{own} would be hidden by the built-in {file}; rename it, such as "
                        f"my_{own.name}."
                    )
