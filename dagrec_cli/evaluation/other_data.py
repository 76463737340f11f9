"""A model on data that it was not trained on, and a rule for what it has never seen.

The data are put into the numbers of the model's vocabulary. Unseen nodes are left out of a context;
what led to them leads to what followed them. After a context with nothing left all services of the
model score alike. A target that the model does not know has no rank: it gains 0 in every
metric.
"""

from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.contexts import ContextDag, Numbering
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.vocabulary import PAD, Unseen, Vocabulary
from dagrec_cli.evaluation.evaluator import Evaluation, evaluate_model
from dagrec_cli.evaluation.ranks import UNRANKED, Outcomes
from dagrec_cli.models.base import Facts, Model

Int32 = NDArray[np.int32]
NONE = -1


def renumber(dataset: Dataset, known: Vocabulary) -> Dataset:
    """Return a data set in the numbers of a model's vocabulary; unseen names get those above."""
    own = dataset.vocabulary
    nodes = [name for name in own.nodes if name not in known.index]
    services = sorted(set(own.services) - set(known.services))
    is_service = dict(zip(own.nodes, own.is_service, strict=True))
    joint = Vocabulary(
        (*known.nodes, *nodes),
        (*known.is_service, *(is_service[name] for name in nodes)),
        (*known.services, *services),
    )
    node = np.array([PAD, *(joint.index[name] for name in own.nodes)], np.int32)
    contexts = replace(dataset.contexts, node=node[dataset.contexts.node])
    return replace(dataset, vocabulary=joint, contexts=contexts)


def evaluate_other_data(model: Model, dataset: Dataset, rows: Rows) -> Evaluation:
    """Return a model's outcomes on pairs of renumbered data, by the rule above."""
    pairs = dataset.pairs.take(rows)
    contexts, entry, _ = _known_part(dataset.contexts, model.facts.n_nodes)
    context, n_services = entry[pairs.context], model.facts.n_services
    is_left, is_lost = context != NONE, pairs.target >= n_services
    predicted, better = np.zeros((2, len(rows)), np.int64)
    tied = np.full(len(rows), n_services - 1)
    probability = np.full(len(rows), 1 / n_services)
    if is_left.any():
        known = Pairs(context, np.where(is_lost, 0, pairs.target), pairs.composition)
        found, chance = evaluate_model(model, contexts, known.take(np.flatnonzero(is_left)))
        predicted[is_left], better[is_left], tied[is_left] = found[1:]
        probability[is_left] = chance
    better[is_lost], tied[is_lost], probability[is_lost] = UNRANKED, 0, 0
    return Evaluation(Outcomes(pairs.target, predicted, better, tied), probability)


def count_unseen(facts: Facts, dataset: Dataset, rows: Rows) -> Unseen:
    """Count what a model does not know of renumbered data."""
    pairs = dataset.pairs.take(rows)
    known = _known_part(dataset.contexts, facts.n_nodes)
    is_left = known.entry[pairs.context] != NONE
    return Unseen(
        nodes=len(dataset.vocabulary.nodes) - facts.n_nodes,
        services=len(dataset.vocabulary.services) - facts.n_services,
        contexts_shortened=int((is_left & known.is_shortened[pairs.context]).sum()),
        contexts_emptied=int((~is_left).sum()),
        targets=int((pairs.target >= facts.n_services).sum()),
    )


def count_forbidden(facts: Facts, dataset: Dataset, rows: Rows) -> int:
    """Return how many targets the model's DAG mask rules out; unseen ones do not count."""
    pairs = dataset.pairs.take(rows)
    known = _known_part(dataset.contexts, facts.n_nodes)
    entry = known.entry[pairs.context]
    is_known = (entry != NONE) & (pairs.target < facts.n_services)
    return facts.graph.count_forbidden(known.contexts.node[entry[is_known]], pairs.target[is_known])


class _Known(NamedTuple):
    """Contexts without what a model has never seen.

    Attributes
    ----------
    contexts
        What is left of them.
    entry
        Which of those each context becomes, ``[entries]``; :data:`NONE` if nothing is left.
    is_shortened
        Whether it lost a node, ``[entries]``.
    """

    contexts: ContextDag
    entry: Int32
    is_shortened: NDArray[np.bool_]


def _known_part(contexts: ContextDag, n_known: int) -> _Known:
    """Return contexts without the nodes above ``n_known``.

    What led to an unseen node leads to what followed it. A context whose last node is unseen ends
    where its deepest known way ends.
    """
    number = Numbering()
    stand_ins: list[list[int]] = []  # of each entry: itself, or what led to it
    is_shortened: list[bool] = []
    for node, parents in contexts.items():
        known = list(chain.from_iterable(stand_ins[parent] for parent in parents))
        stand_ins.append([number(node, known)] if node <= n_known else sorted(set(known)))
        is_shortened.append(node > n_known or any(is_shortened[parent] for parent in parents))
    kept = number.dag()
    entry = [max(each, key=lambda e: (kept.depth[e], e), default=NONE) for each in stand_ins]
    return _Known(kept, np.array(entry, np.int32), np.array(is_shortened, bool))
