"""A model on data that it was not trained on, and a rule for what it has never seen.

The data are put into the numbers of the model's vocabulary. Unseen nodes are left out of a context;
the rest keep their order. After a context with nothing left all services of the model score alike.
A target that the model does not know has no rank: it gains 0 in every metric.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.contexts import ROOT, ContextTrie
from dagrec_cli.data.dataset import Dataset, Steps
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.vocabulary import PAD, Unseen, Vocabulary
from dagrec_cli.evaluation.evaluator import Evaluation, evaluate_model
from dagrec_cli.evaluation.ranks import UNRANKED, Outcomes
from dagrec_cli.models.base import Facts, Model

Int32 = NDArray[np.int32]


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
    class_of = {name: number for number, name in enumerate(joint.services)}
    node = np.array([PAD, *(joint.index[name] for name in own.nodes)], np.int32)
    target = np.array([class_of[name] for name in own.services], np.int32)
    pairs, other = dataset.pairs, dataset.other_steps
    return replace(
        dataset,
        vocabulary=joint,
        contexts=replace(dataset.contexts, node=node[dataset.contexts.node]),
        pairs=pairs._replace(target=target[pairs.target]),
        other_steps=Steps(node[other.source], node[other.target], other.composition),
    )


def evaluate_other_data(model: Model, dataset: Dataset, rows: Rows) -> Evaluation:
    """Return a model's outcomes on pairs of renumbered data, by the rule above."""
    pairs = dataset.pairs.take(rows)
    trie, kept = _known_part(dataset.contexts, model.facts.n_nodes)
    context, n_services = kept[pairs.context], model.facts.n_services
    is_left, is_lost = context != ROOT, pairs.target >= n_services
    predicted, better = np.zeros((2, len(rows)), np.int64)
    tied = np.full(len(rows), n_services - 1)
    probability = np.full(len(rows), 1 / n_services)
    if is_left.any():
        known = Pairs(context, np.where(is_lost, 0, pairs.target), pairs.composition)
        found, chance = evaluate_model(model, trie, known.take(np.flatnonzero(is_left)))
        predicted[is_left], better[is_left], tied[is_left] = found[1:]
        probability[is_left] = chance
    better[is_lost], tied[is_lost], probability[is_lost] = UNRANKED, 0, 0
    return Evaluation(Outcomes(pairs.target, predicted, better, tied), probability)


def count_unseen(facts: Facts, dataset: Dataset, rows: Rows) -> Unseen:
    """Count what a model does not know of renumbered data."""
    pairs = dataset.pairs.take(rows)
    trie, kept = _known_part(dataset.contexts, facts.n_nodes)
    left = np.append(trie.depth, 0)[kept[pairs.context]]  # -1, the root, picks the 0
    return Unseen(
        nodes=len(dataset.vocabulary.nodes) - facts.n_nodes,
        services=len(dataset.vocabulary.services) - facts.n_services,
        contexts_shortened=int(((left > 0) & (left < dataset.contexts.depth[pairs.context])).sum()),
        contexts_emptied=int((left == 0).sum()),
        targets=int((pairs.target >= facts.n_services).sum()),
    )


def count_forbidden(facts: Facts, dataset: Dataset, rows: Rows) -> int:
    """Return how many targets the model's DAG mask rules out; unseen ones do not count."""
    pairs = dataset.pairs.take(rows)
    trie, kept = _known_part(dataset.contexts, facts.n_nodes)
    entry = kept[pairs.context]
    is_known = (entry != ROOT) & (pairs.target < facts.n_services)
    return facts.graph.count_forbidden(trie.node[entry[is_known]], pairs.target[is_known])


def _known_part(trie: ContextTrie, n_known: int) -> tuple[ContextTrie, Int32]:
    """Return a trie without the nodes above ``n_known``, and which entry each context becomes.

    Entries keep their numbers, so those of unseen nodes stay, unused. A context with nothing left
    becomes ``ROOT``.
    """
    parent, depth = trie.parent.copy(), trie.depth.copy()
    becomes = np.append(np.full(len(trie), ROOT, np.int32), np.int32(ROOT))  # -1 finds the last
    for level in range(1, int(trie.depth.max(initial=0)) + 1):
        entries = np.flatnonzero(trie.depth == level)
        parent[entries] = becomes[trie.parent[entries]]
        depth[entries] = np.where(parent[entries] == ROOT, 0, depth[parent[entries]]) + 1
        is_known = trie.node[entries] <= n_known
        becomes[entries] = np.where(is_known, entries, parent[entries])
    return ContextTrie(parent, trie.node, depth), becomes[:-1]
