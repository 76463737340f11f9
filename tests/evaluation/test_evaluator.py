"""Outcomes in chunks, and within the mask, are those of all scores at once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.errors import TrainingError
from dagrec_cli.evaluation import evaluator, recommender
from dagrec_cli.evaluation.evaluator import (
    Scores,
    evaluate_model,
    probabilities,
    score_contexts,
)
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.evaluation.recommender import list_metrics
from dagrec_cli.models.base import CountingModel, Facts, Model
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers import dag_mask, scoring_head

Rows = NDArray[np.int64]


@pytest.fixture
def make(config: Callable[..., DictConfig], tiny: Dataset) -> Callable[..., Model]:
    """A function of YAML and settings: a model whose graph knows half of the pairs only."""

    def made(name: str, **settings: object) -> Model:
        graph = tiny.graph(np.arange(len(tiny.pairs.context) // 2))
        torch.manual_seed(0)
        facts = Facts(tiny.vocabulary, graph, tiny.followed)
        model: Model = build(config("model", name, **settings), "model", facts)
        for weight in model.parameters():
            torch.nn.init.normal_(weight)
        if isinstance(model, CountingModel):
            context, row = np.unique(tiny.pairs.context, return_inverse=True)
            weight = np.linspace(1, 2, len(row), dtype=np.float32)
            counted = WeightedPairs(row, tiny.pairs.target, weight)
            model.count(counted, Contexts(tiny.contexts, context))
        return model

    return made


def plain_outcomes(scores: Scores, row: Rows, target: Rows) -> Outcomes:
    """Return outcomes by a loop: what is allowed first, by score, then what is ruled out."""
    found = []
    for k, wanted in zip(row, target, strict=True):
        is_out = np.zeros_like(scores.own[k]) if scores.ruled_out is None else scores.ruled_out[k]
        keys = [(bool(out), -score) for out, score in zip(is_out, scores.own[k], strict=True)]
        better = sum(key < keys[wanted] for key in keys)
        found.append((wanted, keys.index(min(keys)), better, keys.count(keys[wanted]) - 1))
    return Outcomes(*np.array(found).T)


def test_scores_that_have_no_softmax_are_refused() -> None:
    for score in (np.nan, np.inf, -np.inf):
        with pytest.raises(TrainingError, match="training has run away"):
            probabilities(np.array([[0, -np.inf], [score, score]]))
    assert probabilities(np.array([[3e38, -3e38]], np.float32)).tolist() == [[1, 0]]


@pytest.mark.parametrize("n_pairs", [1, 40])
@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("scores_at_once", [1, 30, 10**6])
@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("gru4rec", True),
        ("gru4rec", False),
        ("gru4rec level", True),  # all scores tie, those that are ruled out too
        *((n, True) for n in ("popularity", "markov", "backoff")),
    ],
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
    model = make(name.split()[0], mask="hard" if masked else "none")
    if name.endswith("level"):
        torch.nn.init.zeros_(model.head.weight)  # type: ignore[union-attr]
        torch.nn.init.zeros_(model.head.bias)  # type: ignore[union-attr]
    pairs = tiny.pairs.take((16 + np.arange(n_pairs)) % 17)
    entries, row = np.unique(pairs.context, return_inverse=True)
    scores = score_contexts(model, Contexts(tiny.contexts, entries))
    expected = plain_outcomes(scores, row, pairs.target)
    if n_pairs > 1:
        is_out = np.isneginf(scores.masked[row, pairs.target])
        assert is_out.any() == masked
    monkeypatch.setattr(evaluator, "SCORES_AT_ONCE", scores_at_once)
    if lists:
        monkeypatch.setattr(dag_mask, "SMALL_TABLE", 0)
        monkeypatch.setattr(dag_mask, "DENSE_PER_CHOICE", 0)
        monkeypatch.setattr(scoring_head, "DENSE_PER_CANDIDATE", 0)
    found = evaluate_model(model, tiny.contexts, pairs)
    for column, wanted in zip(found.outcomes, expected, strict=True):
        assert column.tolist() == wanted.tolist()
    chance = probabilities(scores.masked)
    assert found.probability == pytest.approx(chance[row, pairs.target], abs=1e-5)
    assert found.confidence == pytest.approx(chance.max(axis=1)[row], abs=1e-5)


@pytest.mark.parametrize("mask", ["hard", "none"])
def test_what_is_recommended_by_a_loop_over_contexts(
    make: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, tiny: Dataset, mask: str
) -> None:
    model, services = make("gru4rec", mask=mask), tiny.vocabulary.services
    walked = [0] * len(services)
    graph = model.facts.graph
    for node, n in zip(graph.target.tolist(), graph.count.tolist(), strict=True):
        if (place := int(graph.service_class[node])) >= 0:
            walked[place] += n
    rank = [np.mean([sum(w > n for w in walked) + 1, sum(w >= n for w in walked)]) for n in walked]
    seen, ranks = set(), []
    for context in tiny.pairs.context:
        (own,), out = score_contexts(model, Contexts(tiny.contexts, np.array([context])))
        is_out = np.zeros(len(own), bool) if out is None else out[0]
        best = sorted(range(len(own)), key=lambda k: (is_out[k], -own[k], k))[:2]
        seen |= {*best}
        ranks.append(np.mean([rank[k] for k in best]))
    monkeypatch.setattr(recommender, "HELD_SCORES", 2 * len(services))
    rows = np.arange(len(tiny.pairs.context))
    assert list_metrics(model, tiny, rows, ["coverage@2", "popularity@2"]) == pytest.approx(
        {"coverage@2": len(seen) / len(services), "popularity@2": np.mean(ranks)}
    )


@pytest.mark.parametrize(("scores_at_once", "most"), [(1, 1), (17, 4), (10**6, 10**6)])
def test_no_more_scores_are_held_than_allowed(
    make: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
    tiny: Dataset,
    scores_at_once: int,
    most: int,
) -> None:
    """Five services a context; one context may come on top."""
    model, sizes = make("gru4rec", mask="none"), []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda given: sizes.append(len(given)) or forward(given))
    monkeypatch.setattr(evaluator, "SCORES_AT_ONCE", scores_at_once)
    evaluate_model(model, tiny.contexts, tiny.pairs)
    assert sum(sizes) == len(np.unique(tiny.pairs.context))
    assert max(sizes) <= most
