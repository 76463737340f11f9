"""The trials of a table's row: what is tried, for how long, and what was best.

A trial is the row with other settings, drawn from the ranges of ``configs/search/MODEL.yaml``, with
one seed. What a row, its table or the command sets itself stays as it is. A trial trains on four
fifths of the row's training side and is judged on the last one, which the row's split holds out by
its own rule; it reads no test step. The best third are judged by three draws of that fifth, as the
best of many by one is too often the best by that one alone. Trials lie among the rows, in folders
named by what decides their files, so that a tuning that was stopped continues, and equal rows are
tuned once.

The first trial is the row as it stands, and trains whole. The others are drawn at once. Those of
networks are pruned by successive halving: all train for a ninth of the epochs that the first one
took, the best third of them for a third, and the best third of these whole; a length of fewer than
ten epochs is left out.

Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016, algorithm 1.
Differs from the source: a third stays, not a half, and trains anew; the first trial always stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, inf
from operator import attrgetter
from statistics import fmean
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, seeds_of
from dagrec_cli.config.where import read_yaml
from dagrec_cli.config.words import as_typed
from dagrec_cli.data.split_base import Split
from dagrec_cli.errors import ConfigError
from dagrec_cli.jobs.job import Job
from dagrec_cli.jobs.run import Engine
from dagrec_cli.jobs.search_space import SearchSpace
from dagrec_cli.jobs.tables import row_job
from dagrec_cli.runs.state import state_of

SEARCH = "search"  # folder of configs
SHARE = 0.2  # of the training side, for validation
DRAWS = 3  # of that share, for the best of those that train whole
STAY = 3  # one of so many trials trains longer
LEAST_EPOCHS = 10  # that tell trials apart; of full batches each is a single step
SEED = 0  # of what is drawn: the same for equal ranges, whatever the data


class Ranges(Struct, forbid_unknown_fields=True):
    """What ``configs/search/MODEL.yaml`` holds: ranges by setting, as on a command line.

    ``where`` has more of them under a condition, such as ``model.mask=prior``.
    """

    params: dict[str, str]
    where: dict[str, dict[str, str]] = {}

    @classmethod
    def of(cls, model: str, own_configs: Sequence[str]) -> "Ranges | None":
        """Return those of a model; None if there is no file of them."""
        content, _ = read_yaml(SEARCH, model, own_configs)
        try:
            return content and msgspec.convert(content, cls)  # type: ignore[return-value]
        except msgspec.ValidationError as error:
            raise ConfigError(f"{SEARCH}/{model}.yaml: {error}.") from error

    def words(self, config: DictConfig) -> list[str]:
        """Return the ranges that a config is searched in, as overrides."""
        ranges = dict(self.params)
        for condition, more in self.where.items():
            key, _, value = condition.partition("=")
            if str(OmegaConf.select(config, key)) == value:
                ranges |= more
        return [as_typed(f"{key}={value}") for key, value in ranges.items()]


class Outcome(NamedTuple):
    """What came of a trial; its run itself would take up megabytes.

    Attributes
    ----------
    settings
        What was chosen for it, by key; nothing for the row as it stands.
    value
        On validation steps, a mean over their draws; None if it failed.
    epochs
        How many it trained; 0 for models that count.
    best_epoch
        The one that its value is of.
    reason
        Why it failed.
    """

    settings: Mapping[str, Any]
    value: float | None
    epochs: int = 0
    best_epoch: int = 0
    reason: str = ""

    @property
    def merit(self) -> float:
        """Its value; the least for one that failed."""
        return -inf if self.value is None else self.value


def mean_of(outcomes: Sequence[Outcome]) -> Outcome:
    """Return what came of one trial by several draws; that of one that failed if one did."""
    worst = min(outcomes, key=attrgetter("merit"))
    if worst.value is None:
        return worst
    value = fmean(each.merit for each in outcomes)
    best_epoch = round(fmean(each.best_epoch for each in outcomes))
    return outcomes[0]._replace(value=value, best_epoch=best_epoch)


class RowTuning:
    """The trials of a row.

    Parameters
    ----------
    row
        Its job, of the first part if its split has several.
    ranges
        Of its model.
    n_trials
        Those that it gets; fewer if there are not so many settings.

    Attributes
    ----------
    trials
        What came of each that was run, of its longest trainings, by number.
    """

    def __init__(self, engine: Engine, row: Job, ranges: Ranges, n_trials: int) -> None:
        self._engine, self._row = engine, row
        seed = seeds_of(row.config.seed, row.config.seeds)[0]
        self._words = (
            *row.overrides,
            *(f"trainer.validation_share={SHARE}", "evaluate_on=validation", f"seeds=[{seed}]"),
        )
        split: Split = build(row.config.split, "split", kind=Split)
        first = row.config.trainer.get("validation_draw")
        has_draws = split.seed is not None and first is not None
        self._further_draws = range(first + 1, first + DRAWS) if has_draws else ()
        space = SearchSpace.of(engine.parse([*ranges.words(row.config), *self._words]))
        as_it_stands = space.standing(row.config)
        drawn = [each for each in space.draw(n_trials, SEED) if each != as_it_stands]
        self.settings: list[Mapping[str, Any]] = [{}, *drawn[: n_trials - 1]]
        self.trials: dict[int, Outcome] = {}
        self._jobs: dict[int, Job] = {}
        self._last = [0]

    @property
    def monitor(self) -> str:
        """The validation metric that decides."""
        return str(self._row.config.trainer.monitor)

    @property
    def best(self) -> Outcome | None:
        """The best of those that came to the end; None if the row cannot be tried as it stands."""
        whole = [self.trials[number] for number in self._last]
        there = [each for each in whole if each.value is not None]
        return max(there, key=attrgetter("merit"), default=None)

    @property
    def words(self) -> tuple[str, ...]:
        """Overrides that make the row what was chosen.

        A row that holds nothing out for validation itself gets the best epoch as its last one.
        """
        if self.best is None:
            return ()
        words = [f"{key}={value}" for key, value in self.best.settings.items()]
        if self.best.best_epoch and not self._row.config.trainer.validation_share:
            words.append(f"trainer.epochs={self.best.best_epoch}")
        return tuple(words)

    def batches(self) -> Iterator[list[Job]]:
        """Yield what is to be run next, until all is known; each time the last ones have run."""
        yield from self._run([0], None)
        if self.trials[0].value is None:
            return
        left = list(range(1, len(self.settings)))
        for number, epochs in enumerate(rungs := self._rungs()):
            yield from self._run([k for k in left if not self._is_over(k)], epochs)
            left = [k for k in left if self.trials[k].value is not None]
            if number < len(rungs) - 1:
                left = self._best(left, len(left))
        self._last = [0, *left]
        if self._further_draws:
            self._last = [0, *self._best(left, len(self.settings))]
        outcomes = [[self.trials[k]] for k in self._last]
        for draw in self._further_draws:
            yield from self._run(self._last, None, draw)
            for k, of_trial in zip(self._last, outcomes, strict=True):
                of_trial.append(self.trials[k])
        self.trials |= {k: mean_of(each) for k, each in zip(self._last, outcomes, strict=True)}

    def _best(self, numbers: Sequence[int], among: int) -> list[int]:
        """Return the best of some trials, as many as are a third of so many."""
        best = sorted(numbers, key=lambda k: self.trials[k].merit, reverse=True)
        return sorted(best[: ceil(among / STAY)])

    def _run(
        self, numbers: Sequence[int], epochs: int | None, draw: int = 0
    ) -> Iterator[list[Job]]:
        """Yield the jobs of some trials, and take in what came of them."""
        if not numbers:
            return
        for k in numbers:
            chosen = [f"{key}={value}" for key, value in self.settings[k].items()]
            more = [f"trainer.epochs={epochs}"] if epochs else []
            more += [f"trainer.validation_draw={draw}"] if draw else []
            words = [*self._words, *chosen, *more]
            name = f"{self._row.name}, trial {k + 1} of {len(self.settings)}"
            about = f": {' '.join(chosen + more)}" if chosen else ", as it stands"
            self._jobs[k] = row_job(self._engine, name + about, words)
        yield [self._jobs[k] for k in numbers]
        for k in numbers:
            self.trials[k] = self._outcome(k)

    def _outcome(self, number: int) -> Outcome:
        """Return what the folder of a trial's last job tells."""
        state, settings = state_of(self._jobs[number].folder), self.settings[number]
        if state.run is None:
            return Outcome(settings, None, reason=state.reason)
        result = state.run.finished
        epochs, best_epoch = max(result.model.epochs), max(result.model.best_epoch)
        return Outcome(settings, result.metrics[self.monitor]["mean"], epochs, best_epoch)

    def _rungs(self) -> list[int | None]:
        """Return for how many epochs trials train, one after another; at last for all of them."""
        shorter = [self.trials[0].epochs // STAY**k for k in (2, 1)]
        return [*(epochs for epochs in shorter if epochs >= LEAST_EPOCHS), None]

    def _is_over(self, number: int) -> bool:
        """Return whether a longer training of a trial would end where its last one did."""
        if number not in self.trials:
            return False
        return self.trials[number].epochs < int(self._jobs[number].config.trainer.epochs)
