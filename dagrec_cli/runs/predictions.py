"""``predictions.csv`` of a run, read back: what was made of every test pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from dagrec_cli.evaluation.ranks import Outcomes, better_than
from dagrec_cli.runs.csv_text import as_written
from dagrec_cli.runs.folder import VOCABULARY

if TYPE_CHECKING:
    from pandas import DataFrame, Series

STEP = " -> "
PREDICTION_COLUMNS = (
    "seed",
    "pair",
    "composition",
    "group",
    "context",
    "target",
    "predicted",
    "rank",
    "ties",
    "probability",
)
COLUMNS = {  # and how pandas is to read them
    "seed": "int64",
    "pair": "int64",
    "composition": "int64",
    "group": "int64",
    "context": "category",
    "target": "category",
    "predicted": "category",
    "rank": "float64",
    "ties": "int64",
}
DIGITS = 5e-6  # of a rank: the file has six


class MisfitError(ValueError):
    """The file cannot be what the run left; says why."""


@dataclass(frozen=True)
class Predictions:
    """``predictions.csv`` of one run.

    Attributes
    ----------
    outcomes
        By seed; classes are those of the run's vocabulary.
    pair
        Number of each test pair in the data, ``[pairs]``.
    composition
        Number of the composition that each test pair is from, ``[pairs]``.
    group
        Number of the group of equal compositions that it is in, ``[pairs]``.
    length
        Number of nodes in each test pair's context, ``[pairs]``.
    """

    outcomes: dict[int, Outcomes]
    pair: Int[np.ndarray, " pairs"]
    composition: Int[np.ndarray, " pairs"]
    group: Int[np.ndarray, " pairs"]
    length: Int[np.ndarray, " pairs"]


def read_predictions(
    lines: StringIO, services: Sequence[str], seeds: Sequence[int], n_pairs: int
) -> Predictions:
    """Return the predictions of a file.

    Parameters
    ----------
    services
        The catalogue, in the order of its classes.
    seeds, n_pairs
        What the file must hold: as many test pairs for each seed, the same ones.

    Raises
    ------
    MisfitError
        If it holds other services, seeds or pairs, or a rank that cannot be one.
    ValueError
        If it is no such table.
    """
    import pandas as pd

    read = pd.read_csv(lines, usecols=list(COLUMNS), dtype=COLUMNS, na_filter=False)
    classes = {name: k for k, name in enumerate(services)}
    ties, seed, rank = (read[name].to_numpy() for name in ("ties", "seed", "rank"))
    check_ranks(rank, ties)

    def class_of(name: str) -> int:
        if (plain := name.removeprefix("'")) not in classes:
            raise MisfitError(f"{plain!r} is no service of {VOCABULARY}")
        return classes[plain]

    target, predicted = (_of_each(read[name], class_of) for name in ("target", "predicted"))
    length = _of_each(read["context"], lambda text: text.count(STEP) + 1)
    about = [*(read[name].to_numpy() for name in ("pair", "composition", "group")), length]
    rows = [np.flatnonzero(seed == each) for each in seeds]
    if [len(each) for each in [seed, *rows]] != [n_pairs * len(seeds), *[n_pairs] * len(seeds)]:
        raise MisfitError(f"not {n_pairs:,} pairs for each of {len(seeds)} seeds")
    if any((each[mine] != each[rows[0]]).any() for mine in rows for each in (target, *about)):
        raise MisfitError("other pairs for another seed")
    columns = (target, predicted, better_than(rank, ties), ties)
    outcomes = {
        each: Outcomes(*(column[mine] for column in columns))
        for each, mine in zip(seeds, rows, strict=True)
    }
    return Predictions(outcomes, *(column[rows[0]] for column in about))


def read_frame(lines: StringIO) -> "DataFrame":
    """Return a file as a data frame, with names as they are."""
    import pandas as pd

    frame = pd.read_csv(lines, dtype=COLUMNS, na_filter=False)
    for name in ("context", "target", "predicted"):
        frame[name] = frame[name].cat.rename_categories(as_written).astype(str)
    return frame


def check_ranks(rank: Float[np.ndarray, " rows"], ties: Int[np.ndarray, " rows"]) -> None:
    """Raise MisfitError unless each mean rank can be one where as many services tie."""
    is_rank = (rank >= 1) & (ties >= 0)
    better = np.where(is_rank & np.isfinite(rank), rank - 1 - ties / 2, 0)
    is_rank &= np.abs(better - np.rint(better)) <= DIGITS * np.abs(better)
    is_rank &= np.rint(better) >= 0
    if not is_rank.all():
        row = int(np.flatnonzero(~is_rank)[0])
        raise MisfitError(f"line {row + 2} has rank {rank[row]:g} with {ties[row]} ties")


def _of_each(cells: "Series[Any]", function: Callable[[str], int]) -> Int[np.ndarray, " rows"]:
    """Return a function of every cell, computed once for equal cells."""
    values = [function(str(value)) for value in cells.cat.categories]
    return np.array(values, np.int64)[cells.cat.codes.to_numpy()]
