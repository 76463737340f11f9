"""Our launcher and sweepers among Hydra's, and the check of what a config has for one.

``hydra/launcher=pool`` runs jobs side by side in processes of this machine, without an extra.
"""

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields, is_dataclass
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from signal import SIGTERM, Signals
from typing import Annotated, Any, ClassVar

from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.plugin import Plugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from msgspec import Meta
from omegaconf import DictConfig, OmegaConf, open_dict

from dagrec_cli.config.build import parameters_of
from dagrec_cli.config.kinds import Count, check
from dagrec_cli.data.processes import process_pool
from dagrec_cli.errors import ConfigError, did_you_mean

PLUGINS = "hydra_plugins.dagrec"  # Hydra takes plugins of this package only
OF_OTHERS = {"n_jobs": Annotated[int, Meta(le=-1)] | Count}  # joblib: -1 are all cores, -2 but one


def register(*plugins: type[Plugin]) -> None:
    """Make launchers and sweepers of this part known to Hydra."""
    for plugin in plugins:
        Plugins.instance().class_name_to_class[f"{PLUGINS}.{plugin.__name__}"] = plugin


def check_plugin(config: DictConfig, group: str, kind: type[Plugin]) -> None:
    """Raise ConfigError unless Hydra's node is one of its plugins, with settings that it has.

    Nothing is imported or called by the name that the node has.

    Parameters
    ----------
    config
        With Hydra's own settings.
    group
        ``launcher`` or ``sweeper``.
    kind
        Base class of such plugins.
    """
    node = config.hydra[group]
    target = node.get("_target_") if isinstance(node, DictConfig) else node
    plugin = Plugins.instance().class_name_to_class.get(target)
    if plugin is None or not issubclass(plugin, kind):
        raise ConfigError(
            f"hydra.{group} is {'null' if target is None else repr(target)}, no {group} of "
            f"Hydra's; choose one by its name, as in hydra/{group}=basic."
        )
    schema = OmegaConf.get_type(node)
    names = [field.name for field in fields(schema)] if is_dataclass(schema) else []
    kinds = {name: OF_OTHERS.get(name, Any) for name in names} | parameters_of(plugin)
    kinds.pop("_target_", None)
    for name in filter("_target_".__ne__, node if names or kinds else ()):
        if name not in kinds:
            hint = did_you_mean(name, kinds, f"hydra.{group}.")
            option = f"hydra/{group}={config.hydra.runtime.choices[f'hydra/{group}']}"
            raise ConfigError(
                f"hydra.{group}.{name} is no setting of {option}; {hint}it has "
                f"{', '.join(kinds) or 'none'}."
            )
        check(f"hydra.{group}.{name}", node[name], kinds[name])


class JobSweeper(Sweeper):
    """What our sweepers share: they check their settings, and their jobs have an own task."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over.

        Raises
        ------
        ConfigError
            If a setting is of another kind than the constructor takes, or out of its range.
        """
        check_plugin(config, "sweeper", Sweeper)
        self._context, self._config = hydra_context, config


class PoolLauncher(Launcher):
    """Runs ``n_jobs`` jobs at a time; a process that has ended one takes the next."""

    def __init__(self, *, n_jobs: Count) -> None:
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
