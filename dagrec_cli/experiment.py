"""One experiment: data, split, model, training, evaluation, run folder.

``train``, ``reproduce`` and sweeps all run this.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Generator

from dagrec_cli.config.build import build
from dagrec_cli.config.checks import check_loss_and_sampler, check_sampler_and_mask, seeds_of
from dagrec_cli.config.limits import check_choice, check_count
from dagrec_cli.config.seeds import seed_everything
from dagrec_cli.data.composition import Source
from dagrec_cli.data.dataset import prepare
from dagrec_cli.data.splits import Split
from dagrec_cli.errors import TrainingError
from dagrec_cli.evaluation.ceiling import ceilings
from dagrec_cli.evaluation.evaluator import evaluate_model
from dagrec_cli.evaluation.metrics import METRICS, evaluate
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import CountingModel, Model, TorchModel
from dagrec_cli.models.contexts import Contexts
from dagrec_cli.reporting.provenance import Request
from dagrec_cli.reporting.result import Result
from dagrec_cli.reporting.run_folder import RESULT, RunFolder
from dagrec_cli.reporting.seed_run import (
    SeedRun,
    write_history,
    write_predictions,
    write_setup,
    write_weights,
)
from dagrec_cli.reporting.tables import Table
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch, encode_once
from dagrec_cli.training.full_batch import FullBatch
from dagrec_cli.training.history import History
from dagrec_cli.training.progress import Progress
from dagrec_cli.training.threads import set_threads
from dagrec_cli.training.work import Work


@dataclass(frozen=True)
class Parts:
    """What the config groups describe, built before any work so that mistakes stop at once."""

    data: Source
    split: Split
    loss: Loss
    sampler: Sampler
    trainer: FullBatch
    seeds: list[int]

    @classmethod
    def of(cls, config: DictConfig, choices: Mapping[str, str]) -> "Parts":
        """Build every group but the model, which needs the data first.

        Raises
        ------
        ConfigError
            If a setting is out of range or two groups do not go together.
        """
        seeds = seeds_of(config.seed, config.seeds)
        check_count("bootstrap", config.bootstrap, least=2)
        groups = ("data", "split", "loss", "sampler", "trainer")
        parts = cls(**{group: build(config[group], group) for group in groups}, seeds=seeds)
        check_choice("trainer.monitor", parts.trainer.monitor, METRICS)
        check_loss_and_sampler(
            choices["loss"],
            needs_negatives=parts.loss.needs_negatives,
            n_sample=parts.sampler.n_sample,
        )
        check_sampler_and_mask(
            choices["sampler"],
            needs_mask=parts.sampler.needs_mask,
            has_mask=config.model.get("dag_mask"),
        )
        return parts


def run_seed(
    config: DictConfig, parts: Parts, work: Work, seed: int, history: History, progress: Progress
) -> SeedRun:
    """Train and evaluate one seed.

    Raises
    ------
    StoppedError
        If training failed or was interrupted; holds the model with its last good weights.
    """
    generator = seed_everything(seed)
    model: Model = build(config.model, "model", work.facts)
    start = time.perf_counter()
    try:
        if isinstance(model, TorchModel):
            _train(model, parts, work, history, generator, progress)
        else:
            _count(cast(CountingModel, model), work)
    except (TrainingError, KeyboardInterrupt) as reason:
        raise StoppedError(model, seed, reason) from reason
    trained = time.perf_counter()
    evaluation = evaluate_model(model, work.dataset.contexts, work.dataset.pairs.take(work.test))
    done = time.perf_counter()
    return SeedRun(seed, model, history, evaluation, trained - start, done - trained)


class StoppedError(Exception):
    """Training ended early; the model keeps its last good weights."""

    def __init__(self, model: Model, seed: int, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.model = model
        self.seed = seed
        self.reason = reason


def _train(
    model: TorchModel,
    parts: Parts,
    work: Work,
    history: History,
    generator: Generator,
    progress: Progress,
) -> None:
    dataset, trainer = work.dataset, parts.trainer
    batch = Batch.of(dataset, work.train, model.mask, distinct=trainer.distinct_contexts)
    counts = torch.bincount(batch.target, batch.weight, minlength=model.facts.n_services)
    parts.sampler.prepare(counts)
    held_out = dataset.pairs.take(work.validation)

    def validate() -> dict[str, float]:
        return evaluate(evaluate_model(model, dataset.contexts, held_out).outcomes)

    def watch(row: dict[str, float]) -> None:
        progress.step(int(row["epoch"]), f"loss {row['loss']:.4f}")

    progress.start("training", trainer.epochs)
    trainer.fit(
        model,
        parts.loss,
        parts.sampler,
        batch,
        history,
        generator=generator,
        validate=validate if len(work.validation) else None,
        watch=watch,
    )


def _count(model: CountingModel, work: Work) -> None:
    pairs = work.dataset.pairs.take(work.train).distinct()
    entries, row = encode_once(pairs)
    model.count(
        pairs._replace(context=row.astype(np.int32)), Contexts.of(work.dataset.contexts, entries)
    )


def run_experiment(
    config: DictConfig, folder: RunFolder, request: Request, progress: Progress
) -> Table:
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

    Returns
    -------
    Table
        The model's row and, where the data's law is known, the ceiling's.

    Raises
    ------
    DagrecError
        If a setting or the data is not as it must be; nothing is left in the folder.
    TrainingError
        If the loss is not finite; the folder holds the last good weights.
    """
    start = time.perf_counter()
    parts = Parts.of(config, request.choices)
    progress.start("reading", None)
    dataset = prepare(parts.data, progress.step)
    set_threads(config.threads, dataset)
    work = Work.of(dataset, parts.split, parts.trainer.validation_share)
    seconds_data = time.perf_counter() - start
    histories = {seed: History() for seed in parts.seeds}
    result = Result(work, request, parts.seeds, seconds_data)
    write_setup(folder, config, dataset, work.facts.graph)
    try:
        runs = [run_seed(config, parts, work, s, histories[s], progress) for s in parts.seeds]
    except StoppedError as stop:
        write_history(folder, histories, parts.trainer.monitor)
        write_weights(folder, stop.model)
        folder.write_json(RESULT, result.stopped(stop.seed, stop.reason))
        raise stop.reason from None
    bounds = ceilings(dataset, work.test, getattr(parts.data, "truth", None))
    result.finish(runs, bounds, n_resamples=config.bootstrap)
    write_history(folder, histories, parts.trainer.monitor)
    write_predictions(folder, dataset, work.test, runs)
    for run in runs:
        write_weights(folder, run.model, None if run is runs[0] else run.seed)
    table = result.table()
    table.save(folder)
    folder.write_json(RESULT, result.to_json(time.perf_counter() - start))
    return table
