"""A saved model on test pairs: those it was made for, or others; with a run folder of its own."""

import time
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.untrusted import checked_node
from dagrec_cli.data.cache import CachedSource, cached_dataset
from dagrec_cli.data.splits import Split, leakage
from dagrec_cli.errors import RunError
from dagrec_cli.evaluation.ceiling import ceilings
from dagrec_cli.evaluation.other_data import (
    Unseen,
    count_forbidden,
    count_unseen,
    evaluate_other_data,
    renumber,
)
from dagrec_cli.experiment.result import Result
from dagrec_cli.experiment.seed_run import MetricsFile, SeedRun, write_predictions, write_setup
from dagrec_cli.models.base import Facts, Model
from dagrec_cli.reporting.tables import Table
from dagrec_cli.runs.folder import CONFIG, RESULT, RunFolder
from dagrec_cli.runs.model import load_model, saved_choices, saved_facts, saved_seeds
from dagrec_cli.runs.provenance import Request, provenance
from dagrec_cli.runs.run import Run
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import History

Side = Literal["test", "train", "all"]
UNSEEN_RULE = (
    "unseen nodes are left out of a context; after a context with nothing left all services score "
    "alike; an unseen target has no rank and gains 0 in every metric"
)


class EvaluationResult(Result):
    """The result of a saved model.

    Parameters
    ----------
    run
        Where the model comes from.
    unseen
        What the model does not know of the pairs.
    is_own_test
        True if the pairs are the test that the run itself was evaluated on.
    """

    def __init__(self, run: Run, unseen: Unseen, is_own_test: bool, *result: Any) -> None:
        super().__init__(*result)
        self.run = run
        self.unseen = unseen
        self.is_own_test = is_own_test

    def notes(self) -> list[str]:
        """Return the lines below the table."""
        notes = super().notes()
        if not self.is_own_test:
            own = saved_choices(self.run)
            notes[1] = (
                f"The model was trained on data={own.get('data')} split={own.get('split')}: where "
                "the data overlap, pairs tested here may have been trained on."
            )
        if any(self.unseen):
            notes.append(
                f"Unseen: {self.unseen.nodes:,} nodes and {self.unseen.services:,} target services "
                f"of the data; of the pairs here {self.unseen.contexts_shortened:,} contexts are "
                f"shortened, {self.unseen.contexts_emptied:,} emptied, "
                f"{self.unseen.targets:,} targets unknown. Rule: {UNSEEN_RULE}."
            )
        return notes

    def _head(self, status: str) -> dict[str, Any]:
        head = super()._head(status)
        own = {"run": str(self.run.path), "unseen": self.unseen._asdict(), "rule": UNSEEN_RULE}
        return {**head, **own, **provenance("evaluate", self.request.overrides)}


def evaluate_run(
    run: Run,
    given: dict[str, DictConfig],
    folder: RunFolder,
    request: Request,
    *,
    side: str,
) -> Table:
    """Evaluate a run's model and fill a folder as ``dagrec train`` does.

    Parameters
    ----------
    given
        ``data`` and ``split`` where they are to be other than the run's own.
    request
        What the user asked for; its choices name data and split.
    side
        ``test`` or ``train`` of the split, or ``all`` pairs.

    Raises
    ------
    DagrecError
        If the run cannot be read, or the data are not as they must be.
    """
    start = time.perf_counter()
    if not run.is_finished:
        raise RunError(f"{run.path}: the run is not finished ({run.reason}); evaluate one that is.")
    file, facts, seeds = run.path / CONFIG, saved_facts(run), saved_seeds(run)
    models = [load_model(run, seed) for seed in seeds]
    own = {
        group: checked_node(run.config, group, file, run.packages)
        for group in {"data", "split"} - given.keys()
    }
    nodes = {**own, **given}
    source: CachedSource = build(nodes["data"], "data", kind=CachedSource)
    data = _split_data(source, build(nodes["split"], "split", kind=Split), facts, side)
    unseen = count_unseen(facts, data.dataset, data.test)
    seconds_data = time.perf_counter() - start
    is_own = side == "test" and _is_same(run, data, nodes["split"])
    result = EvaluationResult(run, unseen, is_own, data, request, seeds, seconds_data)
    runs = [_seed_run(*each, data) for each in zip(seeds, models, strict=True)]
    bounds = ceilings(data.dataset, data.test, getattr(source, "truth", None))
    result.finish(runs, bounds)
    trained = run.result.get("model")
    if isinstance(trained, dict):
        result.model |= {k: trained[k] for k in ("epochs", "best_epoch") if k in trained}
    config = OmegaConf.create({**run.config, **nodes})
    write_setup(folder, config, data.dataset, facts.graph)
    MetricsFile(folder)  # nothing was trained
    write_predictions(folder, data.dataset, data.test, runs)
    table = result.table()
    table.save(folder)
    folder.write_json(RESULT, result.to_json(time.perf_counter() - start))
    return table


def _is_same(run: Run, data: SplitData, split: DictConfig) -> bool:
    """Return whether data and split are those that a run was made with."""
    saved = run.result.get("data")
    is_same_data = isinstance(saved, dict) and saved.get("sha256") == data.dataset.sha256
    return is_same_data and plain(split) == run.config.get("split")


def _split_data(source: CachedSource, split: Split, facts: Facts, side: str) -> SplitData:
    """Return the data in the model's numbers, with the pairs to evaluate as its test."""
    dataset = renumber(cached_dataset(source), facts.vocabulary)
    dataset.contexts.check_depth()
    if side == "all":  # needs no split, which few pairs may not allow
        test = np.arange(len(dataset.pairs.context))
        none, shown = test[:0], leakage(dataset, test[:0], test)
        data = SplitData(dataset, none, none, test, facts, shown, n_forbidden=0)
    else:
        data = SplitData.of(dataset, split, validation_share=0.0)
        test = data.train if side == "train" else data.test
    n_forbidden = count_forbidden(facts, dataset, test)
    held_out = data.held_out if side == "test" else {}
    return replace(
        data, test=test, facts=facts, n_forbidden=n_forbidden, side=side, held_out=held_out
    )


def _seed_run(seed: int, model: Model, data: SplitData) -> SeedRun:
    start = time.perf_counter()
    evaluation = evaluate_other_data(model, data.dataset, data.test)
    return SeedRun(seed, model, History(), evaluation, 0.0, time.perf_counter() - start)
