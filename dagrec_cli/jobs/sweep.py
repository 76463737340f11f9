"""``dagrec train -m``: where a sweep goes on, what is told meanwhile, and its table.

Launchers differ in what they do when a process dies, so nothing here relies on what they return: a
job is done when its folder holds a ``result.json`` that is newer than the sitting's beginning.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from traceback import walk_tb
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from dagrec_cli.app.hydra_errors import is_about_settings
from dagrec_cli.app.hydra_main import overrides_of
from dagrec_cli.config.words import quoted
from dagrec_cli.errors import DagrecError, RunError
from dagrec_cli.training.interrupt import heard

POLL = 0.25  # seconds
LONGEST = 160  # characters of what a launcher says


@dataclass
class Sitting:
    """One call of ``dagrec train -m``.

    Attributes
    ----------
    folder
        The sweep's folder, absolute.
    config
        The config without what is swept.
    jobs
        Overrides of each job by its folder.
    hold
        Holds the folder until it is closed, so that no other sitting begins in it.
    is_one_by_one
        True once a launcher gave up and each job gets a launch of its own.
    """

    folder: Path
    config: DictConfig
    jobs: Mapping[Path, Sequence[str]]
    hold: ExitStack
    is_one_by_one: bool = False
    start: float = field(default_factory=time.monotonic)
    told: set[Path] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)
    telling: threading.Lock = field(default_factory=threading.Lock)

    @property
    def names(self) -> dict[Path, str]:
        """A name for each job: its number, and what not every job has."""
        common = set.intersection(*map(set, self.jobs.values())) if len(self.jobs) > 1 else set()
        return {
            path: " ".join([f"job {k}", *(o for o in overrides if o not in common)])
            for k, (path, overrides) in enumerate(self.jobs.items())
        }

    @property
    def left(self) -> list[Path]:
        """The jobs without a result of this sitting."""
        from dagrec_cli.jobs.sweep_folder import has_ended

        return [path for path in self.jobs if not has_ended(path, self.folder)]

    def watch(self) -> None:
        """Say what comes of each job until the sitting ends."""
        while not self.ended.wait(POLL):
            self.tell()

    def tell(self) -> None:
        """Say what came of the jobs that have ended and were not told of yet."""
        from dagrec_cli.jobs.sweep_folder import outcome

        with self.telling:
            left = set(self.left)
            for path, name in self.names.items():
                if path not in self.told and path not in left:
                    self.told.add(path)
                    minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
                    text, is_finished = outcome(path, self.folder)
                    stream = sys.stdout if is_finished else sys.stderr
                    place = f"{len(self.told)}/{len(self.jobs)} {minutes}:{seconds:02}"
                    stream.write(f"[{place}] {name} {text}\n")
                    stream.flush()

    def wait(self) -> None:
        """Wait until no process works on a job any more."""
        from dagrec_cli.runs.folder import is_in_use

        while any(map(is_in_use, self.jobs)):
            time.sleep(POLL)

    def end(self) -> None:
        """Stop watching, and say what was not told yet."""
        self.ended.set()
        self.tell()


_SITTINGS: list[Sitting] = []  # at most one: Hydra makes the callback itself, and several times


class _Refused(SystemExit):
    """A sitting that cannot begin; Hydra would turn an Exception of a callback into a warning."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Sweep(Callback):
    """Hydra callback: choose the sweep's folder before its sweeper and launcher are made."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Go on in the newest folder that was begun with the same overrides, or in a new one."""
        hydra = config.hydra
        if not hydra.sweeper._target_.endswith(".BasicSweeper"):  # others have ends of their own
            return
        if not _SITTINGS:
            try:
                _SITTINGS.append(_begin(config))
            except Exception as error:  # or the jobs would run without a sweep around them
                raise _Refused(error) from error
            threading.Thread(target=_SITTINGS[0].watch, daemon=True).start()
        sitting = _SITTINGS[0]
        with read_write(hydra), open_dict(hydra):
            hydra.sweep.dir = str(sitting.folder)
            words = [f"hydra.sweep.dir={quoted(str(sitting.folder))}"]
            if hydra.runtime.choices["hydra/launcher"] == "submitit_local":  # all at once, unshared
                share = max(1, (os.cpu_count() or 1) // len(sitting.jobs))
                words.append(f"+hydra.job.env_set.OMP_NUM_THREADS='{share}'")
            hydra.overrides.hydra.extend(words)
            if sitting.is_one_by_one:
                hydra.sweeper.max_batch_size = 1


def run_sweep(run: Callable[[], None]) -> None:
    """Run Hydra; if that was a sweep, print and write its table, whatever came of its jobs.

    Raises
    ------
    Exception
        What keeps the sweep from beginning, such as another process in its folder.
    KeyboardInterrupt
        If the user stops it, after the table over what is finished.
    """
    _SITTINGS.clear()
    try:
        _launch(run)
        n_failed = _show(_SITTINGS[0]) if _SITTINGS else 0
    except _Refused as refused:
        raise refused.error from None
    except KeyboardInterrupt as stop:
        if not _SITTINGS:
            raise
        heard()
        if not _broke_off_import(stop):
            _show(_SITTINGS[0])
        raise KeyboardInterrupt("interrupted; the same command goes on with the rest.") from None
    finally:
        for sitting in _SITTINGS:
            sitting.ended.set()
            sitting.hold.close()
    if n_failed:
        sys.exit(1)


def _broke_off_import(error: BaseException | None) -> bool:
    """Return whether Ctrl-C came during an import.

    Such a package must not be imported again: pandas and torch then end the process with a
    segmentation fault, matplotlib with an error.
    """
    while error is not None:
        frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
        if any(name.startswith("<frozen importlib") for name in frames):
            return True
        error = error.__context__
    return False


def _begin(config: DictConfig) -> Sitting:
    from dagrec_cli.data.plain_files import check_own_folders
    from dagrec_cli.jobs.sweep_folder import newest_sweep, write_sweep_request
    from dagrec_cli.jobs.sweep_jobs import jobs_of
    from dagrec_cli.runs.claim import SWEEP, TRAINING, check_free
    from dagrec_cli.runs.folder import RunFolder

    hydra = config.hydra
    given = overrides_of(hydra)
    path = Path(hydra.sweep.dir)
    is_given = any(each.startswith("hydra.sweep.dir=") for each in given["hydra"])
    if not is_given and not config.rerun:
        path = newest_sweep(path.parent, given["task"]) or path
    folder, hold = RunFolder(path.absolute()), ExitStack()
    check_free(folder.path, SWEEP, "hydra.sweep.dir")
    jobs = jobs_of(config, given["task"], folder.path)
    for job in jobs:
        check_free(job, TRAINING, "hydra.sweep.subdir")
        check_own_folders(job, folder.path)
    hold.enter_context(folder.locked("hydra.sweep.dir"))
    write_sweep_request(folder, given["task"])
    return Sitting(folder.path, config, jobs, hold)


def _launch(run: Callable[[], None]) -> None:
    """Run Hydra; if a process dies and the launcher gives up, launch what is left one by one."""
    while True:
        try:
            run()
            error = None
        except Exception as raised:
            error = raised
        if error and (not _SITTINGS or _is_mistake(error)):
            raise error
        if not _SITTINGS:
            return
        sitting = _SITTINGS[0]
        if error is None:
            return
        sitting.wait()
        if not sitting.left:
            return
        _after_death(sitting, sitting.left, error)
        sitting.is_one_by_one = True


def _is_mistake(error: Exception) -> bool:
    """Return whether a setting is wrong, so that no launch could go better."""
    return isinstance(error, DagrecError) or is_about_settings(error)


def _after_death(sitting: Sitting, left: Sequence[Path], error: Exception) -> None:
    from dagrec_cli.jobs.sweep_folder import has_begun, write_death

    text = shorten(f"{type(error).__name__}: {error}", LONGEST, placeholder=" …")
    if not any(has_begun(path, sitting.folder) for path in sitting.jobs):
        name = sitting.config.hydra.runtime.choices["hydra/launcher"]
        raise RunError(f"hydra/launcher={name} could not start a job: {text}") from error
    if sitting.is_one_by_one:
        write_death(left[0], text, sitting.jobs[left[0]])


def _show(sitting: Sitting) -> int:
    """Write and print table and report; return how many jobs did not finish."""
    from rich.console import Console

    from dagrec_cli.app.output import say_report_is_drawn
    from dagrec_cli.config.build import build
    from dagrec_cli.jobs.sweep_folder import save_sweep_table, sweep_entries, sweep_table
    from dagrec_cli.loggers.base import SafeLogger
    from dagrec_cli.reporting.report import ReportSheet, write_report
    from dagrec_cli.reporting.terminal import to_rich
    from dagrec_cli.runs.folder import RunFolder

    sitting.end()
    folder, config = RunFolder(sitting.folder), sitting.config
    entries = sweep_entries(sitting.names)
    table = sweep_table(entries, n_jobs=len(sitting.jobs), metric=config.trainer.monitor)
    save_sweep_table(table, folder)
    console = Console()
    console.print(to_rich(table, console.width))
    say_report_is_drawn()
    report = write_report(folder, "dagrec train -m", [ReportSheet([table], entries)])
    sys.stdout.write(f"Sweep folder: {_short(folder.path)}\nReport: {_short(report)}\n")
    if any(not entry.reason for entry in entries):  # else its logger may be what is missing
        logger = build(config.logger, "logger")
        SafeLogger(lambda line: sys.stderr.write(f"{line}\n")).end_sweep(logger, folder)
    return sum(bool(entry.reason) for entry in entries)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
