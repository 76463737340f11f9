"""One experiment: data, split, model, training, evaluation, run folder.

``train``, ``reproduce`` and sweeps all run this.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import cast

import msgspec
import numpy as np
from omegaconf import DictConfig

from dagrec_cli.config.metric_names import with_default
from dagrec_cli.data.cache import cached_dataset
from dagrec_cli.errors import TrainingError
from dagrec_cli.evaluation.ceiling import ceilings
from dagrec_cli.evaluation.evaluator import evaluate_rows
from dagrec_cli.evaluation.in_time import check_in_time, evaluate_in_time
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.experiment.callbacks import (
    FinalCallback,
    RefitCallback,
    RunContext,
    SeedCallback,
)
from dagrec_cli.experiment.components import Components, Start
from dagrec_cli.experiment.result import SeedRun, data_facts, finished, write_result
from dagrec_cli.loggers.base import SafeLogger
from dagrec_cli.models.base import CountingModel, Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.reporting.plots.charts import learning_curve
from dagrec_cli.reporting.plots.drawing import chosen
from dagrec_cli.runs.csv_files import MetricsFile
from dagrec_cli.runs.folder import CHECKPOINTS, FINAL, LOGGER, RunFolder, logged
from dagrec_cli.runs.model import write_facts, write_setup, write_weights
from dagrec_cli.runs.predictions import write_predictions
from dagrec_cli.runs.provenance import Origin, Request, origin
from dagrec_cli.runs.record import write_record
from dagrec_cli.runs.result import stopped
from dagrec_cli.runs.resume import begin, check_same_data, resume_command
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import TRAINING, check_free
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.hardware import set_threads
from dagrec_cli.training.interrupt import STOPPING, heard, stop_on_request
from dagrec_cli.training.progress import Progress
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import History, TrainingTask


def _fit(
    around: RunContext,
    begun: Start,
    kind: type[SeedCallback],
    history: History,
    epochs: int | None = None,
) -> None:
    """Fit a model on training rows, from its newest checkpoint on if the folder has one."""
    seed, generator, model = begun
    components, data, trainer = around.components, around.data, around.components.trainer
    if not isinstance(model, TorchModel):
        around.progress.start("counting", None)
        count(cast(CountingModel, model), data, trainer.repeat_alpha)
        return
    pairs = TrainingPairs.of(
        data.dataset,
        np.sort(data.train) if trainer.in_file_order else data.train,
        model.hard_mask,
        distinct=trainer.distinct_contexts,
        repeat_alpha=trainer.repeat_alpha,
        priors=model.priors,
        units=data.units,
    )
    costs = components.loss, components.sampler
    task = TrainingTask(model, *costs, pairs, generator, history, epochs)
    around.progress.start(kind.name, epochs or trainer.epochs)
    with stop_on_request(lambda: around.progress.say(STOPPING)) as stop:
        trainer.fit(task, kind(model, seed, around, stop))


def run_seed(around: RunContext, begun: Start) -> SeedRun:
    """Train one seed, from its newest checkpoint on if the folder has one, and evaluate it.

    Raises
    ------
    StoppedError
        If training failed or was interrupted; holds the model with its last good weights.
    """
    seed, data, history = begun.seed, around.data, around.histories[begun.seed]
    start = time.perf_counter()
    with _stop_noted(begun.model, seed, around.chosen_on):
        _fit(replace(around, data=around.chosen_on), begun, SeedCallback, history)
        around.say_if_too_short(seed)
    if data is not around.chosen_on:
        begun, history.refit = around.components.start(seed, data.facts), History()
    model = begun.model
    with _stop_noted(model, seed, data):
        if history.refit:
            _fit(around, begun, RefitCallback, history.refit, history.best_epoch)
        trained = time.perf_counter()
        around.progress.start("evaluating", None)
        if data.stream is None:
            evaluation = evaluate_rows(model, data.dataset, data.test)
        else:
            counts = check_in_time(model)
            alpha = around.components.trainer.repeat_alpha
            evaluation = evaluate_in_time(counts, data.dataset, data.test, data.stream, alpha)
    done = time.perf_counter()
    accuracy = evaluate(evaluation.outcomes)["accuracy"]
    LOGGER.info("seed %d: %d epochs, accuracy %.4f", seed, len(history.every_row), accuracy)
    seconds = history.all_seconds or trained - start
    return SeedRun(seed, model, history, evaluation, seconds, done - trained)


def fit_final(around: RunContext, runs: list[SeedRun]) -> None:
    """Fit on all steps what the evaluated models were, for as many epochs as these kept.

    Raises
    ------
    StoppedError
        If training failed or was interrupted; holds the evaluated model.
    """
    whole = replace(around, data=around.data.whole())
    folder = around.folder.below(FINAL)
    write_facts(folder, whole.data.dataset, whole.data.facts.graph)
    for run, begun in zip(runs, around.components.starts(whole.data.facts), strict=True):
        with _stop_noted(run.model, run.seed, around.data):
            _fit(whole, begun, FinalCallback, History(), run.history.best_epoch or None)
        write_weights(folder, begun.model, None if run is runs[0] else run.seed)
    LOGGER.info("final: fitted on all %d pairs", len(whole.data.train))


@contextmanager
def _stop_noted(model: Model, seed: int, data: SplitData) -> Iterator[None]:
    """Say of a failure or an interruption inside which model is left, and what it knows."""
    try:
        yield
    except (TrainingError, KeyboardInterrupt) as reason:
        heard()  # the run is put in order first
        raise StoppedError(model, seed, data, reason) from reason


class StoppedError(Exception):
    """Training ended early; the model keeps its last good weights."""

    def __init__(self, model: Model, seed: int, data: SplitData, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.model = model
        self.seed = seed
        self.data = data
        self.reason = reason


def count(model: CountingModel, data: SplitData, repeat_alpha: float) -> None:
    """Let a model count the pairs to be fitted."""
    unit = None if data.units is None else data.units.of(data.train)
    contexts, pairs = Contexts.of_pairs(data.dataset, data.train)
    if model.in_order:
        unit = data.dataset.place_in_time[pairs.composition]
    model.count(pairs.distinct(unit, repeat_alpha), contexts)


def check_first_part(config: DictConfig, request: Request) -> None:
    """Try what the parts of a split share, so that what is wrong is said once and nothing begins.

    Raises
    ------
    DagrecError
        If a setting or the data is not as the first part needs it.
    """
    first = deepcopy(config)
    first.split.part = 0
    components = Components.of(first, request.choices)
    _, chosen_on = components.sides(cached_dataset(components.data))
    next(components.starts(chosen_on.facts))


def run_experiment(
    config: DictConfig,
    folder: RunFolder,
    request: Request,
    progress: Progress,
    *,
    resume: bool = False,
) -> Run:
    """Run all seeds of a config and fill its run folder.

    Parameters
    ----------
    config
        The composed config of ``dagrec train``.
    folder
        Where the files go.
    request
        What the user asked for, for names in tables and for the record.
    progress
        A display of how far the work is.
    resume
        True to continue from the folder's checkpoints; False to start from scratch.

    Raises
    ------
    DagrecError
        If a setting or the data is not as it must be; nothing is left in the folder.
    TrainingError
        If the loss is not finite; the folder holds the last good weights.
    KeyboardInterrupt
        If the user stops it; says how to resume.
    """
    check_free(folder.path, TRAINING)
    with folder.locked(), logged(folder), SafeLogger(progress.say) as logger:
        start, began = time.perf_counter(), origin("train", request)
        components = Components.of(config, request.choices)
        progress.start("reading", None)
        dataset = cached_dataset(components.data, progress.step)
        data, chosen_on = components.sides(dataset)
        if config.get("evaluate_on") == "validation":
            data = chosen_on = chosen_on.on_validation()
        seconds_data = time.perf_counter() - start
        starts = components.starts(chosen_on.facts)
        first = next(starts)  # what does not fit the data stops here, with nothing written
        if data.stream is not None:
            check_in_time(first.model, components.metrics)
        _begin(config, folder, request, data, resume=resume)
        LOGGER.info("%d train, %d %s pairs, read in %.1f s", *data.sizes, data.side, seconds_data)
        validated = with_default(components.metrics) if len(chosen_on.validation) else ()
        metrics = MetricsFile(folder, validated, has_refit=data is not chosen_on)
        logger.begin(components.logger, folder, config, request)
        histories = {seed: History() for seed in components.seeds}
        parts = folder, progress, logger, metrics, components
        around = RunContext(*parts, data, chosen_on, histories)
        with _stops_written(around, began, request):
            runs = list(map(partial(run_seed, around), chain([first], starts)))
            if has_final := components.trainer.fit_on == "all" and data.is_main:
                fit_final(around, runs)
        bounds = ceilings(data.dataset, data.test, getattr(components.data, "truth", None))
        _write_learning_curve(around, request)
        evaluations = {run.seed: run.evaluation for run in runs}
        write_predictions(folder, data.dataset, data.test, evaluations)
        for run in runs:
            write_weights(folder, run.model, None if run is runs[0] else run.seed)
        seconds_total = time.perf_counter() - start
        seconds = {"seconds_data": seconds_data, "seconds_total": seconds_total}
        whole = finished(began, data, chosen_on, runs, bounds, components.metrics, **seconds)
        whole = msgspec.structs.replace(whole, has_final=has_final)
        done = write_result(folder, whole)
        if not config.keep_checkpoints:
            folder.remove(CHECKPOINTS)
        LOGGER.info("finished in %.1f s", time.perf_counter() - start)
        logger.end(whole)
        return done


def _begin(
    config: DictConfig, folder: RunFolder, request: Request, data: SplitData, *, resume: bool
) -> None:
    """Write what the run begins with, and set what is kept of an earlier beginning."""
    sha256, threads = data.dataset.sha256, config.threads
    if resume:
        before = check_same_data(folder.path, sha256)
        threads = before.threads if threads == "auto" else threads
    n_threads = set_threads(threads, data.dataset)
    begin(folder, config, request, sha256, n_threads, resume=resume)
    write_setup(folder, config, data.dataset, data.facts.graph)
    LOGGER.info("dagrec train %s", " ".join(request.overrides))


@contextmanager
def _stops_written(around: RunContext, began: Origin, request: Request) -> Iterator[None]:
    """Write what a seed that was stopped inside leaves, and raise why it was."""
    try:
        yield
    except StoppedError as stop:
        folder, seeds = around.folder, tuple(around.components.seeds)
        around.metrics.add(stop.seed, around.histories[stop.seed].every_row)
        _write_learning_curve(around, request)
        write_facts(folder, stop.data.dataset, stop.data.facts.graph)
        write_weights(folder, stop.model)
        facts = data_facts(around.data, around.chosen_on)
        about = {"seeds": seeds, "stopped_at_seed": stop.seed, "data": facts}
        write_record(folder, stopped(began, stop.reason, **about))
        LOGGER.error("seed %d stopped: %s", stop.seed, stop.reason or "interrupted")
        if isinstance(stop.reason, KeyboardInterrupt):
            again = resume_command(folder.path, request)
            raise KeyboardInterrupt(f"interrupted; continue with: {again}") from None
        raise stop.reason from None


def _write_learning_curve(around: RunContext, request: Request) -> None:
    """Write ``learning_curve.png`` if anything was trained."""
    histories = [history.every_row for history in around.histories.values()]
    if any(histories):
        about, monitor = chosen(request.choices), around.components.trainer.monitor
        learning_curve("learning_curve", about, histories, monitor).save(around.folder, "png")
