"""``predictions.csv``: what was made of every test pair; written, read back, held against a result.

It names contexts by number, which ``contexts.csv`` spells (:mod:`~dagrec_cli.runs.csv_files`).
A table computes its figures anew from this file and says what they rest on from ``result.json``, so
a run is shown only if the two files fit each other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.errors import plural
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import UNRANKED, Membership, Outcomes, better_than
from dagrec_cli.runs.csv_files import (
    MisfitError,
    SavedContext,
    as_written,
    check_ranks,
    csv_text,
    write_contexts,
)
from dagrec_cli.runs.folder import CONTEXTS, PREDICTIONS, RESULT, VOCABULARY, RunFolder
from dagrec_cli.runs.result import CLOSE, Finished

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Chances: TypeAlias = Float[np.ndarray, " pairs"]
COLUMNS = {  # and how pandas is to read them
    "seed": "int64",
    "pair": "int64",
    "composition": "int64",
    "group": "int64",
    "context": "int64",
    "depth": "int64",
    "target": "category",
    "predicted": "category",
    "rank": "float64",
    "ties": "int64",
    "probability": "float64",
}
CONFIDENCE = "confidence"  # a column more, of a probabilistic model: of the first service
OWNER = "owner"  # a column more, where a model reads owners: their numbers in the data, -1: unknown
ABOUT = ("pair", "depth", "group", "composition", "context")  # of a pair, whatever the seed


@dataclass(frozen=True)
class Predictions:
    """``predictions.csv`` of one run.

    Attributes
    ----------
    outcomes
        By seed; classes are those of the run's vocabulary.
    pair
        Number of each test pair in the data, ``[pairs]``.
    membership
        What each test pair belongs to.
    depth
        Nodes on the longest path to each test pair's last node, it included, ``[pairs]``.
    owner
        Number of each pair's owner, -1 where unknown, ``[pairs]``; None if the model reads none.
    confidence
        By seed, the probability of the first service; empty if the model is not probabilistic.
    """

    outcomes: dict[int, Outcomes]
    pair: Int[np.ndarray, " pairs"]
    membership: Membership
    depth: Int[np.ndarray, " pairs"]
    owner: Int[np.ndarray, " pairs"] | None = None
    confidence: Mapping[int, Chances] = field(default_factory=dict)

    @property
    def target(self) -> Int[np.ndarray, " pairs"]:
        """Class of each test pair's true next service, the same for all seeds."""
        return next(iter(self.outcomes.values())).target


def write_predictions(
    folder: RunFolder,
    dataset: Dataset,
    test: Rows,
    evaluations: Mapping[int, tuple[Outcomes, Chances, Chances | None]],
) -> None:
    """Write a line per seed and test pair, and what the contexts' numbers mean.

    Parameters
    ----------
    test
        The pairs, as rows of ``dataset.pairs``.
    evaluations
        By seed: outcomes, and the probability of each target and, if it is one, the first service.
    """
    services = dataset.vocabulary.services
    pairs = dataset.pairs.take(test)
    context, _, composition = pairs
    numbers = (test, composition, dataset.group[composition], context)
    about = [each.tolist() for each in (*numbers, dataset.contexts.depth[context])]
    reads_owner = bool(dataset.vocabulary.owners)
    owner = dataset.owner[composition, None][:, :reads_owner].tolist()
    believes = all(confidence is not None for _, _, confidence in evaluations.values())

    def lines() -> Iterator[tuple[object, ...]]:
        for seed, (outcomes, *chances) in evaluations.items():
            rank, shares = outcomes.mean_rank, [each for each in chances if each is not None]
            for k, five in enumerate(zip(*about, strict=True)):
                yield (
                    seed,
                    *five,
                    services[pairs.target[k]],
                    services[outcomes.predicted[k]],
                    f"{rank[k]:g}",
                    int(outcomes.tied[k]),
                    *(f"{share[k]:.6g}" for share in shares),
                    *owner[k],
                )

    columns = [*COLUMNS, *[CONFIDENCE] * believes, *[OWNER] * reads_owner]
    folder.write_text(PREDICTIONS, csv_text(columns, lines()))
    write_contexts(folder, dataset, pairs.context)


def read_predictions(
    lines: StringIO,
    services: Sequence[str],
    contexts: Mapping[int, SavedContext],
    result: Finished,
) -> Predictions:
    """Return the predictions of a file.

    Parameters
    ----------
    services
        The catalogue, in the order of its classes.
    contexts
        What its numbers of contexts mean.
    result
        What was computed from them: it names the seeds, how many pairs each has, and the figures.

    Raises
    ------
    MisfitError
        If it holds other services, contexts, seeds or pairs, a rank that cannot be one, or gives
        other figures.
    ValueError
        If it is no such table.
    """
    seeds, n_pairs = result.seeds, result.data.test
    table = _table(lines, result)
    classes = {name: k for k, name in enumerate(services)}
    # Names become classes once per distinct name: a file has many lines and few services.
    ties, seed, rank = (table[name].to_numpy() for name in ("ties", "seed", "rank"))
    check_ranks(rank, ties)
    believes = [CONFIDENCE] * result.model.is_probabilistic
    if not all(table[name].between(0, 1).all() for name in ("probability", *believes)):
        raise MisfitError("a probability is not from 0 to 1")

    def class_of(cell: str) -> int:
        if (name := as_written(cell)) not in classes:
            raise MisfitError(f"{name!r} is no service of {VOCABULARY}", RESULT)
        return classes[name]

    target, predicted = (_of_each(table[name], class_of) for name in ("target", "predicted"))
    about = [table[name].to_numpy() for name in (*ABOUT, OWNER) if name in table]
    # Each seed has a line for every pair, the pairs in one order; what is about them stands once.
    rows = [np.flatnonzero(seed == number) for number in seeds]
    if [len(part) for part in [seed, *rows]] != [n_pairs * len(seeds), *[n_pairs] * len(seeds)]:
        raise MisfitError(f"not {n_pairs:,} pairs for each of {len(seeds)} seeds", RESULT)
    if any((column[r] != column[rows[0]]).any() for r in rows for column in (target, *about)):
        raise MisfitError("other pairs for another seed", RESULT)
    made = (target, predicted, better_than(rank, ties), ties)
    by_seed = dict(zip(seeds, rows, strict=True))
    outcomes = {n: Outcomes(*(column[r] for column in made)) for n, r in by_seed.items()}
    pair, depth, *belongs = (column[rows[0]] for column in about)
    confidence = {n: table[CONFIDENCE].to_numpy()[r] for n, r in by_seed.items() if believes}
    owner, belong = next(iter(belongs[3:]), None), Membership(*belongs[:3])
    predictions = Predictions(outcomes, pair, belong, depth, owner, confidence)
    _check_contexts(predictions, contexts)
    _check_fit(result, predictions, len(services))
    return predictions


def read_frame(lines: StringIO, result: Finished) -> "DataFrame":
    """Return the file of a result as a data frame, with names as they are."""
    frame = _table(lines, result)
    for name in ("target", "predicted"):
        frame[name] = frame[name].cat.rename_categories(as_written).astype(str)
    return frame


def _table(lines: StringIO, result: Finished) -> "DataFrame":
    import pandas as pd

    kinds = COLUMNS | ({OWNER: "int64"} if OWNER in result.ceilings else {})
    kinds |= {CONFIDENCE: "float64"} if result.model.is_probabilistic else {}
    return pd.read_csv(lines, usecols=list(kinds), dtype=kinds, na_filter=False)


def _check_contexts(predictions: Predictions, contexts: Mapping[int, SavedContext]) -> None:
    named = [predictions.membership.context, predictions.depth]
    for number, depth in np.unique(named, axis=1).T.tolist():
        if number not in contexts:
            raise MisfitError(f"there is no context {number}", CONTEXTS)
        if depth != contexts[number].depth:
            reason = f"context {number} has depth {depth}, there it is {contexts[number].depth}"
            raise MisfitError(reason, CONTEXTS)


def _check_fit(result: Finished, predictions: Predictions, n_services: int) -> None:
    outcomes = predictions.outcomes
    reasons = chain(
        _out_of_range(result, predictions, n_services),
        _out_of_order(result, predictions),
        *map(_impossible, outcomes.values()),
        _other_figures(result, predictions),  # which numbers out of range would not survive
    )
    if reason := next(reasons, ""):
        raise MisfitError(reason, RESULT)


def _of_each(cells: "Series[Any]", function: Callable[[str], int]) -> Int[np.ndarray, " rows"]:
    """Return a function of every cell, computed once for equal cells."""
    values = [function(str(value)) for value in cells.cat.categories]
    return np.array(values, np.int64)[cells.cat.codes.to_numpy()]


def _out_of_range(result: Finished, predictions: Predictions, n_services: int) -> Iterator[str]:
    """Yield what the data or the catalogue do not have."""
    data, (group, composition, _) = result.data, predictions.membership
    for name, numbers, size in (
        ("pair", predictions.pair, data.pairs),
        ("composition", composition, data.compositions),
        ("group", group, data.compositions),
    ):
        wrong = numbers[(numbers < 0) | (numbers >= size)]
        if len(wrong):
            yield f"{name} {wrong[0]}, but there are {size:,}"
    if data.services != n_services:
        yield f"a catalogue of {plural(n_services, 'service')}"
    for seed, outcomes in predictions.outcomes.items():
        last = np.where(outcomes.better == UNRANKED, 0, outcomes.better + outcomes.tied)
        if last.max(initial=0) >= n_services:
            yield f"seed {seed} has rank {last.max() + 1:,} of {n_services:,} services"


def _out_of_order(result: Finished, predictions: Predictions) -> Iterator[str]:
    """Yield what contradicts how pairs, compositions and groups are numbered: as in the data."""
    pair, first = np.unique(predictions.pair, return_index=True)
    if len(pair) < len(predictions.pair):
        yield "a pair stands twice"
    if (np.diff(predictions.membership.composition[first]) < 0).any():
        yield "a pair is of a later composition than one after it"
    composition, group = np.unique(predictions.membership[1::-1], axis=1)
    if (np.diff(composition) == 0).any():
        yield "a composition is in two groups"
    # A group has the number of its first composition, which is therefore in it.
    is_first = np.isin(group, composition[composition != group])
    if (group > composition).any() or is_first.any():
        yield "a group has another number than its first composition"
    if (n_groups := len(np.unique(group))) != result.data.test_groups:
        yield f"it has {plural(n_groups, 'group')}, there it is {result.data.test_groups:,}"


def _impossible(outcomes: Outcomes) -> Iterator[str]:
    """Yield what no scores could give."""
    is_hit = outcomes.predicted == outcomes.target
    if (is_hit & (outcomes.better > 0)).any():
        yield "a target is predicted that does not come first"
    if (~is_hit & (outcomes.better + outcomes.tied == 0)).any():
        yield "a target comes first alone, and another is predicted"


def _other_figures(result: Finished, predictions: Predictions) -> Iterator[str]:
    """Yield each figure of the result that the outcomes do not give."""
    per_seed, names = result.per_seed, tuple(result.metrics)
    for seed, pairs in predictions.outcomes.items():
        found = evaluate(pairs, names, predictions.membership)
        yield from _differences(f"seed {seed}", per_seed[seed], found)
    means = {name: float(np.mean([of[name] for of in per_seed.values()])) for name in names}
    shown = {name: summary["mean"] for name, summary in result.metrics.items()}
    yield from _differences("the mean", shown, means)


def _differences(
    whose: str, shown: Mapping[str, float], figures: Mapping[str, float]
) -> Iterator[str]:
    for name, figure in figures.items():
        if abs(shown[name] - figure) > CLOSE:
            yield f"{whose} has {name} {figure:.4f}, there it is {shown[name]:.4f}"
