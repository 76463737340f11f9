"""What one seed of an experiment leaves, and the files that hold it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.evaluation.evaluator import Evaluation
from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.models.base import Model
from dagrec_cli.reporting.plots.charts import learning_curve
from dagrec_cli.reporting.plots.drawing import save_png
from dagrec_cli.runs.csv_text import csv_lines, csv_text
from dagrec_cli.runs.folder import (
    CONFIG,
    GRAPH,
    METRICS_FILE,
    MODEL,
    PREDICTIONS,
    VOCABULARY,
    RunFolder,
)
from dagrec_cli.runs.predictions import PREDICTION_COLUMNS, STEP
from dagrec_cli.training.state import History


@dataclass(frozen=True)
class SeedRun:
    """A trained model, how it got there, and what it made of the test pairs."""

    seed: int
    model: Model
    history: History
    evaluation: Evaluation
    seconds_train: float
    seconds_evaluate: float


def write_weights(folder: RunFolder, model: Model, seed: int | None = None) -> None:
    """Write ``model.safetensors``, or ``model_seed<seed>.safetensors``."""
    from safetensors.torch import save

    name = MODEL if seed is None else MODEL.replace(".", f"_seed{seed}.", 1)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    folder.write(name, lambda file: file.write(save(state)))


def write_setup(
    folder: RunFolder, config: DictConfig, dataset: Dataset, graph: ServiceGraph
) -> None:
    """Write what the model's numbers mean, and ``config.yaml`` when all else is there.

    ``vocabulary.json`` holds the names; ``graph.json`` every edge of the whole data as source and
    target (node indices) and how often it occurs, and under ``known`` those that the model knows:
    of the given graph, which the split allows.
    """
    vocabulary = dataset.vocabulary
    content = {
        "nodes": vocabulary.nodes,
        "is_service": vocabulary.is_service,
        "services": vocabulary.services,
    }
    folder.write_text(VOCABULARY, f"{json.dumps(content, ensure_ascii=False)}\n")
    edges = {"edges": _edges(dataset.graph()), "known": _edges(graph)}
    folder.write_text(GRAPH, f"{json.dumps(edges)}\n")
    folder.write_text(CONFIG, OmegaConf.to_yaml(config, resolve=True))


def _edges(graph: ServiceGraph) -> list[list[int]]:
    edges: list[list[int]] = np.stack([graph.source, graph.target, graph.count], axis=1).tolist()
    return edges


class MetricsFile:
    """``metrics.csv``: a line per seed and epoch, there to be watched once the epoch is over.

    It is begun again with every start of a run, so what a killed one left of a line is gone; the
    epochs behind a checkpoint come back with it.

    Parameters
    ----------
    is_validated
        Whether there are validation pairs, whose metrics then have columns.
    """

    def __init__(self, folder: RunFolder, *, is_validated: bool = False) -> None:
        self._path = folder.path / METRICS_FILE
        self._columns = ["epoch", "loss", "seconds"]
        if is_validated:
            self._columns += [f"validation_{name}" for name in METRICS]
        self._n_written: dict[int, int] = {}
        folder.write_text(METRICS_FILE, csv_text(["seed", *self._columns], []))

    def add(self, seed: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Append the epochs of a seed that the file has not."""
        new = rows[self._n_written.get(seed, 0) :]
        lines = csv_lines([seed, *map(row.get, self._columns)] for row in new)
        with open_plain(self._path, "ab") as file:
            file.write(lines.encode())
        self._n_written[seed] = len(rows)


def write_learning_curve(folder: RunFolder, histories: dict[int, History], monitor: str) -> None:
    """Write ``learning_curve.png`` if anything was trained."""
    by_seed = {seed: history.rows for seed, history in histories.items()}
    if any(by_seed.values()):
        figure = learning_curve(by_seed, monitor)

        def draw(file: IO[bytes]) -> None:
            save_png(figure, file)

        folder.write("learning_curve.png", draw)


def write_seeds(
    folder: RunFolder, dataset: Dataset, test: Rows, runs: Sequence[SeedRun], monitor: str
) -> None:
    """Write what the finished seeds leave: learning curve, predictions, weights."""
    write_learning_curve(folder, {run.seed: run.history for run in runs}, monitor)
    write_predictions(folder, dataset, test, runs)
    for run in runs:
        write_weights(folder, run.model, None if run is runs[0] else run.seed)


def write_predictions(
    folder: RunFolder, dataset: Dataset, test: Rows, runs: Sequence[SeedRun]
) -> None:
    """Write ``predictions.csv``: for each seed and test pair, what was predicted and its rank."""
    rows = (row for run in runs for row in _predictions(dataset, test, run))
    folder.write_text(PREDICTIONS, csv_text(PREDICTION_COLUMNS, rows))


def _predictions(dataset: Dataset, test: Rows, run: SeedRun) -> Iterator[tuple[object, ...]]:
    services = dataset.vocabulary.services
    outcomes, probability = run.evaluation
    rank = outcomes.mean_rank
    pairs = dataset.pairs.take(test)
    group = dataset.group[pairs.composition]
    entries, row = np.unique(pairs.context, return_inverse=True)
    context = [STEP.join(dataset.vocabulary.spell(dataset.contexts.spell(e))) for e in entries]
    for k, pair in enumerate(test.tolist()):
        yield (
            run.seed,
            pair,
            int(pairs.composition[k]),
            int(group[k]),
            context[row[k]],
            services[pairs.target[k]],
            services[outcomes.predicted[k]],
            f"{rank[k]:g}",
            int(outcomes.tied[k]),
            f"{probability[k]:.6g}",
        )
