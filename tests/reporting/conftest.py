"""Run folders built by hand, with the fewest files that a report reads."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dagrec_cli.reporting.runs import Run

RunOf = Callable[..., Run]

EVIL = "service_<script>alert('&\"$x$')</script>"
NODES = {"table_1": False, EVIL: True, "service_2": True, "service_3": True}
SERVICES = [EVIL, "service_2", "service_3"]
CONFIG = """\
split: {_target_: some.Split, test_share: 0.3, seed: 42, graph: train}
trainer: {monitor: ndcg}
note: "</script><b>not bold</b>"
"""
# seed, pair, context, target, predicted, rank (no ties)
PREDICTIONS = [
    (0, 7, "table_1", EVIL, EVIL, 1),
    (0, 8, "table_1", "service_2", EVIL, 2),
    (0, 9, "table_1 -> service_2", "service_2", "service_2", 1),
]


def write_run(path: Path, *, is_trained: bool = True, is_finished: bool = True) -> Run:
    """Write a run folder; a model that was not trained counts."""
    path.mkdir(parents=True)
    result = {
        "status": "finished" if is_finished else "failed",
        "error": "the <b>disk</b> is full",
        "seeds": [0],
        "choices": {"data": "hand", "split": "paper"},
        "data": {
            "sha256": "abc",
            "test": 3,
            "leakage": {"pairs": 0.5, "contexts": 1.0},
            "forbidden_test_targets": 1,
        },
        "tie_rule": "equal scores share their ranks",
        "model": {"parameters": 1234, "epochs": [2]},
        "seconds": {"per_epoch": 0.25 if is_trained else 0.0},
        "command_line": "dagrec train model=<i>",
    }
    (path / "result.json").write_text(json.dumps(result))
    (path / "config.yaml").write_text(CONFIG)
    vocabulary = {"nodes": list(NODES), "is_service": list(NODES.values()), "services": SERVICES}
    (path / "vocabulary.json").write_text(json.dumps(vocabulary))
    (path / "graph.json").write_text(json.dumps({"edges": [[1, 2, 5], [1, 3, 9], [3, 4, 1]]}))
    epochs = ["0,1,2.5,0.25,", "0,2,1.5,0.25,0.75"] if is_trained else []
    (path / "metrics.csv").write_text(
        "\n".join(["seed,epoch,loss,seconds,validation_ndcg", *epochs, ""])
    )
    (path / "predictions.csv").write_text(
        "seed,pair,context,target,predicted,rank,ties\n"
        + "".join(
            ",".join('"' + str(cell).replace('"', '""') + '"' for cell in (*row, 0)) + "\n"
            for row in PREDICTIONS
        )
    )
    return Run.load(path)


@pytest.fixture(scope="session")
def run_of() -> RunOf:
    """A function of a folder, ``is_trained`` and ``is_finished``: the run that it then holds."""
    return write_run
