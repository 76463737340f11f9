"""A search that is killed at any moment ends with the trials of one that nobody killed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.compose import composed
from dagrec_cli.errors import RunError
from dagrec_cli.jobs.search_space import SearchSpace

optuna = pytest.importorskip("optuna", reason="needs the extra 'search'")

from dagrec_cli.jobs.study import next_trials, open_study, trials_of  # noqa: E402

N_TRIALS = 14  # Optuna draws the first ten at random, those after by what it knows
RANGES = ("model.num_layers=int(interval(1,3))", "trainer.learning_rate=interval(0.0,1.0)")
WRITES = ("create_new_trial", "set_trial_param", "set_trial_state_values")


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@pytest.fixture(scope="module")
def config() -> DictConfig:
    whole = composed("train", ["model.num_layers=2", "trainer.learning_rate=0.5"])
    return OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function of a number of writes, the next of which kills; one storage until it is called."""
    kept: Any = None
    left = 0

    def begin(writes: int) -> None:
        nonlocal kept, left
        kept, left = optuna.storages.InMemoryStorage(), writes
        for name in WRITES:
            setattr(kept, name, counted(getattr(kept, name)))

    def counted(write: Any) -> Any:
        def writing(*words: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise Killed
            return write(*words, **named)

        return writing

    monkeypatch.setattr(optuna.storages, "get_storage", lambda _: kept)
    return begin


def search(config: DictConfig, n_jobs: int) -> Iterator[Mapping[str, Any]]:
    """Search as the sweeper does, but for the training, and yield the trials of the end."""
    space = SearchSpace.of(OverridesParser.create().parse_overrides([*RANGES]))
    study = open_study("study", "sqlite:///", space, config)
    while batch := next_trials(study, space, n_trials=N_TRIALS, n_jobs=n_jobs, seed=0):
        for trial in batch.values():
            value = trial.params["trainer.learning_rate"] / trial.params["model.num_layers"]
            study.tell(trial.number, value)
    for trial in trials_of(study, space):
        yield {**trial.params, "value": trial.value}


def test_a_study_of_other_code_is_another_study(
    storage: Any, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage(-1)
    space = SearchSpace.of(OverridesParser.create().parse_overrides([*RANGES]))
    study = open_study("study", "sqlite:///", space, config)
    study.tell(study.ask(space.ranges).number, 0.5)
    assert open_study("study", "sqlite:///", space, config).trials
    monkeypatch.setattr("dagrec_cli.jobs.study.code_sha256", lambda _: "changed")
    with pytest.raises(RunError, match=r"was begun with code\.sha256=, not changed; begin another"):
        open_study("study", "sqlite:///", space, config)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_killed_at_any_moment_it_ends_as_uninterrupted(
    storage: Any, config: DictConfig, n_jobs: int
) -> None:
    storage(-1)
    whole = list(search(config, n_jobs))
    assert whole[0]["trainer.learning_rate"] == 0.5  # the settings as they stand
    assert len(whole) == N_TRIALS
    n_killed = 0
    for writes in range(0, 4 * N_TRIALS + 1, 3 if n_jobs == 1 else 5):
        storage(writes)
        try:
            list(search(config, n_jobs))
        except Killed:
            n_killed += 1
        assert list(search(config, n_jobs)) == whole, writes
    assert n_killed > 9
