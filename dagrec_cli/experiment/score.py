"""What another tool recommended, read from a file, as the outcomes of a run of our own."""

import csv
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import msgspec
import numpy as np
from jaxtyping import Float, Int
from omegaconf import DictConfig
from torch import Tensor

from dagrec_cli.config.build import build
from dagrec_cli.data.cache import CachedSource, cached_dataset
from dagrec_cli.data.split_base import Split
from dagrec_cli.errors import ConfigError, DataError, did_you_mean, visible
from dagrec_cli.evaluation.ceiling import ceilings
from dagrec_cli.evaluation.evaluator import Evaluation
from dagrec_cli.evaluation.ranks import UNRANKED, Outcomes
from dagrec_cli.experiment.result import SeedRun, finished, write_result
from dagrec_cli.export.exchange import step_names
from dagrec_cli.models.base import Model
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.runs.csv_files import MetricsFile, as_written
from dagrec_cli.runs.folder import RESULT, RunFolder
from dagrec_cli.runs.model import write_setup
from dagrec_cli.runs.predictions import write_predictions
from dagrec_cli.runs.provenance import Request, origin
from dagrec_cli.runs.run import Run
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import History

LISTED_COLUMNS = ["step", "rank", "service"]
SCORED_COLUMNS = [*LISTED_COLUMNS, "score"]
RULE = (
    "a target that no training step has, and that is not listed, has no rank and gains 0 in every "
    "metric"
)
WHOLE = re.compile("[1-9][0-9]{0,8}")  # of a rank


class Elsewhere(Model):
    """A model that another tool has: no weights, no mask, and no scores but those in its file."""

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Refuse to score."""
        raise ConfigError("another tool has this model; a file holds what it recommended.")


class Listed(NamedTuple):
    """The lines of a file, sorted by step and rank: what was recommended where.

    Attributes
    ----------
    line
        Its number in the file.
    step
        Place of its step among the test pairs.
    service
        Class of the service.
    score
        The higher, the better; equal ones of a step share their ranks.
    """

    line: Int[np.ndarray, " lines"]
    step: Int[np.ndarray, " lines"]
    rank: Int[np.ndarray, " lines"]
    service: Int[np.ndarray, " lines"]
    score: Float[np.ndarray, " lines"]


def score_file(
    path: Path,
    config: DictConfig,
    folder: RunFolder,
    request: Request,
    metrics: Sequence[str] = (),
) -> Run:
    """Evaluate a file of predictions and fill a folder as ``dagrec train`` does.

    Parameters
    ----------
    config
        As ``dagrec train`` has it; its trainer and loss mean nothing.
    metrics
        What is computed beside the metrics that every run has; none of what is recommended.

    Raises
    ------
    ConfigError
        If each step of the split is predicted from other steps.
    DataError
        If the file cannot be read, or has a fault.
    """
    start, began = time.perf_counter(), origin("score", request)
    source: CachedSource = build(config.data, "data", kind=CachedSource)
    data = SplitData.of(cached_dataset(source), build(config.split, "split", kind=Split))
    if data.stream is not None:
        raise ConfigError(
            "with split.blocks=each every step is predicted from what ended before it, which "
            "another tool is not given; use split.blocks=10 split.part=0, or another split."
        )
    seconds_data = time.perf_counter() - start
    found = outcomes_of(read_listed(path, data), path, data)
    chance = np.zeros(len(data.test))  # of the target, which no file tells
    model, seed = Elsewhere(data.facts, mask="none"), int(config.seed)
    seconds = time.perf_counter() - start - seconds_data
    run = SeedRun(seed, model, History(), Evaluation(found, chance, None), 0.0, seconds)
    bounds = ceilings(data.dataset, data.test, getattr(source, "truth", None))
    folder.remove(RESULT)  # of a file before
    write_setup(folder, config, data.dataset, data.facts.graph)
    MetricsFile(folder)  # nothing was trained
    write_predictions(folder, data.dataset, data.test, {seed: run.evaluation})
    took = {"seconds_data": seconds_data, "seconds_total": time.perf_counter() - start}
    result = finished(began, data, data, [run], bounds, metrics, **took)
    return write_result(folder, msgspec.structs.replace(result, rule=RULE))


def outcomes_of(listed: Listed, path: Path, data: SplitData) -> Outcomes:
    """Return the outcomes of the test pairs, from lists whose ranks and scores must be in order.

    What is not listed for a step ranks behind all that is, tied; a target that training does not
    have, and that is not listed either, has no rank.

    Raises
    ------
    DataError
        If a step is missing, a rank or a service stands twice, a rank is missing, or a score is
        higher than one before it.
    """
    line, step, rank, service, score = listed
    target, names = data.dataset.pairs.target[data.test], step_names(data)
    size = np.bincount(step, minlength=len(target))
    place = np.arange(len(step)) - (size.cumsum() - size)[step]
    before, is_next = np.append(0.0, score[:-1]), place > 0
    is_again = np.ones(len(step), bool)
    is_again[np.unique([step, service], axis=1, return_index=True)[1]] = False
    for wrong, what in (
        (is_next & (np.diff(rank, prepend=0) == 0), "its rank stands twice"),
        (rank != place + 1, "a rank before it is missing; they go from 1"),
        (is_again, "its service stands twice"),
        (is_next & (score > before), "its score is above that of the rank before"),
    ):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            _fault_in(path, int(line[first]), f"step {names[data.test[step[first]]]}: {what}")
    if (missing := np.flatnonzero(size == 0)).size:
        raise DataError(
            f"{path}: step {names[data.test[missing[0]]]} is missing, {len(missing):,} of "
            f"{len(target):,} test steps in all; recommend one service or more for each."
        )
    is_first = ~is_next | (score != before)  # of those that share a place
    group = is_first.cumsum() - 1
    above, level = place[is_first][group], np.bincount(group)[group] - 1
    predicted = np.full(len(target), np.iinfo(np.int64).max)
    np.minimum.at(predicted, step[above == 0], service[above == 0])
    n_known = data.facts.n_services
    n_listed = np.bincount(step[service < n_known], minlength=len(target))
    better = np.where(target < n_known, size, UNRANKED)
    tied = np.where(target < n_known, n_known - n_listed - 1, 0)
    hit = service == target[step]
    better[step[hit]], tied[step[hit]] = above[hit], level[hit]
    return Outcomes(target, predicted, better, tied)


def read_listed(path: Path, data: SplitData) -> Listed:
    """Read a file of predictions.

    Raises
    ------
    DataError
        If it cannot be read, or a line holds something else than a test step, a rank, a service of
        the data and a score.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(_parsed_lines(path, file, data))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no CSV file in UTF-8 ({visible(str(error))}).") from error
    columns = [np.array(column) for column in zip(*lines, strict=True)]
    if not columns:
        raise DataError(f"{path}: no line below its columns; recommend something for each step.")
    order = np.lexsort((columns[2], columns[1]))
    return Listed(*(column[order] for column in columns))


def _parsed_lines(path: Path, file: IO[str], data: SplitData) -> Iterator[tuple[float, ...]]:
    rows = csv.reader(file, strict=True)
    header = next(rows, [])
    if header not in (LISTED_COLUMNS, SCORED_COLUMNS):
        _fault_in(path, 1, f"the columns are {','.join(header)!r}; write step,rank,service[,score]")
    names = step_names(data)
    steps = {names[row]: k for k, row in enumerate(data.test.tolist())}
    classes = {name: k for k, name in enumerate(data.dataset.vocabulary.services)}
    for cells in rows:
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells for {len(header)} columns")
            yield (rows.line_num, *_meaning_of(*cells, steps=steps, classes=classes))
        except ValueError as error:
            _fault_in(path, rows.line_num, str(error))


def _meaning_of(
    step: str,
    rank: str,
    service: str,
    score: str | None = None,
    *,
    steps: Mapping[str, int],
    classes: Mapping[str, int],
) -> tuple[float, ...]:
    """Return what the cells of a line mean, or raise ValueError."""
    if step not in steps:
        raise ValueError(
            f"{step!r} is no test step of these data and this split; dagrec data export names them"
        )
    if not WHOLE.fullmatch(rank):
        raise ValueError(f"the rank is {rank!r}; ranks are whole numbers from 1")
    if (service := as_written(service)) not in classes:
        near = did_you_mean(service, classes).strip()
        raise ValueError(f"{service!r} is no service of the data{near and f'; {near}'}")
    if score is None:
        return steps[step], int(rank), classes[service], -int(rank)
    if not isfinite(value := float(score)):
        raise ValueError(f"the score is {score!r}, which is not finite")
    return steps[step], int(rank), classes[service], value


def _fault_in(path: Path, line: int, why: str) -> NoReturn:
    raise DataError(f"{path}:{line}: {visible(why)}.")
