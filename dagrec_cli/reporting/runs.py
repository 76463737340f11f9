"""Finished run folders, read back: their result, and the outcome of every test pair."""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int

from dagrec_cli.config.older import completed
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import RunError
from dagrec_cli.evaluation.ranks import Outcomes, better_than
from dagrec_cli.reporting.run_folder import (
    CONFIG,
    GRAPH,
    METRICS,
    PREDICTIONS,
    REQUEST,
    RESULT,
    VOCABULARY,
)
from dagrec_cli.reporting.seed_run import STEP

if TYPE_CHECKING:
    from pandas import Series

FORMAT = 1
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error)
COLUMNS = {  # of predictions.csv, and how pandas is to read them
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


@dataclass(frozen=True)
class Predictions:
    """``predictions.csv`` of one run.

    Attributes
    ----------
    outcomes
        By seed; classes are those of the run's vocabulary.
    pair
        Number of each test pair in the data, ``[pairs]``.
    composition, group
        The composition that each test pair is from, and the first that equals it, ``[pairs]``.
    length
        Number of nodes in each test pair's context, ``[pairs]``.
    """

    outcomes: dict[int, Outcomes]
    pair: Int[np.ndarray, " pairs"]
    composition: Int[np.ndarray, " pairs"]
    group: Int[np.ndarray, " pairs"]
    length: Int[np.ndarray, " pairs"]


class Edge(NamedTuple):
    """A step between two nodes, by name, and how often it occurs."""

    source: str
    target: str
    weight: int


@dataclass(frozen=True)
class Run:
    """A run folder that holds a ``result.json``, whatever its status."""

    path: Path
    result: Mapping[str, Any]

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
            result = json.loads(read_plain(file))
        except FileNotFoundError as error:
            told = f"{path}: no {RESULT}; "
            if not path.is_dir():
                told = f"{path}: no such folder; name a run folder, as outputs/train/RUN."
            elif (path / REQUEST).is_file():
                told += f"still running, or killed: dagrec train resume={path} goes on with it."
            else:
                told += "the run has not ended, or is no run."
            raise RunError(told) from error
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{file}: damaged ({error}); run it again.") from error
        if not isinstance(result, dict) or "status" not in result:
            raise RunError(f"{file}: no status in it; it is no result of dagrec train.")
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
        for key in ("data", "metrics", "seconds", "seeds", "started", "tie_rule"):
            if key not in self.result:
                raise RunError(f"{self.path / RESULT}: no {key} in it; run it again.")
        for key in ("data", "metrics", "seconds"):
            if not isinstance(self.result[key], dict):
                raise RunError(f"{self.path / RESULT}: {key} is damaged; run it again.")
        for key in ("split", "trainer"):
            if key not in self.config:
                raise RunError(f"{self.path / CONFIG}: no {key} in it; run it again.")
        _ = self.test, self.history

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config, completed where an older version wrote it."""
        from omegaconf import OmegaConf

        try:
            config = OmegaConf.to_container(OmegaConf.load(self._text(CONFIG)), resolve=False)
        except RunError:
            raise
        except Exception as error:  # whatever a YAML parser raises: the file is damaged
            told = " ".join(str(error).split())
            raise RunError(f"{self.path / CONFIG}: missing or damaged ({told}).") from error
        return completed({str(k): v for k, v in config.items()} if isinstance(config, dict) else {})

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Names of the nodes, and the catalogue in the order of its classes."""
        try:
            found = json.loads(read_plain(self.path / VOCABULARY))
            names = (tuple(found[key]) for key in ("nodes", "is_service", "services"))
            return Vocabulary(*names)
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{self.path / VOCABULARY}: missing or damaged ({error}).") from error

    @cached_property
    def edges(self) -> list[Edge]:
        """The service graph of the data, heaviest edge first; empty without ``graph.json``."""
        try:
            edges = json.loads(read_plain(self.path / GRAPH))["edges"]
            nodes = self.vocabulary.nodes
            found = [
                Edge(nodes[source - 1], nodes[target - 1], count) for source, target, count in edges
            ]
        except (OSError, ValueError, LookupError, TypeError):
            return []
        return sorted(found, key=lambda edge: -edge.weight)

    @cached_property
    def history(self) -> dict[int, list[dict[str, float]]]:
        """Rows of ``metrics.csv`` by seed; empty if nothing was trained."""
        by_seed: dict[int, list[dict[str, float]]] = {}
        try:
            for row in csv.DictReader(self._text(METRICS)):
                seed = int(row.pop("seed"))
                by_seed.setdefault(seed, []).append({k: float(v) for k, v in row.items() if v})
        except DAMAGE as error:
            raise RunError(f"{self.path / METRICS}: missing or damaged ({error!r}).") from error
        return by_seed

    @cached_property
    def predictions(self) -> Predictions:
        """The outcome of every test pair.

        Raises
        ------
        RunError
            If ``predictions.csv`` is missing or damaged.
        """
        import pandas as pd

        file = self.path / PREDICTIONS
        try:
            lines = self._text(PREDICTIONS)
            read = pd.read_csv(lines, usecols=list(COLUMNS), dtype=COLUMNS, na_filter=False)
            ties, seed = read["ties"].to_numpy(), read["seed"].to_numpy()
            columns = [
                _of_each(read["target"], self._class_of),
                _of_each(read["predicted"], self._class_of),
                better_than(read["rank"].to_numpy(), ties),
                ties,
                *(read[name].to_numpy() for name in ("pair", "composition", "group")),
                _of_each(read["context"], lambda text: text.count(STEP) + 1),
            ]
        except DAMAGE as error:
            told = " ".join(repr(error).split())
            raise RunError(f"{file}: missing or damaged ({told}); run it again.") from error
        seeds, n = self.result["seeds"], self.result["data"]["test"]
        rows = [np.flatnonzero(seed == each) for each in seeds]
        if [len(mine) for mine in rows] != [n] * len(seeds):
            raise RunError(f"{file}: not {n:,} pairs for each of {len(seeds)} seeds; run it again.")
        outcomes = {
            each: Outcomes(*(column[mine] for column in columns[:4]))
            for each, mine in zip(seeds, rows, strict=True)
        }
        return Predictions(outcomes, *(column[rows[0]] for column in columns[4:]))

    def _text(self, name: str) -> StringIO:
        return StringIO(read_plain(self.path / name).decode(), newline="")

    @cached_property
    def _classes(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.vocabulary.services)}

    def _class_of(self, name: str) -> int:
        return self._classes[name.removeprefix("'")]

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
    def counts(self) -> bool:
        """True if the model counts and learns nothing."""
        return bool(self.result.get("model", {}).get("parameters") == 0)

    @property
    def source(self) -> str | None:
        """The run whose model was evaluated; None for a run that trained its own."""
        path = self.result.get("run")
        return None if path is None else "/".join(Path(path).parts[-2:])


def _of_each(cells: "Series[Any]", function: Callable[[str], int]) -> Int[np.ndarray, " pairs"]:
    """Return a function of every cell, computed once for equal cells."""
    values = [function(str(value)) for value in cells.cat.categories]
    return np.array(values, np.int64)[cells.cat.codes.to_numpy()]


def find_runs(path: Path) -> list[Path]:
    """Return the run folders at or below a folder, in order of their names, job 10 after job 9.

    A run that did not come to a result is one, too. A folder without any is returned itself.

    Raises
    ------
    RunError
        If the folder does not exist.
    """
    if not path.is_dir():
        raise RunError(f"{path}: no such folder; name run folders or a folder that holds some.")
    found = {file.parent for name in (RESULT, REQUEST) for file in path.rglob(name)}
    return sorted(found, key=_natural) or [path]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts by numbers where names hold some."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", str(path))]
