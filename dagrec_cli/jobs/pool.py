"""``hydra/launcher=pool``: jobs side by side in processes of this machine, without an extra."""

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from signal import SIGTERM, Signals
from typing import ClassVar

from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.plugin import Plugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from dagrec_cli.config.kinds import Count, check
from dagrec_cli.data.processes import process_pool

PLUGINS = "hydra_plugins.dagrec"  # Hydra takes plugins of this package only


def register(*plugins: type[Plugin]) -> None:
    """Make launchers and sweepers of this part known to Hydra."""
    for plugin in plugins:
        Plugins.instance().class_name_to_class[f"{PLUGINS}.{plugin.__name__}"] = plugin


class PoolLauncher(Launcher):
    """Runs ``n_jobs`` jobs at a time; a process that has ended one takes the next.

    Raises
    ------
    ConfigError
        If ``n_jobs`` is no number of 1 or more.
    """

    def __init__(self, n_jobs: int) -> None:
        check("hydra.launcher.n_jobs", n_jobs, Count)
        self._n_jobs = n_jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over."""
        self._job = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run lists of overrides, and return what came of each.

        Raises
        ------
        BrokenProcessPool
            If a process dies, of what; the others are stopped then.
        """
        hydra = Singleton.get_state()["instances"]
        workers: list[BaseProcess] = []
        try:
            n_processes = min(self._n_jobs, len(job_overrides))
            with process_pool(n_processes, _Worker.begin, *self._job, hydra) as pool:
                ended = [
                    pool.submit(_Worker.run, list(words), number)
                    for number, words in enumerate(job_overrides, initial_job_idx)
                ]
                workers += active_children()
                return [JobReturn(status=job.result()) for job in ended]
        except BrokenProcessPool as error:
            codes = [process.exitcode for process in workers]
            causes = [code for code in codes if code not in (0, None, -SIGTERM)]
            raise BrokenProcessPool(_exit_in_words(*causes[:1])) from error


def _exit_in_words(code: int = -SIGTERM) -> str:
    return f"exit code {code}" if code > 0 else Signals(-code).name


class _Worker:
    """Does in another process what Hydra's own launcher does in this one."""

    context: ClassVar[HydraContext]
    task: ClassVar[TaskFunction]
    config: ClassVar[DictConfig]

    @classmethod
    def begin(
        cls,
        context: HydraContext,
        task: TaskFunction,
        config: DictConfig,
        hydra: dict[type, object],
    ) -> None:
        """Take what all jobs share."""
        cls.context, cls.task, cls.config = context, staticmethod(task), config
        setup_globals()
        state = {**Singleton.get_state(), "instances": hydra}  # resolvers do not pickle
        Singleton.set_state(state)

    @classmethod
    def run(cls, words: list[str], number: int) -> JobStatus:
        """Run a job and return how it ended.

        The status alone, since a config may not pickle: Hydra imports its plugins' modules anew.
        """
        job = cls.context.config_loader.load_sweep_config(cls.config, words)
        with open_dict(job):
            job.hydra.job.id = job.hydra.job.num = number
        ended = run_job(
            hydra_context=cls.context,
            task_function=cls.task,
            config=job,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return ended.status
