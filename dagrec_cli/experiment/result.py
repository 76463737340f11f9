"""``result.json`` and the table: what a run found, and what the numbers rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dagrec_cli.data.invalid import count_dropped, plural, summarise
from dagrec_cli.evaluation.intervals import MetricSummary, metric_summaries
from dagrec_cli.evaluation.metrics import BY_RANK, METRICS, evaluate
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.experiment.seed_run import SeedRun
from dagrec_cli.reporting.tables import Table
from dagrec_cli.runs.provenance import Request, provenance
from dagrec_cli.training.split_data import SplitData

FORMAT = 1
TIE_RULE = (
    "equal scores share their ranks (expected value over their order); what a mask rules out ranks "
    "below the rest, by its own score; padding is not scored"
)


class Result:
    """Collects the findings of one run.

    Parameters
    ----------
    data
        The data and its sides.
    request
        What the user asked for.
    seeds
        The seeds of the run.
    seconds_data
        How long reading and splitting took.
    """

    def __init__(
        self, data: SplitData, request: Request, seeds: Sequence[int], seconds_data: float
    ) -> None:
        self.data = data
        self.request = request
        self.seeds = list(seeds)
        self.seconds = {"data": seconds_data}
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.metrics: dict[str, MetricSummary] = {}
        self.per_seed: dict[int, dict[str, float]] = {}
        self.ceilings: dict[str, dict[str, MetricSummary]] = {}
        self.model: dict[str, Any] = {}

    def finish(self, runs: Sequence[SeedRun], bounds: Mapping[str, Outcomes]) -> None:
        """Take in the finished seeds, and the best possible outcomes by name."""
        dataset = self.data.dataset
        unit = dataset.group[dataset.pairs.composition[self.data.test]]
        outcomes = [run.evaluation.outcomes for run in runs]
        self.metrics = metric_summaries(outcomes, unit)
        self.per_seed = {run.seed: evaluate(run.evaluation.outcomes) for run in runs}
        found = {name: metric_summaries([best], unit) for name, best in bounds.items()}
        self.ceilings = {  # macro averages may be higher for predictions that are more often wrong
            name: {metric: summary[metric] for metric in BY_RANK} for name, summary in found.items()
        }
        n_epochs = sum(len(run.history.rows) for run in runs)
        step_seconds = sum(row["seconds"] for run in runs for row in run.history.rows)
        self.seconds |= {
            "train": sum(run.seconds_train for run in runs),
            "evaluate": sum(run.seconds_evaluate for run in runs),
            "per_epoch": step_seconds / n_epochs if n_epochs else 0.0,
        }
        self.model = {
            "parameters": sum(p.numel() for p in runs[0].model.parameters()),
            "dag_mask": runs[0].model.dag_mask,
            "epochs": [len(run.history.rows) for run in runs],
            "best_epoch": [run.history.best_epoch for run in runs],
        }

    def to_json(self, seconds_total: float) -> dict[str, Any]:
        """Return the whole ``result.json`` of a finished run."""
        return {
            **self._head("finished"),
            "metrics": self.metrics,
            "per_seed": self.per_seed,
            "ceilings": self.ceilings,
            "evaluated_on": self.data.side,
            "tie_rule": TIE_RULE,
            "model": self.model,
            "seconds": {**self.seconds, "total": seconds_total},
        }

    def stopped(self, seed: int, reason: BaseException) -> dict[str, Any]:
        """Return the ``result.json`` of a run that was interrupted or failed."""
        status = "interrupted" if isinstance(reason, KeyboardInterrupt) else "failed"
        return {**self._head(status), "error": str(reason) or status, "stopped_at_seed": seed}

    def table(self) -> Table:
        """Return the model's row and the ceiling's."""
        row = {
            "model": self.request.choices.get("model", "model"),
            "loss": self.request.choices.get("loss", "") if self.model["parameters"] else "–",
            **self.metrics,
            "seconds_per_epoch": self.seconds["per_epoch"] or None,
        }
        name = "law" if "law" in self.ceilings else "context"
        rows: list[dict[str, Any]] = [row, {"model": "ceiling", "loss": "–", **self.ceilings[name]}]
        title = f"data={self.request.choices.get('data')} split={self.request.choices.get('split')}"
        if self.data.side != "test":
            title += f", {self.data.side} pairs"
        columns = ["model", "loss", *METRICS, "seconds_per_epoch"]
        return Table(title, columns, rows, self.notes())

    def notes(self) -> list[str]:
        """Return the lines below the table."""
        data, n_pairs = self.data, len(self.data.test)
        side = "" if data.side == "all" else f"{data.side} "
        pairs = data.dataset.pairs
        n_groups = len(np.unique(data.dataset.group[pairs.composition[data.test]]))
        seeds, spread, over = "seed", "", ""
        if len(self.seeds) > 1:
            seeds, spread, over = "seeds", "mean ± standard deviation over them, ", " and seeds"
        elif self.model["parameters"]:
            over = "; of other seeds it knows nothing"
        notes = [
            f"n = {plural(n_pairs, f'{side}pair')} of {len(pairs.context):,}, in "
            f"{plural(n_groups, 'group')} of equal compositions; "
            f"{seeds} {', '.join(map(str, self.seeds))}; "
            f"{spread}[95 % interval over groups{over}].",
            f"Leakage: {data.leakage.pairs:.0%} of {side}pairs and {data.leakage.contexts:.0%} of "
            "their contexts also occur in training.",
            *self._split_notes(),
            f"Ties: {TIE_RULE}; accuracy takes the first of equal services.",
        ]
        if self.model["dag_mask"]:
            notes.append(f"DAG mask: {data.n_forbidden:,} {side}targets are ruled out by it.")
        if "law" in self.ceilings:
            notes.append(
                "Ceiling: the best predictor in expectation, which knows the data's law; on these "
                "pairs a model may be luckier."
            )
        else:
            notes.append(f"Ceiling: the best function of the whole context, chosen on {side}pairs.")
        if data.dataset.skipped:
            notes.append(f"Left out: {summarise(data.dataset.skipped)}.")
        if data.dataset.dropped:
            notes.append(f"Dropped from compositions: {count_dropped(data.dataset.dropped)}.")
        return notes

    def _split_notes(self) -> list[str]:
        """Return how what is evaluated was held out, and what is to be said of validation."""
        notes = []
        for side, found in self.data.held_out.items():
            if side == self.data.side:
                notes += found.told()
            elif side == "validation":
                notes += [f"Warning: validation: {warning}." for warning in found.warnings]
        return notes

    def _head(self, status: str) -> dict[str, Any]:
        data, dataset = self.data, self.data.dataset
        return {
            "format": FORMAT,
            "status": status,
            "started": self.started,
            **self.request._asdict(),
            "seeds": self.seeds,
            "data": {
                "sha256": dataset.sha256,
                "compositions": dataset.n_compositions,
                "skipped": len(dataset.skipped),
                "paths": len(dataset.path),
                "pairs": len(dataset.pairs.context),
                "nodes": len(dataset.vocabulary.nodes),
                "services": len(dataset.vocabulary.services),
                "train": len(data.train),
                "validation": len(data.validation),
                "test": len(data.test),
                "held_out": {side: asdict(found) for side, found in data.held_out.items()},
                "leakage": data.leakage._asdict(),
                "forbidden_test_targets": data.n_forbidden,
            },
            **provenance("train", self.request.overrides),
        }
