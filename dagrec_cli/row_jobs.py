"""The rows of a table as jobs: run in parallel processes, or reused if they finished before.

A row is one experiment of ``dagrec train`` with several seeds. Its folder is named by a hash of its
whole config and of the versions that decide its numbers, so equal rows of two tables are one job.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import plain
from dagrec_cli.config.paths import config_dir
from dagrec_cli.errors import DagrecError, InUseError
from dagrec_cli.reporting.provenance import Request, config_hash, is_part
from dagrec_cli.reporting.run_folder import RESULT, RunFolder
from dagrec_cli.reporting.runs import Run

ROWS = "rows"


@dataclass(frozen=True)
class RowJob:
    """One row to run.

    Attributes
    ----------
    overrides
        Overrides of ``dagrec train``, the seeds included.
    folder
        The row's run folder.
    """

    overrides: tuple[str, ...]
    folder: Path

    @classmethod
    def of(cls, overrides: Sequence[str], below: Path) -> "RowJob":
        """Return the job of a row, its folder below ``below``.

        Raises
        ------
        HydraException
            If an override does not fit the config of ``dagrec train``.
        """
        config, _ = compose_train(overrides)
        return cls(tuple(overrides), below / config_hash(plain(config))[:16])

    @property
    def finished(self) -> Run | None:
        """The row's run, if it finished."""
        try:
            run = Run.load(self.folder)
        except DagrecError:
            return None
        return run if run.is_finished else None


def compose_train(overrides: Sequence[str]) -> tuple[DictConfig, Request]:
    """Return the config that ``dagrec train OVERRIDES`` would have, and what it was asked for."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    chosen = OmegaConf.to_container(config.hydra.runtime.choices)
    choices = {str(k): str(v) for k, v in chosen.items() if is_part(str(k))}  # type: ignore[union-attr]
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return config, Request(choices, list(overrides))


def run_all(jobs: Sequence[RowJob], n_jobs: int, watch: Callable[[int], None]) -> None:
    """Run jobs, ``n_jobs`` processes at a time; each leaves a ``result.json``, also if it fails.

    Parameters
    ----------
    watch
        Called with the number of jobs that have ended.
    """
    if not jobs:
        return
    # spawn: a fork would copy torch's thread pool in whatever state it is.
    with ProcessPoolExecutor(min(n_jobs, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run_row, job): job for job in jobs}
        for done, future in enumerate(as_completed(futures), start=1):
            if (error := future.exception()) is not None:  # the process died
                _write_failure(futures[future], f"{type(error).__name__}: {error}")
            watch(done)


def run_row(job: RowJob) -> None:
    """Run one job in this process; torch gets one thread, since rows run side by side."""
    from dagrec_cli.experiment import run_experiment
    from dagrec_cli.training.progress import Silent

    config, request = compose_train([*job.overrides, "threads=1"])
    try:
        run_experiment(config, RunFolder(job.folder), request, Silent())
    except InUseError:  # whoever holds the folder writes its result
        return
    except Exception as error:
        line = str(error) if isinstance(error, DagrecError) else f"{type(error).__name__}: {error}"
        _write_failure(job, line)


def _write_failure(job: RowJob, line: str) -> None:
    content: dict[str, Any] = {"status": "failed", "error": line, "overrides": job.overrides}
    RunFolder(job.folder).write_json(RESULT, content)
