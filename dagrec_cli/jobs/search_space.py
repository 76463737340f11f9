"""Overrides of a search, taken apart: what every trial has, and what Optuna may choose."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.errors import ConfigError, install

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from optuna.distributions import BaseDistribution

SEEDS = ("seed", "seeds")
TRIES = 100  # for each value that is drawn: an interval may be too narrow for so many


class SearchSpace(NamedTuple):
    """What a trial's overrides are made of.

    Attributes
    ----------
    fixed
        Overrides of every trial by key, as they were written.
    ranges
        Optuna's distribution that a value is drawn from, by key.
    """

    fixed: dict[str, str]
    ranges: dict[str, Any]

    @classmethod
    def of(cls, overrides: Sequence["Override"]) -> "SearchSpace":
        """Take overrides apart; of two with one key the later counts.

        Raises
        ------
        ConfigError
            If it is the seed that is searched.
        """
        by_key = {override.get_key_element(): override for override in overrides}
        swept = {key: o for key, o in by_key.items() if o.is_sweep_override()}
        for key in SEEDS:
            if key in swept:
                raise ConfigError(
                    f"{key} is searched, but a good seed is luck; a trial averages over its seeds: "
                    "use seeds=[0,1,2]."
                )
        fixed = {key: str(o.input_line) for key, o in by_key.items() if key not in swept}
        return cls(fixed, {key: _distribution(o) for key, o in swept.items()})

    @property
    def first(self) -> dict[str, Any]:
        """A value of every key: its lowest, or its first choice."""
        return {
            key: [*_choices(each), getattr(each, "low", None)][0]
            for key, each in self.ranges.items()
        }

    def draw(self, n: int, seed: int) -> list[dict[str, Any]]:
        """Return ``n`` values of every key, no two of them equal, or as many as there are.

        The first of more are those of fewer.
        """
        from optuna import create_study
        from optuna.samplers import RandomSampler

        values = [_listed_values(each) for each in self.ranges.values()]
        finite = [each for each in values if each is not None]
        if len(finite) == len(values) and prod(map(len, finite)) <= n:
            return [dict(zip(self.ranges, each, strict=True)) for each in product(*finite)]
        study, drawn = create_study(sampler=RandomSampler(seed)), dict[tuple[Any, ...], Any]()
        for _ in range(TRIES * n):
            if len(drawn) == n:
                break
            settings = self.settings(study.ask(self.ranges).params)
            drawn.setdefault(tuple(settings.values()), settings)
        return list(drawn.values())

    def is_drawn(self, values: Mapping[str, Any]) -> bool:
        """Return whether there is a value of every key."""
        return self.ranges.keys() <= values.keys()

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a trial is run with: numbers as drawn, to four digits that a reader sees."""
        return {
            key: float(f"{value:.4g}") if isinstance(value, float) else value
            for key, value in drawn.items()
        }

    def overrides(self, chosen: Mapping[str, Any]) -> list[str]:
        """Return a trial's overrides."""
        words = self.fixed | {key: f"{key}={value}" for key, value in chosen.items()}
        return list(words.values())

    def standing(self, config: DictConfig) -> dict[str, Any] | None:
        """Return the values that a config has; None if one is not within its range."""
        found = {}
        for key, each in self.ranges.items():
            value = OmegaConf.select(config, key)
            found[key] = str(value) if _choices(each) else value
            if not _holds(each, found[key]):
                return None
        return found


def check_optuna(purpose: str) -> None:
    """Raise ConfigError unless Optuna, which draws, is there; it says nothing of what it does."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"{purpose} needs Optuna; {install('search')}.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _choices(distribution: Any) -> tuple[str, ...]:
    return getattr(distribution, "choices", ())


def _listed_values(distribution: Any) -> Sequence[Any] | None:
    """Return what may be drawn, in order; None if it is not to be counted."""
    if choices := _choices(distribution):
        return choices
    if isinstance(distribution.low, float):
        return None
    return range(distribution.low, distribution.high + 1, distribution.step)


def _holds(distribution: Any, value: Any) -> bool:
    if choices := _choices(distribution):
        return value in choices
    if not isinstance(value, int | float) or not distribution.low <= value <= distribution.high:
        return False
    return not distribution.step or (value - distribution.low) % distribution.step == 0


def _distribution(override: "Override") -> "BaseDistribution":
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from dagrec_cli.jobs.job import MOST_JOBS, count_values

    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        low, high, is_log = sweep.start, sweep.end, "log" in sweep.tags
        if low is None or high is None or low > high or (is_log and low <= 0):
            raise ConfigError(
                f"{override.input_line}: an interval goes from its lowest number to its highest, "
                "both above 0 with tag(log, …)."
            )
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=is_log)
        return FloatDistribution(float(low), float(high), log=is_log)
    n_values = count_values(override)
    values = sweep.range() if isinstance(sweep, RangeSweep) else None
    if isinstance(values, range) and n_values and values.step > 0:
        return IntDistribution(values[0], values[-1], step=values.step)
    if not 1 <= n_values <= MOST_JOBS:
        raise ConfigError(
            f"{override.input_line}: {n_values:,} values to choose from; give one or more, "
            f"{MOST_JOBS:,} at most, or an interval."
        )
    return CategoricalDistribution(list(override.sweep_string_iterator()))
