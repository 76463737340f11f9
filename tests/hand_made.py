"""Run folders built by hand, with the files that a report reads."""

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from omegaconf import OmegaConf

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.uncertainty import MetricSummary, metric_summaries
from dagrec_cli.runs.provenance import Request, origin
from dagrec_cli.runs.record import RECORD_FORMAT
from dagrec_cli.runs.result import (
    DataFacts,
    Finished,
    ModelFacts,
    Seconds,
    Stopped,
    stopped,
)
from dagrec_cli.runs.run import Run

EVIL = "service_<script>alert('&\"$x$')</script>"
NODES = {"table_1": False, EVIL: True, "service_2": True, "service_3": True}
SERVICES = [EVIL, "service_2", "service_3"]
CONFIG = """\
data: {_target_: some.Reader, path: null, cache: true}
split: {_target_: some.Split, test_share: 0.3, seed: 42, graph: train}
trainer: {monitor: ndcg, epochs: 2}
note: "</script><b>not bold</b>"
"""
DATA = {
    "sha256": "abc",
    "compositions": 5,
    "skipped": 0,
    "left_out": "",
    "dropped": {},
    "context": "path",
    "merges": False,
    "pairs": 10,
    "nodes": 4,
    "train": 7,
    "validation": 0,
    "test": 3,
    "test_groups": 2,
    "held_out": {},
    "leakage": {"pairs": 0.5, "contexts": 1.0},
    "forbidden_test_targets": 1,
}
OPTIONS = ("model", "loss", "sampler", "trainer")  # whose choice is the class in the config, too
# pair, composition, group, context, depth, target, predicted, rank (no ties)
PREDICTIONS = [
    (7, 3, 3, 0, 1, EVIL, EVIL, 1),
    (8, 4, 4, 0, 1, "service_2", EVIL, 2),
    (9, 4, 4, 1, 2, "service_2", "service_2", 1),
]


def rows_of(predicted: str) -> list[tuple[Any, ...]]:
    """Return the predictions with another one for the first pair, whose target is then second."""
    first = PREDICTIONS[0]
    return [(*first[:6], predicted, 1 if predicted == EVIL else 2), *PREDICTIONS[1:]]


def figures(predicted: str, services: list[str], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return the metrics of these predictions, as ``result.json`` has them."""
    rows = rows_of(predicted)
    target, chosen = (np.array([services.index(row[k]) for row in rows]) for k in (5, 6))
    rank = np.array([row[7] for row in rows])
    outcomes = Outcomes(target, chosen, rank - 1, np.zeros_like(rank))
    return {
        "metrics": metric_summaries([outcomes] * len(seeds)),
        "per_seed": {seed: evaluate(outcomes) for seed in seeds},
    }


def write_run(
    path: Path,
    *,
    is_trained: bool = True,
    is_finished: bool = True,
    choices: dict[str, str] | None = None,
    config: str = "",
    seeds: tuple[int, ...] = (0,),
    predicted: str = EVIL,
    services: list[str] = SERVICES,
    data: dict[str, Any] | None = None,
    **result_items: Any,
) -> Run:
    """Write a run folder; a model that was not trained counts.

    Parameters
    ----------
    choices, data, result_items
        More items of ``result.json``, of what it says of the choices and of the data.
    config
        More lines of ``config.yaml``.
    predicted
        What is predicted for the first test pair, whose target is EVIL.
    services
        The catalogue.
    """
    path.mkdir(parents=True)
    nodes = {**NODES, **dict.fromkeys(services, True)}
    chosen = {"data": "hand", "split": "paper"} | (choices or {})
    result = {
        "format": RECORD_FORMAT,
        "status": "finished" if is_finished else "failed",
        "error": "the <b>disk</b> is full",
        "started": "2026-01-01T00:00:00",
        "command_line": "dagrec train model=<i>",
        "versions": {"dagrec": "0.2.0"},
        "git_commit": None,
        "machine": "Linux",
        "seeds": seeds,
        "choices": chosen,
        "overrides": [],
        **figures(predicted, services, seeds),
        "data": DATA | {"services": len(services), "nodes": len(nodes)} | (data or {}),
        "ceilings": {},
        "evaluated_on": "test",
        "tie_rule": "equal scores share their ranks",
        "model": {
            "parameters": 1234 if is_trained else 0,
            "mask": "hard",
            "epochs": [2 * is_trained] * len(seeds),
            "best_epoch": [2 * is_trained] * len(seeds),
        },
        "seconds": dict.fromkeys(("data", "train", "evaluate", "total"), 1.0)
        | {"per_epoch": 0.25 if is_trained else 0.0},
        **result_items,
    }
    (path / "result.json").write_text(json.dumps(result))
    options = {group: {"_target_": name} for group, name in chosen.items() if group in OPTIONS}
    asked = OmegaConf.create({"seeds": list(seeds)})
    settings = OmegaConf.merge(options, OmegaConf.create(CONFIG), asked, OmegaConf.create(config))
    (path / "config.yaml").write_text(OmegaConf.to_yaml(settings))
    vocabulary = {
        "format": RECORD_FORMAT,
        "nodes": list(nodes),
        "is_service": list(nodes.values()),
        "services": services,
    }
    (path / "vocabulary.json").write_text(json.dumps({"format": RECORD_FORMAT, **vocabulary}))
    graph = {"format": RECORD_FORMAT, "edges": [[1, 2, 5], [1, 3, 9], [3, 4, 1]], "known": []}
    (path / "graph.json").write_text(json.dumps(graph))
    is_training = is_trained and "run" not in result_items
    lines = ["1,2.5,0.25,", "2,1.5,0.25,0.75"] if is_training else []
    epochs = [f"{seed},{line}" for seed in seeds for line in lines]
    (path / "metrics.csv").write_text(
        "\n".join(["seed,epoch,loss,seconds,validation_ndcg", *epochs, ""])
    )
    (path / "contexts.csv").write_text("context,node,parents\n0,table_1,\n1,service_2,0\n")
    (path / "predictions.csv").write_text(
        "seed,pair,composition,group,context,depth,target,predicted,rank,ties,probability\n"
        + "".join(
            ",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) + "\n"
            for seed in seeds
            for row in ((seed, *outcome, 0, 0.5) for outcome in rows_of(predicted))
        )
    )
    return Run.load(path)


def finished_result(seed: int = 7) -> Finished:
    """Return a result whose every metric is .5, its interval from .25 to .75."""
    return Finished(
        **msgspec.structs.asdict(origin("train", Request({}, []))),
        seeds=(seed,),
        data=msgspec.convert(DATA | {"services": 3}, DataFacts),
        metrics=dict.fromkeys(METRICS, MetricSummary(mean=0.5, std=None, low=0.25, high=0.75)),
        per_seed={seed: dict.fromkeys(METRICS, 0.5)},
        ceilings={},
        evaluated_on="test",
        tie_rule="none",
        model=ModelFacts(1, False, [5], [5]),
        seconds=Seconds(1.0, 1.0, 1.0, 1.0, 4.0),
    )


def stopped_result(reason: BaseException) -> Stopped:
    """Return the result of a run that something stopped."""
    return stopped(origin("train", Request({}, [])), reason)


def result_of(run: Path) -> dict[str, Any]:
    """Return what ``result.json`` of a run folder holds."""
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def paths_of(run: Path) -> dict[str, list[str]]:
    """Return the nodes of each context of a run whose contexts are paths, by its number."""
    found: dict[str, list[str]] = {}
    with (run / "contexts.csv").open() as lines:
        for row in csv.DictReader(lines):  # parents come first
            found[row["context"]] = [*found.get(row["parents"], []), row["node"]]
    return found
