"""Run folders, read back: what came of a run, and the outcome of every test pair."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from dagrec_cli.config.deciding import settings
from dagrec_cli.config.kinds import Count, check
from dagrec_cli.config.metric_names import Metric
from dagrec_cli.config.untrusted import LARGEST_CONFIG, read_config
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import ConfigError, RunError, one_line
from dagrec_cli.runs.csv_files import MisfitError, SavedContext, read_contexts, read_metrics
from dagrec_cli.runs.folder import (
    CONFIG,
    CONTEXTS,
    FINAL,
    METRICS_FILE,
    PREDICTIONS,
    REQUEST,
    RESULT,
    RUN_FILES,
    VOCABULARY,
)
from dagrec_cli.runs.predictions import Predictions, read_frame, read_predictions
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.record import RunStart, read_edges, read_record, read_result, read_vocabulary
from dagrec_cli.runs.result import Finished, Result

if TYPE_CHECKING:
    from pandas import DataFrame

Content = TypeVar("Content")
MOST_SHOWN = 200  # characters of what is wrong with a file
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error)
SHOWN_SETTINGS = {
    "split.graph": Literal["all", "train"],
    "trainer.monitor": Metric,
    "trainer.epochs": Count,
}


class Edge(NamedTuple):
    """A step between two nodes, by name, and how often it occurs."""

    source: str
    target: str
    weight: int


@dataclass(frozen=True)
class Run:
    """A run folder that holds a ``result.json``, whatever came of the run.

    Attributes
    ----------
    seeds
        Those that tables and pictures show; all of the result unless some were chosen.
    packages
        Those whose classes its config may name, besides this one.
    """

    path: Path
    result: Result
    seeds: Sequence[int]
    packages: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a folder's ``result.json``.

        Raises
        ------
        RunError
            If it is missing, damaged, or of another format.
        """
        try:
            result = read_result(path)
        except FileNotFoundError as error:
            if not path.is_dir():
                line = f"{path}: no such folder; name a run folder, as outputs/train/RUN."
            elif (path / REQUEST).is_file():
                again = f"dagrec train resume={path} continues it."
                line = f"{path}: no {RESULT}; still running, or killed: {again}"
            else:
                line = f"{path}: no {RESULT}; the run has not ended, or is no run."
            raise RunError(line) from error
        return cls(path, result, result.seeds)

    @property
    def files(self) -> list[Path]:
        """What the run writes, there or not: nothing else may replace it."""
        folders = (self.path, self.path / FINAL)
        written = (folder / name for folder in folders for name in RUN_FILES)
        return [*written, *(file for folder in folders for file in folder.glob("*.safetensors"))]

    @property
    def is_finished(self) -> bool:
        """True if the run went through."""
        return isinstance(self.result, Finished)

    @property
    def reason(self) -> str:
        """Why the run is not finished; empty if it is."""
        return "" if isinstance(self.result, Finished) else self.result.error

    @property
    def finished(self) -> Finished:
        """The result.

        Raises
        ------
        RunError
            If the run is not finished.
        """
        if isinstance(self.result, Finished):
            return self.result
        raise RunError(f"{self.path}: the run is not finished ({self.reason}).")

    def check(self) -> None:
        """Read all that a table and a report need.

        Raises
        ------
        RunError
            If anything of a finished run is missing or damaged.
        """
        try:
            misfit = next(self._misfits(), None)
        except ConfigError as error:
            raise RunError(f"{self.path / CONFIG}: {error}") from error
        if misfit:
            raise RunError(f"{self.path / RESULT} {misfit}; run it again.")
        _ = self.test, self.edges

    def _misfits(self) -> Iterator[MisfitError]:
        """Yield what the result says, and another file does not; predictions are held elsewhere."""
        result, given = self.finished, settings(self.config)
        for name, kind in SHOWN_SETTINGS.items():
            check(name, given.get(name), kind)
        yield from (MisfitError(line, CONFIG) for line in result.other_settings(given))
        n_rows = [len(self.history.get(seed, ())) for seed in result.seeds]
        if n_rows != ([0] * len(n_rows) if result.run else result.model.rows):
            yield MisfitError(f"there are {n_rows} epochs", METRICS_FILE)
        if result.data.nodes != self.vocabulary.n_names:
            yield MisfitError(f"there are {self.vocabulary.n_names:,} nodes", VOCABULARY)
        if not result.data.merges and any(len(c.parents) > 1 for c in self.contexts.values()):
            yield MisfitError("contexts merge there", CONTEXTS)
        if not result.run and (self.path / REQUEST).exists():
            start = read_record(self.path, RunStart)
            asked = [getattr(result, name) for name in Request.__struct_fields__]
            began = [getattr(start, name) for name in Request.__struct_fields__]
            if [*began, start.data_sha256] != [*asked, result.data.sha256]:
                yield MisfitError("something else was asked for", REQUEST)

    @cached_property
    def config_text(self) -> str:
        """``config.yaml`` as it stands."""
        return _config_text(self.path)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config."""
        return read_config(self.config_text, self.path / CONFIG)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Names of the nodes, and the catalogue in the order of its classes."""
        return read_vocabulary(self.path)

    @cached_property
    def edges(self) -> list[Edge]:
        """The service graph of the data, heaviest edge first; empty without ``graph.json``."""
        nodes = self.vocabulary.nodes
        try:
            links = read_edges(self.path, len(nodes)).edges
        except RunError:
            return []
        edges = [Edge(nodes[link.source - 1], nodes[link.target - 1], link.times) for link in links]
        return sorted(edges, key=lambda edge: -edge.weight)

    @cached_property
    def history(self) -> dict[int, list[dict[str, float]]]:
        """Rows of ``metrics.csv`` by seed; empty if nothing was trained."""
        return self._read(METRICS_FILE, read_metrics)

    @cached_property
    def predictions(self) -> Predictions:
        """The outcome of every test pair.

        Raises
        ------
        RunError
            If the file is missing, damaged, or does not fit the others.
        """
        fits = self.vocabulary.services, self.contexts, self.finished
        return self._read(PREDICTIONS, lambda lines: read_predictions(lines, *fits))

    @cached_property
    def contexts(self) -> dict[int, SavedContext]:
        """What the predictions' numbers of contexts mean; see :meth:`predictions`."""
        return self._read(CONTEXTS, lambda lines: read_contexts(lines, self.vocabulary.index))

    def predictions_frame(self) -> "DataFrame":
        """Return ``predictions.csv`` as it stands, once it was found to fit."""
        _ = self.predictions
        return self._read(PREDICTIONS, lambda lines: read_frame(lines, self.finished))

    @property
    def last_node(self) -> Int[np.ndarray, " pairs"]:
        """Number of the node that each test pair's target follows."""
        context, pair = np.unique(self.predictions.membership.context, return_inverse=True)
        nodes = [self.contexts[number].node for number in context.tolist()]
        last: Int[np.ndarray, " pairs"] = np.unique(nodes, return_inverse=True)[1][pair]
        return last

    def _read(self, name: str, read: Callable[[StringIO], Content]) -> Content:
        """Return what a CSV file of the folder holds."""
        file = self.path / name
        try:
            return read(StringIO(read_plain(file).decode(), newline=""))
        except MisfitError as error:
            raise RunError(f"{file} {error}; run it again.") from error
        except DAMAGE as error:
            reason = _cause(error)
            raise RunError(f"{file}: missing or damaged ({reason}); run it again.") from error

    @cached_property
    def test(self) -> tuple[str, str]:
        """What the outcomes are about: a hash of the data, and one of the test pairs."""
        services = self.vocabulary.services
        pairs = [self.predictions.pair.tolist(), [services[k] for k in self.predictions.target]]
        sha256 = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
        return self.finished.data.sha256, sha256

    @property
    def part(self) -> int:
        """Which of the split's parts it was tested on; 0 if there is one alone."""
        part = self.finished.data.part
        return part.number if part else 0

    def of_seeds(self, seeds: Sequence[int]) -> "Run":
        """Return the run with some of its seeds alone, as tables and pictures see it."""
        if list(seeds) == list(self.seeds):
            return self
        run = replace(self, seeds=seeds)
        # What was read stays read; the rest of a run is about all of its seeds.
        outcomes = {seed: self.predictions.outcomes[seed] for seed in seeds}
        run.__dict__["predictions"] = replace(self.predictions, outcomes=outcomes)
        run.__dict__["history"] = {k: v for k, v in self.history.items() if k in seeds}
        return run

    @property
    def version(self) -> str:
        """The version of dagrec that made the run."""
        return self.result.versions["dagrec"]

    @property
    def counts(self) -> bool:
        """True if the model counts and learns nothing."""
        return self.finished.model.parameters == 0

    @property
    def source(self) -> str | None:
        """The run whose model was evaluated; None for a run that trained its own."""
        path = self.finished.run
        return None if path is None else "/".join(Path(path).parts[-2:])


def settings_of(path: Path) -> dict[str, Any]:
    """Return the composed config of a run folder, which need not have a result.

    Raises
    ------
    RunError
        If it is missing or damaged.
    """
    return read_config(_config_text(path), path / CONFIG)


def _config_text(path: Path) -> str:
    try:
        return read_plain(path / CONFIG, LARGEST_CONFIG).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path / CONFIG}: missing or damaged ({_cause(error)}).") from error


def _cause(error: Exception) -> str:
    """Return what is wrong with a file in one line of some length."""
    return one_line(str(error) if isinstance(error, OSError) else repr(error), MOST_SHOWN)
