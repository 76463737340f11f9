"""Whether a run's predictions are what its result was reckoned from.

A table recomputes its figures from ``predictions.csv`` and says what they rest on from
``result.json``; so the two files must be of one mind before any of it is shown.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from dagrec_cli.evaluation.metrics import METRICS, evaluate
from dagrec_cli.evaluation.ranks import UNRANKED, Outcomes
from dagrec_cli.runs.predictions import MisfitError, Predictions

CLOSE = 1e-9  # between figures reckoned twice from the same outcomes


def check_fit(result: Mapping[str, Any], found: Predictions, n_services: int) -> None:
    """Raise MisfitError if predictions do not fit a ``result.json``.

    Parameters
    ----------
    n_services
        Services of the catalogue.
    """
    reasons = [*_out_of_range(result, found, n_services)]
    reasons = reasons or [r for each in found.outcomes.values() for r in _impossible(each)]
    if why := next(iter(reasons), "") or next(_other_figures(result, found.outcomes), ""):
        raise MisfitError(why)


def _out_of_range(result: Mapping[str, Any], found: Predictions, n_services: int) -> Iterator[str]:
    """Yield what the data or the catalogue do not have."""
    data = result["data"]
    for name, size in (
        ("pair", data["pairs"]),
        ("composition", data["compositions"]),
        ("group", data["compositions"]),
    ):
        numbers = getattr(found, name)
        wrong = numbers[(numbers < 0) | (numbers >= size)]
        if len(wrong):
            yield f"{name} {wrong[0]}, but there are {size:,}"
    if _n_distinct(found.pair) < len(found.pair):
        yield "a pair stands twice"
    if _n_distinct(found.composition) < _n_distinct(found.composition, found.group):
        yield "a composition is in two groups"
    if data["services"] != n_services:
        yield f"a catalogue of {n_services:,} services"
    for seed, each in found.outcomes.items():
        last = np.where(each.better == UNRANKED, 0, each.better + each.tied)
        if last.max(initial=0) >= n_services:
            yield f"seed {seed} has rank {last.max() + 1:,} of {n_services:,} services"


def _n_distinct(*columns: Int[np.ndarray, " pairs"]) -> int:
    return int(np.unique(np.stack(columns), axis=1).shape[1])


def _impossible(found: Outcomes) -> Iterator[str]:
    """Yield what no scores could give."""
    is_hit = found.predicted == found.target
    if (is_hit & (found.better > 0)).any():
        yield "a target is predicted that does not come first"
    if (~is_hit & (found.better + found.tied == 0)).any():
        yield "a target comes first alone, and another is predicted"


def _other_figures(result: Mapping[str, Any], outcomes: Mapping[int, Outcomes]) -> Iterator[str]:
    """Yield each figure of the result that the outcomes do not give."""
    told: Mapping[str, Mapping[str, float]] = result["per_seed"]
    if sorted(told) != sorted(map(str, outcomes)):
        yield f"per_seed has the seeds {', '.join(told)}"
        return
    for seed, found in outcomes.items():
        yield from _differences(f"seed {seed}", told[str(seed)], evaluate(found))
    means = {name: float(np.mean([each[name] for each in told.values()])) for name in METRICS}
    shown = {name: result["metrics"][name]["mean"] for name in METRICS}
    yield from _differences("the mean", shown, means)


def _differences(
    whose: str, told: Mapping[str, float], figures: Mapping[str, float]
) -> Iterator[str]:
    for name, figure in figures.items():
        if not abs(told[name] - figure) <= CLOSE:  # so NaN differs
            yield f"{whose} has {name} {figure:.4f}, there it is {told[name]:.4f}"
