from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.evaluation.evaluator import evaluate_model
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.models.base import CountingModel

Counted = Callable[..., CountingModel]
Probabilities = Callable[..., list[float]]


@pytest.mark.parametrize(
    ("order", "context", "counts"),
    [
        (1, ["table_1", "service_1"], [0, 2, 1]),  # s1 -> s2 twice, s1 -> s3 once
        (2, ["table_1", "service_1"], [0, 2, 0]),  # t1 s1 -> s2 twice
        (2, ["table_3"], [0, 0, 1]),  # shorter than 2: all it has
        (2, ["table_3", "service_1"], [0, 2, 1]),  # never walked: as for service_1
        (1, ["service_3"], [3, 4, 4]),  # s3 was never a last node: popularity
        (0, ["table_3"], [3, 4, 4]),
    ],
)
def test_counts_after_the_last_nodes(
    order: int,
    context: list[str],
    counts: list[int],
    counted: Counted,
    three_services: Dataset,
    probabilities: Probabilities,
) -> None:
    model = counted("markov", three_services, order=order, smoothing=0.5)
    expected = [(count + 0.5) / (sum(counts) + 1.5) for count in counts]
    assert probabilities(model, three_services, *context) == pytest.approx(expected)


@pytest.mark.parametrize("setting", [{"order": -1}, {"smoothing": 0.0}])
def test_settings_out_of_range(
    setting: dict[str, float], counted: Counted, three_services: Dataset
) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(setting))} is"):
        counted("markov", three_services, **setting)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "settings", "accuracy", "f1", "ndcg"),
    [  # PAPER §9; popularity by counts and its mask: order 0
        ("markov", {}, 0.5443, 0.2643, 0.7791),
        ("markov", {"order": 0}, 0.5311, 0.1682, 0.7697),
        ("backoff", {}, 0.5541, 0.3642, 0.7836),
    ],
)
def test_rows_of_the_paper_s_data(
    name: str,
    settings: dict[str, object],
    accuracy: float,
    f1: float,
    ndcg: float,
    counted: Counted,
    geoportal: Dataset,
    config: Callable[..., DictConfig],
) -> None:
    train, test = build(config("split", "paper"), "split").split(geoportal)
    model = counted(name, geoportal, rows=train, **settings)
    pairs = geoportal.pairs.take(test)
    found = evaluate(evaluate_model(model, geoportal.contexts, pairs).outcomes)
    assert found["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert found["f1"] == pytest.approx(f1, abs=1e-4)
    assert found["ndcg"] == pytest.approx(ndcg, abs=1e-3)
