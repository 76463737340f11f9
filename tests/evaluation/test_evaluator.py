"""Outcomes in chunks, and within the mask, are those of all scores at once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.evaluation import evaluator
from dagrec_cli.evaluation.evaluator import evaluate_model, probabilities, score_contexts
from dagrec_cli.evaluation.ranks import outcomes
from dagrec_cli.models.base import Facts, Model
from dagrec_cli.models.layers import dag_mask, scoring_head


@pytest.fixture
def make(config: Callable[..., DictConfig], tiny: Dataset) -> Callable[..., Model]:
    """A function of YAML and settings: a model whose graph knows half of the pairs only."""

    def made(name: str, **settings: object) -> Model:
        graph = tiny.graph(np.arange(len(tiny.pairs.context) // 2))
        torch.manual_seed(0)
        facts = Facts(tiny.vocabulary, graph, 5)
        model: Model = build(config("model", name, **settings), "model", facts)
        for weight in model.parameters():
            torch.nn.init.normal_(weight)
        return model

    return made


@pytest.mark.parametrize("n_pairs", [1, 40])
@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("scores_at_once", [1, 30, 10**6])
@pytest.mark.parametrize(
    ("name", "masked"), [("gru4rec", True), ("gru4rec", False), ("popularity", True)]
)
def test_chunks_and_lists_change_nothing(
    make: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
    tiny: Dataset,
    name: str,
    masked: bool,
    scores_at_once: int,
    lists: bool,
    n_pairs: int,
) -> None:
    model, pairs = make(name, dag_mask=masked), tiny.pairs.take((16 + np.arange(n_pairs)) % 17)
    entries, row = np.unique(pairs.context, return_inverse=True)
    scores = score_contexts(model, tiny.contexts, entries)
    expected = outcomes(scores, row, pairs.target)
    if n_pairs > 1:
        assert np.isneginf(scores[row, pairs.target]).any() == masked  # some are forbidden
    monkeypatch.setattr(evaluator, "SCORES_AT_ONCE", scores_at_once)
    if lists:
        monkeypatch.setattr(dag_mask, "SMALL", 0)
        monkeypatch.setattr(dag_mask, "DENSE_PER_CHOICE", 0)
        monkeypatch.setattr(scoring_head, "DENSE_PER_CANDIDATE", 0)
    found = evaluate_model(model, tiny.contexts, pairs)
    for column, wanted in zip(found.outcomes, expected, strict=True):
        assert column.tolist() == wanted.tolist()
    assert found.probability == pytest.approx(probabilities(scores)[row, pairs.target], abs=1e-5)


@pytest.mark.parametrize(("scores_at_once", "most"), [(1, 1), (17, 4), (10**6, 10**6)])
def test_no_more_scores_are_held_than_allowed(
    make: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
    tiny: Dataset,
    scores_at_once: int,
    most: int,
) -> None:
    """Five services a context; one context may come on top."""
    model, sizes = make("gru4rec", dag_mask=False), []
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda given: sizes.append(len(given.length)) or forward(given)
    )
    monkeypatch.setattr(evaluator, "SCORES_AT_ONCE", scores_at_once)
    evaluate_model(model, tiny.contexts, tiny.pairs)
    assert sum(sizes) == len(np.unique(tiny.pairs.context))
    assert max(sizes) <= most
