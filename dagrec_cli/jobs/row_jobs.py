"""The rows of a table as jobs: run in parallel processes, or reused if they finished before.

A row is one experiment of ``dagrec train`` with several seeds. Its folder is named by a hash of its
whole config and of the version that decides its numbers, so equal rows of two tables are one job.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import plain
from dagrec_cli.config.compose import composed
from dagrec_cli.config.where import code_sha256
from dagrec_cli.data.plain_files import check_own_folder
from dagrec_cli.data.processes import SPAWN, end_with_parent
from dagrec_cli.errors import DagrecError, InUseError
from dagrec_cli.jobs.sweep_folder import write_death
from dagrec_cli.runs.folder import RESULT, RunFolder
from dagrec_cli.runs.provenance import Request, config_hash, is_part
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import fits, state_of, whole_run
from dagrec_cli.training.interrupt import heard, is_pressed, listening

ROWS = "rows"
STOPPING = "Rows stop after their epoch; Ctrl-C again stops at once."
INTERRUPTED = 130


@dataclass(frozen=True)
class RowJob:
    """One row to run.

    Attributes
    ----------
    overrides
        Overrides of ``dagrec train``, the seeds included.
    folder
        The row's run folder.
    own_configs
        Folders of the user's own configs.
    """

    overrides: tuple[str, ...]
    folder: Path
    own_configs: tuple[str, ...] = ()

    @classmethod
    def of(cls, overrides: Sequence[str], below: Path, own_configs: Sequence[str] = ()) -> "RowJob":
        """Return the job of a row, its folder below ``below``.

        Raises
        ------
        HydraException
            If an override does not fit the config of ``dagrec train``.
        """
        config, request = compose_train(overrides, own_configs)
        name = config_hash(plain(config), with_place=True, code=request.code_sha256)
        folder = below / name[:16]
        return cls(tuple(overrides), folder, tuple(own_configs))

    @property
    def is_done(self) -> bool:
        """Whether the row was finished, on data of the same content as far as that is at hand."""
        if self.finished is None:
            return False
        try:
            return fits(self.folder, compose_train(self.overrides, self.own_configs)[0])
        except DagrecError:  # the data is not at hand, so nothing better could come
            return True

    @property
    def finished(self) -> Run | None:
        """The row's run, if it finished and its files are whole."""
        return whole_run(self.folder)

    @property
    def reason(self) -> str:
        """Why the row is not finished; empty if it is."""
        return state_of(self.folder).reason


def compose_train(
    overrides: Sequence[str], own_configs: Sequence[str] = ()
) -> tuple[DictConfig, Request]:
    """Return the config that ``dagrec train OVERRIDES`` would have, and what it was asked for."""
    return parted(composed("train", overrides, own_configs), overrides)


def parted(config: DictConfig, overrides: Sequence[str]) -> tuple[DictConfig, Request]:
    """Part a composed config into the settings of ``dagrec train`` and what it was asked for."""
    chosen = OmegaConf.to_container(config.hydra.runtime.choices)
    choices = {str(k): str(v) for k, v in chosen.items() if is_part(str(k))}  # type: ignore[union-attr]
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return config, Request(choices, list(overrides), code_sha256=code_sha256(plain(config)))


def run_all(
    jobs: Sequence[RowJob],
    n_jobs: int,
    *,
    resume: bool,
    watch: Callable[[RowJob], None],
    say: Callable[[str], None],
) -> None:
    """Run jobs, each in a process of its own; each leaves a ``result.json``, also if it fails.

    Parameters
    ----------
    n_jobs
        Processes at a time.
    resume
        Whether a job that was stopped goes on from its checkpoints.
    watch
        Called with each job that has ended.
    say
        Prints a line.

    Raises
    ------
    KeyboardInterrupt
        If the user stops it; the jobs that ran have then kept a checkpoint.
    """
    waiting = list(jobs)
    running: dict[int, tuple[SpawnProcess, RowJob]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_jobs:
                process = _start(waiting[0], resume)
                running[process.sentinel] = process, waiting.pop(0)
            for job in _take_ended(running):
                watch(job)
    except KeyboardInterrupt:
        heard()  # the rows end in order first
        say(STOPPING)
        _stop(running)
        raise
    finally:
        for process, _ in running.values():
            process.terminate()


def _stop(running: dict[int, tuple[SpawnProcess, RowJob]]) -> None:
    """Let each job end after its epoch."""
    for process, _ in running.values():
        if process.pid and process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    while running:
        _take_ended(running)


def _start(job: RowJob, resume: bool) -> SpawnProcess:
    check_own_folder(job.folder)
    process = SPAWN.Process(target=_be_started, args=(job, resume))
    resource_tracker.ensure_running()  # or it starts with the process, and allows Ctrl-C
    with _no_ctrl_c():  # the process begins like this, and allows it when it can stop in order
        process.start()
    return process


def _take_ended(running: dict[int, tuple[SpawnProcess, RowJob]]) -> list[RowJob]:
    """Wait for a process to end, take out those that have, and return their jobs."""
    ended = []
    for sentinel in connection.wait(list(running)):
        assert isinstance(sentinel, int)
        process, job = running.pop(sentinel)
        process.join()
        code = process.exitcode or 0
        if code not in (0, INTERRUPTED):
            told = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            write_death(job.folder, told, job.overrides)
        ended.append(job)
    return ended


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_started(job: RowJob, resume: bool) -> None:
    os.setpgrp()  # a terminal's Ctrl-C is for the parent, which passes it on
    end_with_parent()
    try:
        with listening():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            run_row(job, resume=resume)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def run_row(job: RowJob, *, resume: bool) -> None:
    """Run one job in this process; torch gets one thread, since rows run side by side."""
    from dagrec_cli.experiment.fit import STOPPING, run_experiment
    from dagrec_cli.training.progress import Silent

    class Row(Silent):
        def say(self, line: str) -> None:
            if line != STOPPING:  # the parent says it once for all
                super().say(line)

    config, request = compose_train([*job.overrides, "threads=1"], job.own_configs)
    try:
        goes_on = resume and fits(job.folder, config)
        run_experiment(config, RunFolder(job.folder), request, Row(), resume=goes_on)
    except InUseError:  # whoever holds the folder writes its result
        return
    except Exception as error:
        if is_pressed():  # and a library made it another error
            raise KeyboardInterrupt from error
        line = str(error) if isinstance(error, DagrecError) else f"{type(error).__name__}: {error}"
        content: dict[str, Any] = {"status": "failed", "error": line, "overrides": job.overrides}
        RunFolder(job.folder).write_json(RESULT, content)
