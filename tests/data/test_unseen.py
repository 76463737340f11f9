"""A model knows the names of the rows that it is fitted on; of others it has a stated opinion."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.unseen import Unseen, as_model_reads, count_unseen
from dagrec_cli.evaluation.evaluator import evaluate_rows, score_contexts
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import UNRANKED
from dagrec_cli.models.base import CountingModel, Facts, Model
from dagrec_cli.models.context_batch import Contexts

FITTED = np.arange(4)  # steps: the first two compositions


@pytest.fixture
def dataset(walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]) -> Dataset:
    """Two compositions to fit on; one with the new t2 and s0, and s3, which never came next."""
    drawn = [walks("t1 s1 s2"), walks("s3 s2 s1"), walks("t2 s1 s0 s2", "t1 s3")]
    return dataset_of(drawn, context="dag")


def test_names_of_the_fitted_steps_come_first(dataset: Dataset) -> None:
    names = dataset.known_by(dataset.vocabulary_of(FITTED)).vocabulary
    assert names.of_model.nodes == (
        *("service_1", "service_2", "service_3", "table_1"),
        *("UNKNOWN table", "UNKNOWN service"),
    )
    assert names.of_model.services == ("service_1", "service_2")
    assert names.nodes == (*names.of_model.nodes, "service_0", "table_2")
    assert names.services == ("service_1", "service_2", "service_0", "service_3")
    assert names.as_read.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 5]


def test_the_data_say_the_same_in_other_numbers(dataset: Dataset) -> None:
    other = dataset.known_by(dataset.vocabulary_of(FITTED))
    spelt = [
        (
            each.vocabulary.spell(each.contexts.node),
            [each.vocabulary.services[c] for c in each.pairs.target],
            each.pairs.context.tolist(),
        )
        for each in (dataset, other)
    ]
    assert spelt[0] == spelt[1]
    assert other.known_by(other.vocabulary.of_model).vocabulary == other.vocabulary


@pytest.mark.parametrize(
    ("name", "settings"),
    [("backoff", {}), ("gru4rec", {"hidden": 8}), ("dag_gnn", {"hidden": 8, "mask": "none"})],
)
def test_unseen_nodes_are_unknown_and_unseen_targets_gain_nothing(
    dataset: Dataset, config: Callable[..., DictConfig], name: str, settings: dict[str, object]
) -> None:
    """Steps: t2 -> 1, t2 1 -> 0, t1 -> 3, t2 1 0 -> 2; those between are lost."""
    known = dataset.known_by(dataset.vocabulary_of(FITTED))
    graph = known.graph_of_model(FITTED)
    torch.manual_seed(0)
    facts = Facts(known.vocabulary.of_model, graph, known.followed)
    model: Model = build(config("model", name, **settings), "model", facts)
    pairs = known.pairs.take(FITTED).repeated()
    if isinstance(model, CountingModel):
        context, row = np.unique(pairs.context, return_inverse=True)
        contexts = Contexts(known.as_read, context)
        model.count(pairs._replace(context=row.astype(np.int32)), contexts)
    rows = np.arange(4, 8)
    found = evaluate_rows(model, known, rows)
    assert (found.outcomes.better == UNRANKED).tolist() == [False, True, True, False]
    assert found.probability[[1, 2]].tolist() == [0, 0]
    assert found.outcomes.predicted.max() < facts.n_services == 2
    figures = evaluate(found.outcomes)
    assert figures["hr@5"] == 0.5
    assert figures["recall"] <= 2 / 4  # four classes are targets
    # What is read in the place of t2 is the same as where the context is asked for as UNKNOWN.
    node = known.vocabulary.index["UNKNOWN table"]
    first = known.pairs.context[rows[:1]]
    assert known.as_read.node[first] == node != known.contexts.node[first]
    scores = score_contexts(model, Contexts(known.as_read, first)).own
    assert np.isfinite(scores).all()
    assert found.outcomes.predicted[0] == scores[0].argmax()
    assert count_unseen(known, rows) == Unseen(
        nodes=2, services=2, contexts=3, emptied=0, targets=2
    )


def test_a_context_whose_last_node_is_left_out_ends_where_its_deepest_known_way_ends(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    #   t1 -> s1 -> s2 --+
    #                    +-> s9, which the model does not know
    #               t3 --+
    names = dataset_of([walks("t1 s1 s2", "t3 s1")], context="dag").vocabulary
    data = dataset_of([walks("t1 s1 s2 s9", "t3 s9")], context="dag").known_by(names)
    (last,) = np.flatnonzero(data.contexts.node > len(names.nodes))
    contexts, entry = as_model_reads(data)
    assert names.spell(contexts.node[entry[[last]]]) == ["service_2"]
    assert contexts.depth[entry[last]] == 3


def test_a_node_that_nothing_trains_says_nothing(
    dataset: Dataset, config: Callable[..., DictConfig]
) -> None:
    known = dataset.known_by(dataset.vocabulary_of(FITTED)).vocabulary.of_model
    facts = Facts(known, dataset.graph().among(known.service_class), unread=[2])
    for name, node in (("gru4rec", 0), ("dag_gnn", -1)):
        model: Model = build(config("model", name), "model", facts)
        weights = dict(model.named_parameters())
        embedding = weights[next(key for key in weights if key.endswith("embedding.weight"))]
        is_zero = (embedding == 0).all(dim=1).nonzero()[:, 0].tolist()
        assert is_zero == [*([0] if node == 0 else []), 2 + node, 5 + node, 6 + node]
