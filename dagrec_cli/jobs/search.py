"""``hydra/sweeper=optuna``: a search for settings that can be stopped and continues where it was.

Hydra's own plugin is bound to Optuna 2, adds ``n_trials`` to those that a study has, and never
comes back to a trial that died with its process; hence this one.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta
from omegaconf import DictConfig

from dagrec_cli.app.output import show_tables
from dagrec_cli.config.build import plain
from dagrec_cli.config.kinds import Count, Natural, check
from dagrec_cli.config.words import as_typed
from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.errors import ConfigError, InUseError, RunError, short_path, visible
from dagrec_cli.jobs.job import MOST_JOBS, Job, n_parts
from dagrec_cli.jobs.plugins import PLUGINS, JobSweeper
from dagrec_cli.jobs.run import Display, Engine
from dagrec_cli.jobs.search_space import SearchSpace, check_optuna
from dagrec_cli.jobs.study import (
    STUDY_TABLE,
    Trial,
    best_of,
    describe_search,
    next_trials,
    open_study,
    retraining,
    trials_of,
    write_study,
)
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.record import SweepRequest, write_record
from dagrec_cli.runs.state import SWEEP, check_free, state_of
from dagrec_cli.training.progress import Silent

if TYPE_CHECKING:
    from optuna import Study

BEST = "best"
SWEEPER = f"{PLUGINS}.OptunaSweeper"
SIDE = "evaluate_on"
TrialCount = Annotated[int, Meta(ge=1, le=MOST_JOBS)]
SQLITE_FILES = ("", "-journal", "-wal", "-shm")  # what it adds to the name of a database


def check_no_search(sweeper: DictConfig, overrides: Sequence[str], folder: RunFolder) -> None:
    """Raise ConfigError if a single run has a search's settings, unless it says on what to end."""
    if sweeper._target_ == SWEEPER and not any(word.startswith(f"{SIDE}=") for word in overrides):
        folder.remove_if_empty()
        raise ConfigError(
            "a search runs many trials; add -m: dagrec train -m experiment=search. For a single "
            f"run with its settings add {SIDE}=test."
        )


class OptunaSweeper(JobSweeper):
    """Runs trials until a study has enough of them, then the best one on all training pairs.

    Parameters
    ----------
    study_name
        The same name continues the same study.
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
        n_trials: TrialCount,
        n_jobs: Count,
        seed: Natural,
        params: DictConfig,
    ) -> None:
        self.study_name: Any = study_name  # checked before it is used
        self.storage = storage
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.seed = seed
        self.params = [as_typed(f"{key}={value}") for key, value in plain(params).items()]

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
        path = Path(self._config.hydra.sweep.dir).absolute()
        engine = Engine(self._config, self._context, path)
        space = self._space(engine, arguments)  # before anything is imported that needs Optuna
        check_free(path, SWEEP, "hydra.sweep.dir", besides=self._check_storage(path))
        with self._in_use(RunFolder(path)) as folder:
            study = open_study(self.study_name, self.storage, space, self._config)
            write_record(folder, SweepRequest(arguments))
            self._run(study, space, engine)
            trials = [
                Trial(place, space.settings(trial.params), trial.value, state_of(path / str(place)))
                for place, trial in enumerate(trials_of(study, space))
            ]
            self._finish(trials, space, engine)

    def _space(self, engine: Engine, arguments: list[str]) -> SearchSpace:
        check("hydra.sweeper.study_name", self.study_name, str)
        check_optuna("hydra/sweeper=optuna")
        space = SearchSpace.of(engine.parse([*self.params, *arguments]))
        if not space.ranges:
            raise ConfigError(
                "there is nothing to search; add experiment=search, or a range such as "
                "'model.hidden=int(interval(64,512))'."
            )
        first = engine.compose(space.overrides(space.first))  # a wrong setting stops here
        if n_parts(first) > 1:
            raise ConfigError(
                f"a search compares trials on one split, but this one has {n_parts(first)} parts; "
                "choose one (split.part=0), or use split.folds=null split.repeats=1."
            )
        if not first.trainer.validation_share:
            raise ConfigError(
                "a search compares trials on validation pairs, never on the test set, but "
                "trainer.validation_share is 0; use trainer.validation_share=0.2."
            )
        return space._replace(fixed=space.fixed | {SIDE: f"{SIDE}=validation"})

    def _check_storage(self, folder: Path) -> list[str]:
        """Return the names of the study's files in its folder, which SQLite would follow as links.

        Raises
        ------
        RunError
            If one of them is none of its own.
        """
        file = Path(self.storage.removeprefix("sqlite:///"))
        if file == Path(self.storage) or file.absolute().parent != folder:
            return []
        names = [f"{file.name}{end}" for end in SQLITE_FILES]
        for name in names:
            if os.path.lexists(folder / name):
                open_plain(folder / name).close()
        return names

    @contextmanager
    def _in_use(self, folder: RunFolder) -> Iterator[RunFolder]:
        """Hold the study's folder, so a trial that is still open is known to be dead."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with folder.locked():
                yield folder
        except InUseError as error:
            raise InUseError(
                f"study {self.study_name} is in use by another process; wait for it, or begin "
                "another one: hydra.sweeper.study_name=NAME."
            ) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            reason = str(error).partition("\n")[0]
            raise RunError(
                f"cannot use the study in {self.storage}: {reason}; fix or move it, or name "
                "another one: hydra.sweeper.storage=URL."
            ) from error
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                f"interrupted; the same command continues with study {self.study_name}."
            ) from stop
        finally:
            folder.remove_if_empty()

    def _run(self, study: "Study", space: SearchSpace, engine: Engine) -> None:
        """Run the trials that the study lacks."""
        from optuna.trial import TrialState

        limits = {"n_trials": self.n_trials, "n_jobs": self.n_jobs, "seed": self.seed}
        monitor = str(self._config.trainer.monitor)
        n_ended = sum(trial.state.is_finished() for trial in trials_of(study, space))
        with engine.display(self.n_trials, [monitor], n_ended) as display:
            while batch := next_trials(study, space, **limits):
                jobs = [
                    _trial_job(engine, str(place), space, space.settings(trial.params), place)
                    for place, trial in batch.items()
                ]
                engine.run(jobs, display, resume=not self._config.rerun)
                for job, trial in zip(jobs, batch.values(), strict=True):
                    run = state_of(job.folder).run
                    value = run.finished.metrics[monitor]["mean"] if run else None
                    study.tell(trial.number, value, TrialState.COMPLETE if run else TrialState.FAIL)

    def _finish(self, trials: Sequence[Trial], space: SearchSpace, engine: Engine) -> None:
        """Write the trials down, run the best one's settings in ``best/``, and print what came out.

        What has been run there before is not run again: the test set is looked at once.

        Raises
        ------
        RunError
            If no trial succeeded, or the best one did not when it was run again.
        """
        from dagrec_cli.experiment.result import table_of

        monitor = str(self._config.trainer.monitor)
        best = best_of(trials)
        if best is None:
            raise RunError(
                f"none of {len(trials)} trials succeeded, the last one: {trials[-1].state.reason} "
                "Fix it and begin another study: hydra.sweeper.study_name=NAME."
            )
        write_study(RunFolder(engine.folder), trials, monitor)
        job = _trial_job(engine, BEST, space, {**best.settings, **retraining(best)}, len(trials))
        engine.run([job], Display(1, Silent(), is_quiet=True), resume=True)
        state, place = state_of(job.folder), short_path(job.folder)
        if state.run is None:
            raise RunError(f"{place}: the best trial could not be run again: {state.reason}")
        lines = "\n".join(describe_search(trials, best, monitor))
        sys.stdout.write(f"{lines}\nThe same settings on all training pairs, evaluated once:\n")
        show_tables([table_of(state.run)], notes=engine.config.notes)
        sys.stdout.write(
            f"Again: {visible(state.run.result.command_line)}\n"
            f"Trials: {place.parent / STUDY_TABLE}.csv, {STUDY_TABLE}.png\nBest run: {place}\n"
        )


def _trial_job(
    engine: Engine, name: str, space: SearchSpace, chosen: Mapping[str, Any], number: int
) -> Job:
    """Return the job of some chosen values, its folder of that name in the study's."""
    words = tuple(space.overrides(chosen))
    title = " ".join([f"trial {name}", *(f"{key}={value}" for key, value in chosen.items())])
    return Job(title, words, engine.folder / name, engine.compose(words, number), number)
