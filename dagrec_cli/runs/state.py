"""What a folder holds: what came of a run, whether it is done, which command may fill it.

A command removes and replaces files of its own names, such as ``config.yaml`` or ``checkpoints/``,
so it may fill an empty folder, or one that it filled before. In a folder of the user's these files
are the user's, and in that of another command they are a result.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import config_hash
from dagrec_cli.data.cache import CachedSource
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.errors import DagrecError, ForeignError, RunError, short_path
from dagrec_cli.runs.folder import CHECKPOINTS, REQUEST, RESULT, SWEEP_REQUEST, is_in_use
from dagrec_cli.runs.record import RunStart, read_record
from dagrec_cli.runs.run import Run

TRAINING, EVALUATION, SWEEP, TABLES = "a training", "an evaluation", "a sweep", "tables"
SCORE = "a score"  # of what another tool predicted
TABLE_KEYS = {"title", "columns", "rows", "notes"}
LARGEST_FILE = 2**26  # bytes of a file that is looked into


@dataclass(frozen=True)
class State:
    """What came of a run folder.

    Attributes
    ----------
    kind
        ``absent``: there is no folder; ``in use``: a process works in it; ``begun``: it has no
        result, so it was stopped; ``stopped``: its result says that it failed or was interrupted;
        ``damaged``: a file of it cannot be read, or does not fit the others; ``finished``.
    reason
        Why it is not finished, in one line; empty if it is.
    run
        The finished run, every file of which was read; None if it is not finished.
    """

    kind: Literal["absent", "in use", "begun", "stopped", "damaged", "finished"]
    reason: str = ""
    run: Run | None = None


def state_of(path: Path) -> State:
    """Return what came of a run folder; whatever is wrong with it is a state, not an error."""
    if not path.is_dir():
        return State("absent", "did not start")
    if is_in_use(path):
        return State("in use", "in use by another process")
    try:
        run = Run.load(path)
        if not run.is_finished:
            return State("stopped", run.reason)
        run.check()
    except (DagrecError, OSError) as error:
        if not (path / RESULT).exists():
            return State("begun", "stopped without a result")
        return State("damaged", str(error))
    return State("finished", run=run)


def fits(path: Path, config: DictConfig) -> bool:
    """Return whether this version began a folder with a config, on data of the same content.

    What decides no figure may differ, such as where the data lie.

    Raises
    ------
    DagrecError
        If the data cannot be read.
    """
    try:
        start = read_record(path, RunStart)
    except (OSError, RunError):
        return False
    # The hash holds the version too: figures of two versions are never one result.
    if start.config_sha256 != config_hash(plain(config)):
        return False
    source: CachedSource = build(config.data, "data")
    return source.sha256() == start.data_sha256


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
    if not path.is_dir() or (content := content_of(path, besides)) in ("", what):
        return
    owner = f"that of {content}" if content else "not empty, and not a folder that dagrec made"
    raise ForeignError(
        f"{path}: {owner}; nothing is written there, name a new folder for {what}: "
        f"{setting}=FOLDER."
    )


def check_new(path: Path, what: str, *, word: str = "overwrite", asked: bool) -> None:
    """Refuse as :func:`check_free` does, and to replace what the same command left, unless asked.

    Of a training that is what has finished, or has a checkpoint to continue from.

    Parameters
    ----------
    word
        The setting that asks for it.

    Raises
    ------
    ForeignError
        If something would be replaced.
    """
    check_free(path, what)
    if asked or not path.is_dir() or content_of(path) != what:
        return
    is_training = what == TRAINING
    is_done = not is_training or _content(path / RESULT).get("status") == "finished"
    if is_done or (path / CHECKPOINTS).exists():
        continues = f"resume={short_path(path)} continues it, " if is_training else ""
        raise ForeignError(
            f"{path}: it holds {what} already; {continues}{word}=true replaces it, "
            "hydra.run.dir=FOLDER writes elsewhere."
        )


def content_of(path: Path, besides: Collection[str] = ()) -> str | None:
    """Return what of ours a folder holds; empty if nothing is there, None if it is another's."""
    names = {file.name for file in path.iterdir() if not file.name.startswith(".")} - set(besides)
    if all(name.endswith(".log") for name in names):
        return ""
    if "overrides" in _content(path / SWEEP_REQUEST):
        return SWEEP
    result = _content(path / RESULT)
    if {"status", "overrides"} <= result.keys():
        if str(result.get("command_line")).startswith("dagrec score"):
            return SCORE
        return EVALUATION if result.get("run") else TRAINING
    if {"choices", "overrides", "data_sha256"} <= _content(path / REQUEST).keys():
        return TRAINING
    tables = (name for name in sorted(names) if name.endswith(".json"))
    return TABLES if any(_content(path / name).keys() >= TABLE_KEYS for name in tables) else None


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_plain(file, LARGEST_FILE))
    except (OSError, RunError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
