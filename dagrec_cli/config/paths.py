"""Where the configs lie, inside the installed package or beside it in a checkout; users' paths."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def config_dir() -> Path:
    """Return the folder of the YAML groups (``model/``, ``loss/``, …)."""
    packaged = PACKAGE / "configs"
    return packaged if packaged.is_dir() else PACKAGE.parent / "configs"


def user_path(text: object) -> Path:
    """Return a path that a user typed, with ``~`` as the home folder.

    ``~nobody`` stays as it is, where :meth:`pathlib.Path.expanduser` raises.
    """
    return Path(os.path.expanduser(str(text)))
