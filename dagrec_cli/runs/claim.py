"""Which folder a command may fill: an empty one, or one that it filled before.

A command removes and replaces files of its own names, such as ``config.yaml`` or ``checkpoints/``.
In a folder of the user's these are the user's, and in that of another command they are a result.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.errors import ForeignError, RunError
from dagrec_cli.runs.folder import REQUEST, RESULT, SWEEP_REQUEST

TRAINING, EVALUATION, SWEEP, TABLES = "a training", "an evaluation", "a sweep", "tables"
TABLE_KEYS = {"title", "columns", "rows", "notes"}
LARGEST_FILE = 2**26  # bytes of a file that is looked into


def check_free(
    path: Path, what: str, setting: str = "hydra.run.dir", besides: Collection[str] = ()
) -> None:
    """Refuse to fill a folder that holds anything else than the same command left.

    Parameters
    ----------
    path
        The folder; it need not exist. Names that begin with a dot do not count, nor do logs.
    what
        One of the names above.
    setting
        What names another folder.
    besides
        Names that do not count, either.

    Raises
    ------
    ForeignError
        If there is something else.
    """
    if not path.is_dir() or (found := content_of(path, besides)) in ("", what):
        return
    told = f"that of {found}" if found else "not empty, and not a folder that dagrec made"
    raise ForeignError(
        f"{path}: {told}; nothing is written there, name a new folder for {what}: {setting}=FOLDER."
    )


def content_of(path: Path, besides: Collection[str] = ()) -> str | None:
    """Return what of ours a folder holds; empty if nothing is there, None if it is another's."""
    names = {each.name for each in path.iterdir() if not each.name.startswith(".")} - set(besides)
    if all(name.endswith(".log") for name in names):
        return ""
    if "overrides" in _content(path / SWEEP_REQUEST):
        return SWEEP
    result = _content(path / RESULT)
    if {"status", "overrides"} <= result.keys():
        return EVALUATION if result.get("run") else TRAINING
    if {"choices", "overrides", "data_sha256"} <= _content(path / REQUEST).keys():
        return TRAINING
    tables = (name for name in sorted(names) if name.endswith(".json"))
    return TABLES if any(_content(path / name).keys() >= TABLE_KEYS for name in tables) else None


def _content(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(read_plain(file, LARGEST_FILE))
    except (OSError, RunError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
