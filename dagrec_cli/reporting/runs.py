"""Finished run folders, read back: their result, and the outcome of every test pair."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dagrec_cli.config.older import completed
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import RunError
from dagrec_cli.reporting.fit import check_fit
from dagrec_cli.reporting.predictions import MisfitError, Predictions, read_predictions
from dagrec_cli.reporting.run_folder import (
    CONFIG,
    GRAPH,
    METRICS,
    PREDICTIONS,
    REQUEST,
    RESULT,
    VOCABULARY,
)

if TYPE_CHECKING:
    pass

FORMAT = 1
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error)


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
        for key in ("data", "metrics", "per_seed", "seconds", "seeds", "started", "tie_rule"):
            if key not in self.result:
                raise RunError(f"{self.path / RESULT}: no {key} in it; run it again.")
        for key in ("data", "metrics", "per_seed", "seconds"):
            if not isinstance(self.result[key], dict):
                raise RunError(f"{self.path / RESULT}: {key} is damaged; run it again.")
        for key in ("split", "trainer"):
            if key not in self.config:
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
        return self._text(CONFIG).getvalue()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config, completed where an older version wrote it."""
        from omegaconf import OmegaConf

        try:
            lines = StringIO(self.config_text)
            config = OmegaConf.to_container(OmegaConf.load(lines), resolve=False)
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
        try:
            seeds, n = self.result["seeds"], self.result["data"]["test"]
            return read_predictions(self._text(PREDICTIONS), self.vocabulary.services, seeds, n)
        except MisfitError as error:
            raise self._misfit(error) from error
        except DAMAGE as error:
            told = " ".join(repr(error).split())
            file = self.path / PREDICTIONS
            raise RunError(f"{file}: missing or damaged ({told}); run it again.") from error

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
