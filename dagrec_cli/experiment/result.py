"""What a run found, as ``result.json`` has it, and the table that shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from dagrec_cli.config.metric_names import of_lists, with_default
from dagrec_cli.data.invalid import summarise
from dagrec_cli.data.unseen import count_forbidden, count_unseen, rule_of
from dagrec_cli.evaluation.ceiling import CEILINGS, has_ceiling
from dagrec_cli.evaluation.evaluator import Evaluation
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import Membership, Outcomes
from dagrec_cli.evaluation.recommender import list_metrics
from dagrec_cli.evaluation.strata import strata
from dagrec_cli.evaluation.uncertainty import metric_summaries
from dagrec_cli.models.base import Model
from dagrec_cli.reporting.notes import basis, ceilings_note
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Origin
from dagrec_cli.runs.record import write_record
from dagrec_cli.runs.result import DataFacts, Finished, ModelFacts, Seconds, Stratum
from dagrec_cli.runs.run import Run
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import History

TIE_RULE = (
    "equal scores share their ranks (expected value over their order); what a mask rules out ranks "
    "below the rest, by its own score; padding is not scored"
)


@dataclass(frozen=True)
class SeedRun:
    """A trained model, how it got there, and what it made of the test pairs."""

    seed: int
    model: Model
    history: History
    evaluation: Evaluation
    seconds_train: float
    seconds_evaluate: float


def finished(
    origin: Origin,
    data: SplitData,
    chosen_on: SplitData,
    runs: Sequence[SeedRun],
    bounds: Mapping[str, Outcomes],
    metrics: Sequence[str],
    *,
    seconds_data: float,
    seconds_total: float,
) -> Finished:
    """Return the result of a run whose seeds have all been evaluated.

    Parameters
    ----------
    data, chosen_on
        What the models are fitted and evaluated on, and what chose their epochs.
    bounds
        The best possible outcomes by name, see :func:`~dagrec_cli.evaluation.ceiling.ceilings`.
    metrics
        What is computed beside the metrics that every run has.
    """
    lists, metrics = of_lists(metrics), with_default(metrics)
    belongs = Membership.of(data.dataset, data.test)
    # Macro averages may be higher for predictions that are more often wrong, so have no ceiling.
    bounded = [metric for metric in metrics if has_ceiling(metric)]
    ceilings: Any = {
        name: metric_summaries([best], belongs, bounded) for name, best in bounds.items()
    }
    epochs = [row for run in runs for row in run.history.every_row]
    step_seconds = sum(row["seconds"] for row in epochs)
    return Finished(
        **msgspec.structs.asdict(origin),
        seeds=tuple(run.seed for run in runs),
        data=data_facts(data, chosen_on),
        metrics=metric_summaries([run.evaluation.outcomes for run in runs], belongs, metrics),
        per_seed={run.seed: evaluate(run.evaluation.outcomes, metrics, belongs) for run in runs},
        ceilings=ceilings,
        evaluated_on=data.side,
        tie_rule=TIE_RULE,
        model=ModelFacts(
            parameters=sum(p.numel() for p in runs[0].model.parameters()),
            mask=runs[0].model.mask,
            epochs=[len(run.history.rows) for run in runs],
            best_epoch=[run.history.best_epoch for run in runs],
            refit=any(run.history.refit for run in runs),
            is_probabilistic=runs[0].evaluation.confidence is not None,
        ),
        seconds=Seconds(
            data=seconds_data,
            train=sum(run.seconds_train for run in runs),
            evaluate=sum(run.seconds_evaluate for run in runs),
            per_epoch=step_seconds / len(epochs) if epochs else 0.0,
            total=seconds_total,
        ),
        strata={
            name: Stratum(
                int(where.sum()),
                {run.seed: evaluate(run.evaluation.outcomes.take(where)) for run in runs},
            )
            for name, where in strata(data.dataset, data.train, data.test).items()
            if data.stream is None  # else not all steps are predicted from the same
        },
        lists={
            run.seed: list_metrics(run.model, data.dataset, data.test, lists)
            for run in runs
            if lists
        },
        unseen=count_unseen(data.dataset, data.test),
        rule=rule_of(data.facts.vocabulary),
    )


def data_facts(data: SplitData, chosen_on: SplitData) -> DataFacts:
    """Return what the figures of a run on these data are about, see :func:`finished`."""
    dataset = data.dataset
    composition = dataset.pairs.composition[data.test]
    return DataFacts(
        sha256=dataset.sha256,
        compositions=dataset.n_compositions,
        skipped=len(dataset.skipped),
        left_out=summarise(dataset.skipped),
        dropped=dict(dataset.dropped),
        context=dataset.context,
        merges=bool((dataset.followed.n_parents > 1).any()),
        pairs=len(dataset.pairs.context),
        nodes=dataset.vocabulary.n_names,
        services=len(dataset.vocabulary.services),
        train=len(chosen_on.train),
        validation=len(chosen_on.validation),
        test=len(data.test),
        test_groups=len(np.unique(dataset.group[composition])),
        held_out=dict(chosen_on.held_out),
        leakage=data.leakage,
        forbidden_test_targets=count_forbidden(data.facts.graph, dataset, data.test),
        part=data.part,
    )


def write_result(folder: RunFolder, result: Finished) -> Run:
    """Write the table and, last of all, the result; return the run that is done."""
    run = Run(folder.path, result, result.seeds)
    table_of(run).save(folder)
    write_record(folder, result)
    return run


def table_of(run: Run) -> Table:
    """Return the model's row and, below it, the best that is possible."""
    result = run.finished
    choices, listed = result.choices, result.listed(result.seeds)
    row = {
        "model": choices.get("model", "model"),
        "loss": choices.get("loss", "") if result.model.parameters else "–",
        **result.metrics,
        **listed,
        "seconds_per_epoch": result.seconds.per_epoch or None,
    }
    best: Any = next(name for name in ("law", "owner", "context") if name in result.ceilings)
    title = f"data={choices.get('data')} split={choices.get('split')}"
    if result.evaluated_on != "test":
        title += f", {result.evaluated_on} pairs"
    columns = ["model", "loss", *result.metrics, *listed, "seconds_per_epoch"]
    rows: list[dict[str, Any]] = [
        row,
        {"model": CEILINGS[best][0], "loss": "–", **result.ceilings[best]},
    ]
    notes = [*basis([TableRow("", [run])]), ceilings_note([best])]
    if "owner" in result.ceilings:
        notes.append("The model reads owners, so vocabulary.json holds their names.")
    return Table(title, columns, rows, notes)
