"""A job: one config of ``dagrec train``, one folder, one rule for whether it need not be run."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override, RangeSweep
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import is_part
from dagrec_cli.config.where import code_sha256
from dagrec_cli.data.split_base import Split
from dagrec_cli.errors import ConfigError, DagrecError, ForeignError, visible
from dagrec_cli.reporting.tables import heading, short
from dagrec_cli.runs.folder import RESULT, is_in_use
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.state import State, fits, state_of

POLL = 0.25  # seconds
MOST_JOBS = 10_000  # at a time; composing one takes some hundredths of a second
SHOWN = ("accuracy", "ndcg")  # of a job that has finished
OTHER_RUN = State("begun", "its folder holds a run of other settings, data or version")


@dataclass(frozen=True)
class Job:
    """One experiment of many.

    Attributes
    ----------
    name
        For reading.
    overrides
        Overrides of ``dagrec train``.
    folder
        Its run folder, absolute.
    config
        What the overrides compose to, with Hydra's own settings.
    number
        From 0 on, among those that are run together.
    """

    name: str
    overrides: tuple[str, ...]
    folder: Path
    config: DictConfig = field(repr=False, compare=False)
    number: int = 0

    @property
    def state(self) -> State:
        """What came of it; what its folder holds of other settings or data does not count."""
        with as_hydra_config(self.config):
            return job_state(self.folder, without_hydra(self.config))

    def check_kept(self) -> None:
        """Raise ForeignError if it would replace a finished run of other settings."""
        if self.state is OTHER_RUN:
            raise ForeignError(
                f"{self.folder}: it holds a finished run of other settings; rerun=true replaces "
                "it, hydra.sweep.dir=FOLDER writes elsewhere."
            )


def check_number(n_jobs: int) -> None:
    """Raise ConfigError unless there is a job, and no more than can be composed."""
    if not 1 <= n_jobs <= MOST_JOBS:
        raise ConfigError(
            f"{n_jobs:,} jobs are asked for; give values for one or more, {MOST_JOBS:,} at most."
        )


def count_values(override: Override) -> int:
    """Return of how many values each job gets one; those of a range are not listed.

    Raises
    ------
    ConfigError
        If a range has no step, or no end.
    """
    if not override.is_sweep_override() or override.is_interval_sweep():
        return 1
    sweep = override.value()
    if not isinstance(sweep, RangeSweep):
        return sum(1 for _ in override.sweep_string_iterator())
    start, stop, step = (Decimal(number or 0) for number in (sweep.start, sweep.stop, sweep.step))
    try:
        return max(0, ceil((stop - start) / step))
    except (ArithmeticError, ValueError) as error:
        raise ConfigError(
            f"{override.input_line}: a range has two ends, and a step that is not 0."
        ) from error


def n_parts(config: DictConfig) -> int:
    """Return how many parts the split of a config has, of which it names none; else 1."""
    try:
        split: Split = build(config.split, "split", kind=Split)
    except DagrecError:  # said when it is run
        return 1
    return 1 if split.part is not None else split.n_parts


def by_part(job: Job) -> list[Job]:
    """Return a job for each part of a job's split, in a folder of its own below the job's.

    A split of one part, or one whose part was named, leaves the job as it is.
    """
    n = n_parts(job.config)
    if n == 1:
        return [job]
    check_number(n)
    parts = []
    for number in range(n):
        word, config = f"split.part={number}", deepcopy(job.config)
        config.split.part = number
        parts.append(
            replace(
                job,
                name=f"{job.name} {word}",
                overrides=(*job.overrides, word),
                folder=job.folder / f"part{number}",
                config=config,
            )
        )
    return parts


def job_state(folder: Path, config: DictConfig) -> State:
    """Return what came of a job, which is done if its state is ``finished``."""
    state = state_of(folder)
    if state.run is None:
        return state
    try:
        is_done = fits(folder, config)
    except DagrecError:  # the data cannot be read, so nothing better could come
        is_done = True
    except OmegaConfBaseException:  # said when it is run
        is_done = False
    return state if is_done else OTHER_RUN


def in_words(state: State, metrics: Sequence[str] = SHOWN) -> str:
    """Return what came of a job, in one line."""
    if state.run:
        figures = state.run.finished.metrics
        return ", ".join(f"{heading(name)} {short(figures[name])}" for name in metrics)
    is_asked = state.kind == "stopped" and state.reason == "interrupted"
    return visible(state.reason if is_asked else f"failed: {state.reason}")


def request_of(
    hydra: Any, config: DictConfig, overrides: Sequence[str], sweep: str | None = None
) -> Request:
    """Return what a run was asked for.

    Parameters
    ----------
    hydra
        Hydra's own settings.
    config
        The others.
    overrides
        As they were written.
    sweep
        Folder of the sweep that it is a job of, if it is one.
    """
    choices = {str(k): str(v) for k, v in hydra.runtime.choices.items() if is_part(str(k))}
    return Request(choices, list(overrides), sweep, code_sha256(plain(config)))


def without_hydra(config: DictConfig) -> DictConfig:
    """Return the settings of ``dagrec train`` alone."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


@contextmanager
def as_hydra_config(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:…}`` look into this config, as it will in the job."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


class JobBatch:
    """Jobs that are launched together.

    Parameters
    ----------
    tell
        Called once with each job that comes to a result.

    Attributes
    ----------
    jobs
        All of them.
    left
        Those without a result since the batch was made.
    """

    def __init__(self, jobs: Sequence[Job], tell: Callable[[Job], object]) -> None:
        self.jobs, self.left, self._tell = list(jobs), list(jobs), tell
        places = [path for job in jobs for path in (job.folder, job.folder / RESULT)]
        self._before = {path: _stamp(path) for path in places}

    @property
    def begun(self) -> list[Job]:
        """Those left that have written into their folders."""
        return [job for job in self.left if self._is_new(job.folder)]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell of each job as it ends; a single one is told of when its launch is over."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(POLL):
                self.look()

        thread = threading.Thread(target=watch, daemon=True)
        if len(self.jobs) > 1:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if thread.ident:
                thread.join()
            self.look()  # whatever ended the launch: a job may have ended just before

    def look(self) -> None:
        """Tell of the jobs that have come to a result."""
        for job in list(self.left):
            if self._is_new(job.folder / RESULT) and not is_in_use(job.folder):
                self.left.remove(job)
                self._tell(job)

    def _is_new(self, path: Path) -> bool:
        return _stamp(path) not in (None, self._before[path])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written anew, or something in a folder."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
