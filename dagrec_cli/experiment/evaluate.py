"""A saved model on test pairs: those it was made for, or others; with a run folder of its own."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.untrusted import checked_node
from dagrec_cli.data.cache import CachedSource, cached_dataset
from dagrec_cli.data.split_base import Split
from dagrec_cli.data.splits import leakage
from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.evaluation.ceiling import ceilings
from dagrec_cli.evaluation.evaluator import evaluate_rows
from dagrec_cli.experiment.result import SeedRun, finished, write_result
from dagrec_cli.models.base import Facts, Model
from dagrec_cli.runs.csv_files import MetricsFile
from dagrec_cli.runs.folder import CONFIG, RESULT, RunFolder
from dagrec_cli.runs.model import load_model, saved_facts, write_setup
from dagrec_cli.runs.predictions import write_predictions
from dagrec_cli.runs.provenance import Request, origin
from dagrec_cli.runs.run import Run
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import History

Side = Literal["test", "train", "all"]


def evaluate_run(
    run: Run,
    given: dict[str, DictConfig],
    folder: RunFolder,
    request: Request,
    *,
    side: Side,
    metrics: Sequence[str] = (),
) -> Run:
    """Evaluate a run's model and fill a folder as ``dagrec train`` does.

    Parameters
    ----------
    given
        ``data`` and ``split`` where they are to be other than the run's own.
    request
        What the user asked for; its choices name data and split.
    side
        ``test`` or ``train`` of the split, or ``all`` pairs.
    metrics
        What is computed beside the metrics that every run has.

    Raises
    ------
    DagrecError
        If the run cannot be read, or the data are not as they must be.
    """
    start, began = time.perf_counter(), origin("evaluate", request)
    if not run.is_finished:
        raise RunError(f"{run.path}: the run is not finished ({run.reason}); evaluate one that is.")
    trained, facts = run.finished, saved_facts(run.path)
    models = [load_model(run, seed) for seed in trained.seeds]
    saved = {
        group: checked_node(run.config, group, run.path / CONFIG, run.packages)
        for group in {"data", "split"} - given.keys()
    }
    nodes = {**saved, **given}
    source: CachedSource = build(nodes["data"], "data", kind=CachedSource)
    data = _split_data(source, build(nodes["split"], "split", kind=Split), facts, side)
    seconds_data = time.perf_counter() - start
    runs = [_seed_run(s, model, data) for s, model in zip(trained.seeds, models, strict=True)]
    bounds = ceilings(data.dataset, data.test, getattr(source, "truth", None))
    is_same = trained.data.sha256 == data.dataset.sha256
    is_own_test = side == "test" and is_same and plain(nodes["split"]) == run.config.get("split")
    folder.remove(RESULT)  # of an evaluation before
    write_setup(folder, OmegaConf.create({**run.config, **nodes}), data.dataset, facts.graph)
    MetricsFile(folder)  # nothing was trained
    write_predictions(folder, data.dataset, data.test, {r.seed: r.evaluation for r in runs})
    seconds = {"seconds_data": seconds_data, "seconds_total": time.perf_counter() - start}
    result = finished(began, data, data, runs, bounds, metrics, **seconds)
    choices = trained.choices
    sides = ("train", "validation", "held_out") if is_own_test else ()  # as they were
    result = msgspec.structs.replace(
        result,
        data=msgspec.structs.replace(result.data, **{n: getattr(trained.data, n) for n in sides}),
        model=msgspec.structs.replace(
            result.model,
            epochs=trained.model.epochs,
            best_epoch=trained.model.best_epoch,
            refit=trained.model.refit,
        ),
        run=str(run.path),
        strata={},
        trained_on=""
        if is_own_test
        else f"data={choices.get('data')} split={choices.get('split')}",
    )
    return write_result(folder, result)


def _split_data(source: CachedSource, split: Split, facts: Facts, side: Side) -> SplitData:
    """Return the data in the model's numbers, with the pairs to evaluate as its test."""
    dataset = cached_dataset(source)
    known = dataset.known_by(facts.vocabulary)
    if side == "all":  # needs no split, which few pairs may not allow
        test = np.arange(len(dataset.pairs.context))
        none, shown = test[:0], leakage(dataset, test[:0], test)
        return SplitData(known, none, none, test, facts, shown, side)
    data = SplitData.of(dataset, split)
    if data.stream is not None:
        raise ConfigError(
            "with split.blocks=each a model is tested while it counts, which a saved one has done; "
            "use side=all, or another split."
        )
    test = data.train if side == "train" else data.test
    held_out = data.held_out if side == "test" else {}
    return replace(data, dataset=known, test=test, facts=facts, side=side, held_out=held_out)


def _seed_run(seed: int, model: Model, data: SplitData) -> SeedRun:
    start = time.perf_counter()
    evaluation = evaluate_rows(model, data.dataset, data.test)
    return SeedRun(seed, model, History(), evaluation, 0.0, time.perf_counter() - start)
