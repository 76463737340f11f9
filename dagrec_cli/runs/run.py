"""Finished run folders, read back: their result, and the outcome of every test pair."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dagrec_cli.config.older import completed
from dagrec_cli.config.untrusted import LARGEST_CONFIG, read_config
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import RunError, one_line
from dagrec_cli.runs.fit import check_fit
from dagrec_cli.runs.folder import (
    CONFIG,
    METRICS_FILE,
    PREDICTIONS,
    REQUEST,
    RESULT,
)
from dagrec_cli.runs.predictions import MisfitError, Predictions, read_frame, read_predictions
from dagrec_cli.runs.record import read_edges, read_result, read_vocabulary

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = 1
MOST_TOLD = 200  # characters of what is wrong with a file
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error)
EPOCH = {"epoch", "loss", "seconds"}  # what every row of metrics.csv has beside its seed


class Edge(NamedTuple):
    """A step between two nodes, by name, and how often it occurs."""

    source: str
    target: str
    weight: int


@dataclass(frozen=True)
class Run:
    """A run folder that holds a ``result.json``, whatever its status.

    Attributes
    ----------
    packages
        Those whose classes its config may name, besides this one.
    """

    path: Path
    result: Mapping[str, Any]
    packages: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a folder's ``result.json``.

        Raises
        ------
        RunError
            If it is missing, damaged, or of another format.
        """
        file = path / RESULT
        try:
            result = read_result(file)
        except FileNotFoundError as error:
            told = f"{path}: no {RESULT}; "
            if not path.is_dir():
                told = f"{path}: no such folder; name a run folder, as outputs/train/RUN."
            elif (path / REQUEST).is_file():
                told += f"still running, or killed: dagrec train resume={path} continues it."
            else:
                told += "the run has not ended, or is no run."
            raise RunError(told) from error
        except OSError as error:
            raise RunError(f"{file}: {error.strerror or error}; make it readable.") from error
        if result.get("format", FORMAT) != FORMAT:
            raise RunError(
                f"{file}: format {result['format']}, but this version reads {FORMAT}; "
                "use the version of dagrec that wrote it."
            )
        return cls(path, result)

    @property
    def is_finished(self) -> bool:
        """True if the run went through."""
        return bool(self.result["status"] == "finished")

    @property
    def reason(self) -> str:
        """Why the run is not finished."""
        return str(self.result.get("error", self.result["status"]))

    def check(self) -> None:
        """Read all that a table and a report need.

        Raises
        ------
        RunError
            If anything of a finished run is missing or damaged.
        """
        for key in ("data", "metrics", "per_seed", "seconds", "seeds", "started", "tie_rule"):
            if key not in self.result:
                raise RunError(f"{self.path / RESULT}: no {key} in it; run it again.")
        if self.result["data"] is None or "per_epoch" not in self.result["seconds"]:
            raise RunError(f"{self.path / RESULT}: data or seconds are damaged; run it again.")
        for key in ("split", "trainer"):
            if not isinstance(self.config.get(key), Mapping):
                raise RunError(f"{self.path / CONFIG}: no {key} in it; run it again.")
        _ = self.test, self.history, self.edges
        self._check_fit()

    def _check_fit(self) -> None:
        try:
            check_fit(self.result, self.predictions, len(self.vocabulary.services))
        except MisfitError as error:
            raise self._misfit(error) from error
        except DAMAGE as error:
            raise RunError(f"{self.path / RESULT}: damaged ({error!r}); run it again.") from error

    @cached_property
    def config_text(self) -> str:
        """``config.yaml`` as it stands."""
        return read_plain(self.path / CONFIG, LARGEST_CONFIG).decode()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config, completed where an older version wrote it."""
        file = self.path / CONFIG
        try:
            text = self.config_text
        except (OSError, UnicodeDecodeError) as error:
            told = one_line(str(error), MOST_TOLD)
            raise RunError(f"{file}: missing or damaged ({told}).") from error
        return completed(read_config(text, file))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Names of the nodes, and the catalogue in the order of its classes."""
        return read_vocabulary(self.path)

    @cached_property
    def edges(self) -> list[Edge]:
        """The service graph of the data, heaviest edge first; empty without ``graph.json``."""
        nodes = self.vocabulary.nodes
        try:
            edges = read_edges(self.path, len(nodes), "edges")
        except RunError:
            return []
        found = [Edge(nodes[edge[0] - 1], nodes[edge[1] - 1], edge[2]) for edge in edges]
        return sorted(found, key=lambda edge: -edge.weight)

    @cached_property
    def history(self) -> dict[int, list[dict[str, float]]]:
        """Rows of ``metrics.csv`` by seed; empty if nothing was trained."""
        by_seed: dict[int, list[dict[str, float]]] = {}
        try:
            for row in csv.DictReader(self._text(METRICS_FILE)):
                seed = int(row.pop("seed"))
                numbers = {k: float(v) for k, v in row.items() if v}
                if not numbers.keys() >= EPOCH or not all(map(isfinite, numbers.values())):
                    raise ValueError(f"row {row} lacks one of {', '.join(sorted(EPOCH))}")
                by_seed.setdefault(seed, []).append(numbers)
        except DAMAGE as error:
            told = one_line(repr(error), MOST_TOLD)
            raise RunError(f"{self.path / METRICS_FILE}: missing or damaged ({told}).") from error
        return by_seed

    @cached_property
    def predictions(self) -> Predictions:
        """The outcome of every test pair.

        Raises
        ------
        RunError
            If ``predictions.csv`` is missing or damaged.
        """
        try:
            seeds, n = self.result["seeds"], self.result["data"]["test"]
            return read_predictions(self._text(PREDICTIONS), self.vocabulary.services, seeds, n)
        except MisfitError as error:
            raise self._misfit(error) from error
        except DAMAGE as error:
            told = one_line(repr(error), MOST_TOLD)
            file = self.path / PREDICTIONS
            raise RunError(f"{file}: missing or damaged ({told}); run it again.") from error

    def predictions_frame(self) -> "DataFrame":
        """Return ``predictions.csv`` as it stands, once it was found to fit."""
        _ = self.predictions
        return read_frame(self._text(PREDICTIONS))

    def _text(self, name: str) -> StringIO:
        return StringIO(read_plain(self.path / name).decode(), newline="")

    def _misfit(self, why: MisfitError) -> RunError:
        return RunError(f"{self.path / PREDICTIONS} does not fit {RESULT}: {why}; run it again.")

    @cached_property
    def test(self) -> tuple[str, str]:
        """What the outcomes are about: a hash of the data, and one of the test pairs."""
        predictions, services = self.predictions, self.vocabulary.services
        target = next(iter(predictions.outcomes.values())).target
        told = [predictions.pair.tolist(), [services[k] for k in target]]
        return self.result["data"]["sha256"], hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def of_seeds(self, seeds: Sequence[int]) -> "Run":
        """Return the run with some of its seeds alone, as tables and pictures see it."""
        if list(seeds) == list(self.result["seeds"]):
            return self
        run = Run(self.path, {**self.result, "seeds": list(seeds)})
        outcomes = {seed: self.predictions.outcomes[seed] for seed in seeds}
        run.__dict__["predictions"] = replace(self.predictions, outcomes=outcomes)
        run.__dict__["history"] = {k: v for k, v in self.history.items() if k in seeds}
        return run

    @property
    def version(self) -> str:
        """The version of dagrec that made the run; empty if it does not say."""
        versions = self.result.get("versions")
        return str(versions.get("dagrec", "")) if isinstance(versions, dict) else ""

    @property
    def counts(self) -> bool:
        """True if the model counts and learns nothing."""
        return bool(self.result.get("model", {}).get("parameters") == 0)

    @property
    def source(self) -> str | None:
        """The run whose model was evaluated; None for a run that trained its own."""
        path = self.result.get("run")
        return None if path is None else "/".join(Path(path).parts[-2:])
