"""What a launcher calls to run a job, in the process of the engine or in any other."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dagrec_cli.app.failures import explain
from dagrec_cli.app.hydra_main import overrides_of, own_folders
from dagrec_cli.config.where import use_code
from dagrec_cli.errors import InUseError, TrainingError
from dagrec_cli.jobs.job import request_of
from dagrec_cli.runs.folder import SWEEP_REQUEST, RunFolder
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.record import write_failure
from dagrec_cli.runs.state import fits
from dagrec_cli.training.interrupt import STOPPING, is_pressed
from dagrec_cli.training.progress import Progress, Silent, progress


@dataclass(frozen=True)
class Task:
    """What a launcher calls with a job's config, in this process or in another.

    Attributes
    ----------
    owner
        The process that waits for its jobs.
    stop
        A file that is there once they are to end; None where Ctrl-C is ignored.
    resume
        Whether a job that was stopped continues from its checkpoints.
    progress
        Whether a job of the owner's own process shows how far it is.
    """

    owner: int
    stop: Path | None
    resume: bool
    progress: Any

    def __call__(self, config: DictConfig) -> None:
        """Run a job; whatever comes of it is in its folder."""
        use_code(own_folders(HydraConfig.get()))
        if os.getpid() == self.owner:
            run_job(config, progress(self.progress), resume=self.resume)
        elif self.stop is None:
            run_job(config, nullcontext(Silent()), resume=self.resume)
        elif not self.stop.exists():
            with _taking_ctrl_c():
                shown = nullcontext(WorkerProgress(self.stop, HydraConfig.get().runtime.output_dir))
                run_job(config, shown, resume=self.resume)


@contextmanager
def _taking_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end what runs inside, and nothing else: its owner has heard of it, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, before)


class WorkerProgress(Silent):
    """Shows nothing, and looks after each epoch whether the job is to end.

    Parameters
    ----------
    stop
        The file that says so.
    folder
        Of the job, which stands before its lines, as they are among those of others.
    """

    def __init__(self, stop: Path, folder: str) -> None:
        super().__init__(lambda line: sys.stderr.write(f"{os.path.relpath(folder)}: {line}\n"))
        self._stop = stop
        self._is_stopping = False

    def step(self, done: int, detail: str = "") -> None:
        """Press Ctrl-C for the owner, once."""
        if not self._is_stopping and self._stop.exists():
            signal.raise_signal(signal.SIGINT)

    def say(self, line: str) -> None:
        """Hand a line on, but what the owner says once for all its jobs."""
        if line == STOPPING:
            self._is_stopping = True
        else:
            super().say(line)


def run_job(config: DictConfig, display: AbstractContextManager[Progress], *, resume: bool) -> None:
    """Run the job that Hydra has made this process's own; a failure is its result.

    Parameters
    ----------
    display
        Shows how far it is.
    resume
        Whether it continues from its checkpoints, if it was begun with the same settings and data.

    Raises
    ------
    KeyboardInterrupt
        If the user stops it.
    """
    from dagrec_cli.experiment.fit import run_experiment

    hydra = HydraConfig.get()
    folder, sweep = RunFolder(Path(hydra.runtime.output_dir)), Path(hydra.sweep.dir)
    words = overrides_of(hydra)["task"]
    parent = str(sweep) if (sweep / SWEEP_REQUEST).is_file() else None
    request = Request({}, words, parent)
    try:
        request = request_of(hydra, config, words, parent)
        with display as shown:
            is_begun = resume and fits(folder.path, config)
            run_experiment(config, folder, request, shown, resume=is_begun)
    except (InUseError, TrainingError):  # whoever holds the folder, or the run, writes its result
        return
    except Exception as error:
        if is_pressed():  # and a library made it another error
            raise KeyboardInterrupt from error
        line = explain(error, "train") or f"{type(error).__name__}: {error}"
        write_failure(folder, request, line)
