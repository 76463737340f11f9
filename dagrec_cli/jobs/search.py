"""``hydra/sweeper=optuna``: a search for settings that can be stopped and goes on where it was.

Hydra's own plugin is bound to Optuna 2, adds ``n_trials`` to those that a study has, and never
comes back to a trial that died with its process; hence this one.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dagrec_cli.config.words import as_typed
from dagrec_cli.errors import ConfigError, InUseError, RunError, install, visible
from dagrec_cli.jobs.pool import PLUGINS

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from optuna import Study
    from optuna.trial import FrozenTrial

    from dagrec_cli.jobs.search_space import SearchSpace
    from dagrec_cli.jobs.study import Trial
    from dagrec_cli.runs.folder import RunFolder

NAME = f"{PLUGINS}.OptunaSweeper"
SIDE = "evaluate_on"
SQLITE_FILES = ("", "-journal", "-wal", "-shm")  # what it adds to the name of a database


def check_no_search(sweeper: DictConfig, overrides: Sequence[str], folder: "RunFolder") -> None:
    """Raise ConfigError if a single run has a search's settings, unless it says on what to end."""
    if sweeper._target_ == NAME and not any(word.startswith(f"{SIDE}=") for word in overrides):
        folder.remove_if_empty()
        raise ConfigError(
            "a search runs many trials; add -m: dagrec train -m experiment=search. For a single "
            f"run with its settings add {SIDE}=test."
        )


class OptunaSweeper(Sweeper):
    """Runs trials until a study has enough of them, then the best one on all training pairs.

    Parameters
    ----------
    study_name
        The same name goes on with the same study.
    folder
        Where trials and study go, unless the user names another ``hydra.sweep.dir``.
    storage
        Optuna's storage URL.
    n_trials
        Trials that the study has in the end, failed ones included.
    n_jobs
        Trials that the launcher gets at a time.
    seed
        Of the sampler.
    params
        Ranges by setting.
    """

    def __init__(
        self,
        *,
        study_name: object,
        folder: str,
        storage: str,
        n_trials: int,
        n_jobs: int,
        seed: int,
        params: DictConfig,
    ) -> None:
        from dagrec_cli.config.build import plain

        self.study_name: Any = study_name  # checked before it is used
        self.storage = storage
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.seed = seed
        self.params = [as_typed(f"{key}={value}") for key, value in plain(params).items()]

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over."""
        self._config = config
        self._loader = hydra_context.config_loader
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search, run the best, and say what was found.

        Raises
        ------
        ConfigError
            If a setting is out of range, there is nothing to search or to validate on, or Optuna
            is missing.
        RunError
            If the study cannot be read or written, or was begun with other settings, or no trial
            succeeded.
        KeyboardInterrupt
            If the user stops it.
        """
        space = self._space(arguments)  # before anything is imported that needs Optuna
        from dagrec_cli.jobs.search_end import finish
        from dagrec_cli.jobs.search_study import open_study, trials_of
        from dagrec_cli.runs.claim import SWEEP, SWEEP_REQUEST, check_free
        from dagrec_cli.runs.folder import RunFolder

        self._folder = RunFolder(Path(self._config.hydra.sweep.dir))
        self._monitor = str(self._config.trainer.monitor)
        check_free(self._folder.path, SWEEP, "hydra.sweep.dir", besides=self._check_storage())
        with self._in_use():
            study = open_study(self.study_name, self.storage, space, self._config)
            self._folder.write_json(SWEEP_REQUEST, {"overrides": arguments})
            self._run(study, space)
            drawn = enumerate(trials_of(study, space))
            trials = [self._trial(place, each, space) for place, each in drawn]
            finish(self._folder, trials, space, self._monitor, self._launch)

    def _space(self, arguments: list[str]) -> "SearchSpace":
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from dagrec_cli.config.kinds import Count, Natural, check
        from dagrec_cli.jobs.search_space import SearchSpace

        if not isinstance(self.study_name, str):
            raise ConfigError(
                f"hydra.sweeper.study_name is {self.study_name!r}; use text, in quotes in a file."
            )
        for name, kind in (("n_trials", Count), ("n_jobs", Count), ("seed", Natural)):
            check(f"hydra.sweeper.{name}", getattr(self, name), kind)
        try:
            import optuna
        except ImportError as error:
            raise ConfigError(f"hydra/sweeper=optuna needs Optuna; {install('search')}.") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        parser = OverridesParser.create(config_loader=self._loader)
        space = SearchSpace.of(parser.parse_overrides([*self.params, *arguments]))
        words = space.overrides(space.first)
        first = self._loader.load_sweep_config(self._config, words)  # a wrong setting stops here
        if not first.trainer.validation_share:
            raise ConfigError(
                "a search compares trials on validation pairs, never on the test set, but "
                "trainer.validation_share is 0; use trainer.validation_share=0.2."
            )
        return space._replace(fixed=space.fixed | {SIDE: f"{SIDE}=validation"})

    def _check_storage(self) -> list[str]:
        """Return the names of the study's files in its folder, which SQLite would follow as links.

        Raises
        ------
        RunError
            If one of them is none of its own.
        """
        from dagrec_cli.data.plain_files import open_plain

        file = Path(self.storage.removeprefix("sqlite:///"))
        folder = self._folder.path.absolute()
        if file == Path(self.storage) or file.absolute().parent != folder:
            return []
        names = [f"{file.name}{end}" for end in SQLITE_FILES]
        for name in names:
            if os.path.lexists(folder / name):
                open_plain(folder / name).close()
        return names

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Hold the study's folder, so a trial that is still open is known to be dead."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._folder.locked():
                yield
        except InUseError as error:
            raise InUseError(
                f"study {self.study_name} is in use by another process; wait for it, or begin "
                "another one: hydra.sweeper.study_name=NAME."
            ) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            reason = str(error).partition("\n")[0]
            raise RunError(
                f"cannot use the study in {self.storage}: {reason}; mend or move it, or name "
                "another one: hydra.sweeper.storage=URL."
            ) from error
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                f"interrupted; the same command goes on with study {self.study_name}."
            ) from stop
        finally:
            self._folder.remove_if_empty()

    def _run(self, study: "Study", space: "SearchSpace") -> None:
        from optuna.trial import TrialState

        from dagrec_cli.jobs.search_study import next_trials

        limits = {"n_trials": self.n_trials, "n_jobs": self.n_jobs, "seed": self.seed}
        while batch := next_trials(study, space, **limits):
            jobs = {
                str(place): space.overrides(space.settings(trial.params))
                for place, trial in batch.items()
            }
            ended = self._launch(jobs, min(batch))
            for (place, trial), job in zip(batch.items(), ended, strict=True):
                value = job.return_value
                state = TrialState.FAIL if value is None else TrialState.COMPLETE
                study.tell(trial.number, value, state)
                self._say(self._trial(place, study.trials[trial.number], space))

    def _trial(self, place: int, trial: "FrozenTrial", space: "SearchSpace") -> "Trial":
        from dagrec_cli.jobs.study import Trial

        settings = space.settings(trial.params)
        return Trial.load(self._folder.path, place, settings, trial.value)

    def _say(self, trial: "Trial") -> None:
        """Say what came of a trial."""
        stream = sys.stderr if trial.value is None else sys.stdout
        chosen = " ".join(f"{key}={value}" for key, value in trial.settings.items())
        place = f"[{trial.number + 1}/{self.n_trials}]"
        told = visible(trial.told(self._monitor))
        stream.write(f"{place} trial {trial.number} {chosen} {told}\n")
        stream.flush()

    def _launch(self, jobs: dict[str, list[str]], number: int) -> Sequence["JobReturn"]:
        """Run lists of overrides in folders of their names."""
        from dagrec_cli.data.plain_files import check_own_folder

        for name in jobs:
            check_own_folder(self._folder.path / name)
        words = [[*job, f"hydra.sweep.subdir={name}"] for name, job in jobs.items()]
        return self._launcher.launch(words, initial_job_idx=number)
