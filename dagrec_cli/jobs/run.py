"""The engine: runs jobs by one of Hydra's launchers, says what comes of each, and continues.

Launchers differ in what they return, and in what they do when a process dies, so nothing here
relies on either: what came of a job is what its folder says.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING
from uuid import uuid4

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from dagrec_cli.app.failures import is_about_settings
from dagrec_cli.app.hydra_main import overrides_of
from dagrec_cli.config.words import quoted
from dagrec_cli.data.plain_files import check_own_folder
from dagrec_cli.errors import DagrecError, RunError
from dagrec_cli.jobs.job import POLL, SHOWN, Job, JobBatch, in_words
from dagrec_cli.jobs.plugins import PoolLauncher, check_plugin, register
from dagrec_cli.jobs.task import Task
from dagrec_cli.runs.folder import RunFolder, is_in_use
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.record import write_failure
from dagrec_cli.runs.state import state_of
from dagrec_cli.training.interrupt import heard, stop_on_request
from dagrec_cli.training.progress import Progress, Silent, progress

if TYPE_CHECKING:
    from hydra.conf import HydraConf

ELSEWHERE = ("hydra.run.", "hydra.mode=", "hydra/launcher=")  # of a command, not of its jobs
LONGEST_REASON = 160  # characters of what a launcher says
JOBS_STOPPING = "Jobs stop after their epoch; Ctrl-C again stops at once."
CONTINUES = "interrupted; the same command continues with the rest."
STARTS_AGAIN = "interrupted; the same command starts from scratch, since it reuses nothing."
THREADS = "OMP_NUM_THREADS"
SHARING = {"pool", "submitit_local"}  # do not share out the machine's cores themselves


class Display:
    """Says, once, what came of each job: ``[3/12 0:42] name: accuracy .71, nDCG .84``.

    Parameters
    ----------
    n_jobs
        How many there are.
    bar
        Shows how many have ended.
    metrics
        Those that are shown.
    n_before
        How many of them an earlier command has run.
    is_quiet
        Whether no line is said.
    """

    def __init__(
        self,
        n_jobs: int,
        bar: Progress,
        metrics: Sequence[str] = SHOWN,
        n_before: int = 0,
        *,
        is_quiet: bool = False,
    ) -> None:
        self._n_jobs, self._bar, self._metrics = n_jobs, bar, metrics
        self._n_reached, self._is_quiet = n_before, is_quiet
        self._start = time.monotonic()
        self.reached: set[Path] = set()  # folders of the jobs that were run or are reused
        self.is_stopping = False  # of jobs that end now only those that have finished are shown

    def tell(self, job: Job, *, is_reused: bool = False) -> None:
        """Say what came of a job that was run now, or is reused."""
        state = state_of(job.folder)
        if self.is_stopping and state.run is None:
            return
        self.reached.add(job.folder)
        self._n_reached += 1
        self._bar.step(self._n_reached)
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        place = f"{self._n_reached}/{self._n_jobs} {minutes}:{seconds:02}"
        before = "finished before: " if is_reused else ""
        line = f"[{place}] {job.name}: {before}{in_words(state, self._metrics)}"
        if not isinstance(self._bar, Silent):
            self._bar.say(line)
        elif not self._is_quiet:
            stream = sys.stdout if state.run else sys.stderr
            stream.write(f"{line}\n")
            stream.flush()


class Engine:
    """Composes jobs and runs them.

    Parameters
    ----------
    config
        That of ``dagrec train -m``; its launcher is used.
    context
        Hydra's way to compose.
    folder
        Of all jobs, absolute.

    Raises
    ------
    ConfigError
        If the launcher is none, or has another setting than it takes.
    """

    def __init__(self, config: DictConfig, context: HydraContext, folder: Path) -> None:
        check_plugin(config, "launcher", Launcher)
        self.config, self._context, self.folder = config, context, folder
        hydra = config.hydra
        with read_write(hydra), open_dict(hydra):
            hydra.sweep.dir = str(folder)
            hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")
        self._name = str(hydra.runtime.choices["hydra/launcher"])

    @property
    def is_in_turn(self) -> bool:
        """Whether jobs are run one after another, in this process."""
        return self._name == "basic"

    def parse(self, words: Sequence[str]) -> list[Override]:
        """Return overrides as Hydra reads them, ranges and choices included."""
        return OverridesParser.create(self._context.config_loader).parse_overrides(list(words))

    def compose(self, overrides: Sequence[str], number: int = 0) -> DictConfig:
        """Return the config of a job, with Hydra's own settings in it.

        Raises
        ------
        HydraException
            If an override does not fit the config of ``dagrec train``.
        """
        config = self._context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = number
        return config

    @contextmanager
    def display(
        self, n_jobs: int, metrics: Sequence[str] = SHOWN, n_before: int = 0
    ) -> Iterator[Display]:
        """Open the display of some jobs, with a bar where they do not show one themselves."""
        wanted = self.config.progress
        with progress(False if self.is_in_turn else wanted) as bar:
            bar.start("jobs", n_jobs)
            yield Display(n_jobs, bar, metrics, n_before, is_quiet=wanted is False)

    def run(self, jobs: Sequence[Job], display: Display, *, resume: bool) -> None:
        """Run jobs; each leaves a result, also if it fails.

        Parameters
        ----------
        display
            Says what came of each.
        resume
            Whether jobs that are done are reused, and those that were begun continue.

        Raises
        ------
        DagrecError
            If a setting keeps them from being run, or a folder is none of theirs.
        KeyboardInterrupt
            If the user stops it; says what the same command will do.
        """
        todo = []
        for job in jobs:
            if resume and job.state.run:
                display.tell(job, is_reused=True)
            else:
                check_own_folder(job.folder)
                todo.append(job)
        stop = self.folder / f".stop-{uuid4().hex}"
        is_deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        task = Task(os.getpid(), None if is_deaf else stop, resume, self.config.progress)
        launcher = Plugins.instance().instantiate_launcher(self._context, task, self.config)

        def ask_to_stop() -> None:
            stop.touch()
            display.is_stopping = True
            sys.stderr.write(f"{JOBS_STOPPING}\n")

        try:
            if self.is_in_turn:
                for job in todo:
                    self._run_alone(launcher, job, display)
            else:
                with stop_on_request(ask_to_stop):
                    self._run_together(launcher, todo, display, stop)
        except KeyboardInterrupt as press:
            heard()
            raise KeyboardInterrupt(CONTINUES if resume else STARTS_AGAIN) from press
        finally:
            stop.unlink(missing_ok=True)

    def _run_together(
        self, launcher: Launcher, jobs: Sequence[Job], display: Display, stop: Path
    ) -> None:
        """Launch jobs at once; if a process dies, those that had begun alone, then the others."""
        left = list(jobs)
        while left and not stop.exists():
            batch = JobBatch(left, display.tell)
            died = self._launch(launcher, batch)
            if died and batch.left == batch.jobs and not batch.begun:
                raise RunError(f"hydra/launcher={self._name} could not start a job: {died}")
            begun = batch.begun if died else batch.left
            left = [job for job in batch.left if job not in begun]
            for job in begun:
                if stop.exists():
                    return
                if died:
                    self._run_alone(launcher, job, display)
                else:
                    display.tell(job)

    def _run_alone(self, launcher: Launcher, job: Job, display: Display) -> None:
        """Launch a single job; if its process dies, that is its result."""
        batch = JobBatch([job], display.tell)
        died = self._launch(launcher, batch)
        if batch.left:
            if died:
                request = Request({}, list(job.overrides))
                write_failure(RunFolder(job.folder), request, f"its process died: {died}")
            display.tell(job)

    def _launch(self, launcher: Launcher, batch: "JobBatch") -> str:
        """Launch a batch, and return in words how the launcher gave up; empty if it did not."""
        try:
            with batch.watched():
                words = [self._words(job, len(batch.jobs)) for job in batch.jobs]
                launcher.launch(words, batch.jobs[0].number)
        except Exception as error:
            if isinstance(error, DagrecError) or is_about_settings(error):
                raise  # no launch could go better
            while any(is_in_use(job.folder) for job in batch.left):
                time.sleep(POLL)
            batch.look()
            return shorten(f"{type(error).__name__}: {error}", LONGEST_REASON, placeholder=" …")
        return ""

    def _words(self, job: Job, n_jobs: int) -> list[str]:
        """Return what a launcher is given of a job."""
        words = [*job.overrides, f"hydra.sweep.subdir={quoted(str(job.folder))}"]
        hydra = self.config.hydra
        if self._name in SHARING and THREADS not in hydra.job.env_set:
            n_at_once = OmegaConf.select(hydra.launcher, "n_jobs") or n_jobs
            share = max(1, (os.cpu_count() or 1) // n_at_once)
            words.append(f"+hydra.job.env_set.{THREADS}='{share}'")
        return words


def engine_of(hydra: "DictConfig | HydraConf", folder: Path, *words: str) -> Engine:
    """Return an engine for a command other than ``dagrec train``, with that command's launcher.

    Parameters
    ----------
    hydra
        Hydra's own settings in that command.
    folder
        Of all jobs, absolute.
    words
        Settings of ``dagrec train`` and of the launcher, where the command line has none.
    """
    register(PoolLauncher)
    loader = GlobalHydra.instance().config_loader()
    launcher = f"hydra/launcher={hydra.runtime.choices['hydra/launcher']}"
    given = [word for word in overrides_of(hydra)["hydra"] if not word.startswith(ELSEWHERE)]
    overrides = [launcher, *words, *given, "hydra.mode=MULTIRUN"]
    config = loader.load_configuration("train", overrides, RunMode.MULTIRUN)
    return Engine(config, HydraContext(loader, Callbacks()), folder)
