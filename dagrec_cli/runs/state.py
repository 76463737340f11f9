"""What came of a run folder, and whether it need not be run again: the one place that decides."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.where import code_sha256
from dagrec_cli.data.cache import CachedSource
from dagrec_cli.errors import DagrecError, RunError
from dagrec_cli.runs.folder import RESULT, is_in_use
from dagrec_cli.runs.provenance import config_hash
from dagrec_cli.runs.resume import read_start
from dagrec_cli.runs.run import Run


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
        start = read_start(path)
    except RunError:
        return False
    settings = plain(config)
    if start.config_sha256 != config_hash(settings, code=code_sha256(settings)):
        return False
    source: CachedSource = build(config.data, "data")
    return source.sha256() == start.data_sha256


def done_run(path: Path, config: DictConfig) -> Run | None:
    """Return the run in a folder if running a config there would only make it again.

    It is finished, its files are whole, and it was begun with this config on data of the same
    content by this version.

    Raises
    ------
    DagrecError
        If the data cannot be read.
    """
    run = state_of(path).run
    return run if run and fits(path, config) else None
