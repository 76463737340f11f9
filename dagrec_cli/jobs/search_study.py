"""An Optuna study that is stopped and continued: which trials count, and which run next."""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import Effect, effect, settings
from dagrec_cli.errors import RunError
from dagrec_cli.jobs.search_space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

TELLING = {Effect.SEED, Effect.FIGURES}  # a trial's value is a mean over its seeds
DATA = "data.sha256"
SETTINGS = "settings"
STEP = 1_000_003  # between the sampler's seeds of two trials


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
        study.sampler = TPESampler(seed=seed + STEP * place)
        number = study.ask(space.ranges).number
        batch[place] = study.trials[number]
    return dict(islice(batch.items(), n_jobs))


def _settings(space: SearchSpace, config: DictConfig) -> dict[str, Any]:
    """Return what makes trials comparable, flat: what decides figures, data, and the ranges."""
    content = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    data: dict[str, Any] = {DATA: build(config.data, "data").sha256()}
    ranges = {key: str(each) for key, each in space.ranges.items()}
    return data | settings(plain(content), TELLING) | ranges


def _check_same(study: "Study", now: Mapping[str, Any]) -> None:
    begun = study.user_attrs.get(SETTINGS, now)
    begun = {key: value for key, value in begun.items() if effect(key) in TELLING}
    begun.setdefault(DATA, now[DATA])  # a study of before it was kept
    if any(trial.value is not None for trial in study.trials):
        for key in sorted(now.keys() | begun.keys()):
            if now.get(key) != begun.get(key):
                raise RunError(
                    f"study {study.study_name} was begun with {key}={begun.get(key)}, not "
                    f"{now.get(key)}; begin another one: hydra.sweeper.study_name=NAME."
                )
    study.set_user_attr(SETTINGS, dict(now))
