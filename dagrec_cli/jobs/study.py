"""An Optuna study: which trials count, which run next, and what they found.

It may be stopped and continued at any moment.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import median_low
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import Effect, settings
from dagrec_cli.config.where import code_sha256
from dagrec_cli.errors import RunError, plural
from dagrec_cli.jobs.job import without_hydra
from dagrec_cli.jobs.search_space import SearchSpace
from dagrec_cli.reporting.plots.charts import search_picture
from dagrec_cli.reporting.plots.drawing import Picture, chosen
from dagrec_cli.reporting.tables import Table, spell
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.result import Finished
from dagrec_cli.runs.state import State

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STUDY_TABLE = "search"
ALL_PAIRS = {"trainer.validation_share": 0.0, "trainer.patience": 0, "evaluate_on": "test"}
TELLING = {Effect.SEED, Effect.FIGURES}  # a trial's value is a mean over its seeds
SETTINGS = "settings"
SEED_STEP = 1_000_003  # between the sampler's seeds of two trials


def open_study(name: str, storage: str, space: SearchSpace, config: DictConfig) -> "Study":
    """Return a study, made if need be; its first trial is the settings as they stand.

    Raises
    ------
    RunError
        If its trials were run with other settings, or on other data.
    DagrecError
        If the data cannot be read.
    """
    import optuna
    from optuna.trial import TrialState

    settings_now = _settings(space, config)  # before there is a file: the data may not be there
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    _check_same(study, settings_now)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        if not space.is_drawn(trial.params):  # the process died while it was drawn
            study.tell(trial.number, state=TrialState.FAIL)
    waiting = study.get_trials(states=[TrialState.WAITING])
    given = space.standing(config)
    if given and not waiting and not trials_of(study, space):
        study.enqueue_trial(given)
    return study


def trials_of(study: "Study", space: SearchSpace) -> list["FrozenTrial"]:
    """Return the trials that count: those that were drawn to the end.

    A trial's place among them is its number for the user, and the name of its folder: Optuna counts
    the half-drawn ones of killed processes, too.
    """
    return [trial for trial in study.trials if space.is_drawn(trial.params)]


def next_trials(
    study: "Study", space: SearchSpace, *, n_trials: int, n_jobs: int, seed: int
) -> dict[int, "FrozenTrial"]:
    """Return up to ``n_jobs`` trials to run, by their place: those left open, then new ones.

    What is drawn depends on the seed and the trials of the batches before, not on interruptions: a
    batch of ``n_jobs`` is drawn before the first of its trials is run, so none is drawn beside one
    that a killed process has left open but those of its own batch.
    """
    from optuna.samplers import TPESampler

    trials = trials_of(study, space)
    batch = {k: each for k, each in enumerate(trials) if not each.state.is_finished()}
    n_new = -len(trials) % n_jobs or (0 if batch else n_jobs)
    for place in range(len(trials), min(len(trials) + n_new, n_trials)):
        study.sampler = TPESampler(seed=seed + SEED_STEP * place)
        number = study.ask(space.ranges).number
        batch[place] = study.trials[number]
    return dict(islice(batch.items(), n_jobs))


def _settings(space: SearchSpace, config: DictConfig) -> dict[str, Any]:
    """Return what makes trials comparable, flat: data, code, what decides figures, the ranges."""
    content = plain(without_hydra(config))
    data: dict[str, Any] = {"data.sha256": build(config.data, "data").sha256()}
    code = {"code.sha256": code_sha256(content)}
    ranges = {key: str(each) for key, each in space.ranges.items()}
    return data | code | settings(content, TELLING) | ranges


def _check_same(study: "Study", now: Mapping[str, Any]) -> None:
    begun = study.user_attrs.get(SETTINGS, now)
    if any(trial.value is not None for trial in study.trials):
        for key in sorted(now.keys() | begun.keys()):
            if now.get(key) != begun.get(key):
                raise RunError(
                    f"study {study.study_name} was begun with {key}={begun.get(key)}, not "
                    f"{now.get(key)}; begin another one: hydra.sweeper.study_name=NAME."
                )
    study.set_user_attr(SETTINGS, dict(now))


class Trial(NamedTuple):
    """One trial.

    Attributes
    ----------
    number
        From 0 on; also the name of its folder.
    settings
        What was chosen for it, by key.
    value
        Mean over its seeds of the best validation value; None if it failed.
    state
        What its folder holds.
    """

    number: int
    settings: Mapping[str, Any]
    value: float | None
    state: State

    @property
    def result(self) -> Finished | None:
        """Its ``result.json``; None if it failed, or cannot be read."""
        return self.state.run.finished if self.state.run else None

    @property
    def epochs(self) -> int:
        """Median over the seeds of the epoch whose weights were kept; 0 for models that count."""
        return median_low(self.result.model.best_epoch) if self.result else 0

    def figure(self, monitor: str) -> Any:
        """Return its value, with an interval where its result can be read."""
        return self.result.metrics[monitor] if self.result else self.value


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial of the best value, the first of equal ones; None if all failed."""
    succeeded = [trial for trial in trials if trial.value is not None]
    return max(succeeded, key=lambda trial: trial.value or 0.0, default=None)


def retraining(trial: Trial) -> dict[str, Any]:
    """Return the settings that turn a trial into one run on all training pairs."""
    epochs = {"trainer.epochs": trial.epochs} if trial.epochs else {}
    return {**ALL_PAIRS, **epochs}


def study_table(trials: Sequence[Trial], monitor: str) -> Table:
    """Return a row per trial with its validation value, and settings by their short names."""
    names = short_names(trials[0].settings)
    rows = [
        {
            "trial": trial.number,
            "status": "failed" if trial.value is None else "finished",
            monitor: trial.figure(monitor),
            **{names[key]: value for key, value in trial.settings.items()},
            "epochs": trial.epochs or None,
            "seconds": trial.result.seconds.total if trial.result else None,
        }
        for trial in trials
    ]
    notes = [
        f"{monitor}: mean over seeds on validation pairs, of the best epoch; the best of many "
        "flatters, only the test value of the run in best/ is to be quoted.",
        "epochs: median over seeds of the best epoch.",
        *(f"trial {trial.number}: {trial.state.reason}" for trial in trials if trial.value is None),
    ]
    return Table(_title(trials), list(rows[0]), rows, notes, STUDY_TABLE)


def short_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return ``hidden`` for ``model.hidden``, the whole key where that would be no name of one."""
    last = {key: key.rpartition(".")[2] for key in settings}
    taken = list(last.values())
    return {key: name if taken.count(name) == 1 else key for key, name in last.items()}


def write_study(folder: RunFolder, trials: Sequence[Trial], monitor: str) -> None:
    """Write ``search.csv``, ``.md``, ``.tex``, ``.json`` and ``.png``; one trial succeeded."""
    study_table(trials, monitor).save(folder)
    names = short_names(trials[0].settings)
    figure = search_picture(
        [
            (trial.number, {names[k]: v for k, v in trial.settings.items()}, trial.value)
            for trial in trials
            if trial.value is not None
        ],
        monitor,
    )
    result = next((trial.result for trial in trials if trial.result), None)
    about = chosen(result.choices) if result else ""
    title, caption = f"Search: {plural(len(trials), 'trial')}", "Orange: the best; line: so far."
    Picture(STUDY_TABLE, title, caption, figure, about).save(folder, "png")


def describe_search(trials: Sequence[Trial], best: Trial, monitor: str) -> list[str]:
    """Return the lines that name the best of some trials and its settings."""
    width = max(map(len, best.settings))
    return [
        f"{_title(trials)}; best is trial {best.number}, "
        f"{monitor} {spell(best.figure(monitor))} on validation pairs:",
        *(
            f"  {key:<{width}}  {f'{chosen:.4g}' if isinstance(chosen, float) else chosen}"
            for key, chosen in best.settings.items()
        ),
    ]


def _title(trials: Sequence[Trial]) -> str:
    n_failed = sum(trial.value is None for trial in trials)
    return f"{plural(len(trials), 'trial')}, {n_failed} failed"
