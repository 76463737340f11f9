"""Where the configs lie: inside the installed package, or beside it in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def config_dir() -> Path:
    """Return the folder of the YAML groups (``model/``, ``loss/``, …)."""
    packaged = PACKAGE / "configs"
    return packaged if packaged.is_dir() else PACKAGE.parent / "configs"
