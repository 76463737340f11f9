"""What the readers of Galaxy's formats share: a tool's short id, and where public data lie."""

import os
from pathlib import Path

from dagrec_cli.config.paths import user_path
from dagrec_cli.errors import DataError

_TOOL = 2  # place of the tool after ".../repos/": owner, repository, tool, version


def short_id(tool: str) -> str:
    """Return the name of a tool without its tool shed, owner, repository and version.

    ``toolshed.g2.bx.psu.edu/repos/iuc/rgrnastar/rna_star/2.7.11a`` is ``rna_star``; a built-in
    tool (``Cut1``) keeps its id.
    """
    parts = tool.partition("/repos/")[2].split("/")
    return parts[_TOOL] if len(parts) > _TOOL else tool


def given_or_at_hand(path: str | None, at_hand: str, what: str) -> Path:
    """Return the path that the user gives, or else ``$DAGREC_DATA_DIR/<at_hand>``.

    Raises
    ------
    DataError
        If neither is there; the message names ``what`` to give.
    """
    if path is not None:
        return user_path(path)
    if folder := os.environ.get("DAGREC_DATA_DIR"):
        found = Path(folder) / at_hand
        if found.exists():
            return found
        missing = f"{found} does not exist"
    else:
        missing = "DAGREC_DATA_DIR is not set"
    raise DataError(f"data.path is null and {missing}; give {what} with data.path=PATH.")
