"""The services that a model recommends, best first, for a stream of queries in bounded memory."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from dagrec_cli.data.contexts import trie_of
from dagrec_cli.data.queries import Query
from dagrec_cli.errors import DataError
from dagrec_cli.evaluation.evaluator import probabilities, score_contexts
from dagrec_cli.models.base import Model

QUERIES = 1024  # scored together at most
NODES = 100_000  # in padded rows that are scored together, where one query does not hold more
SCORES = 2_000_000  # scores that are held together, where one query does not need more


class Answer(NamedTuple):
    """What is recommended.

    Attributes
    ----------
    about
        What the query was about.
    services
        Names and probabilities, best first, equal ones by name; ruled out services are left out.
    """

    about: Mapping[str, Any]
    services: list[tuple[str, float]]


def recommend(model: Model, queries: Iterable[Query], top_k: int) -> Iterator[Answer]:
    """Yield the answer to each query, in order.

    Probabilities are the softmax of the model's scores, over the valid services alone if
    ``model.dag_mask``; over several contexts of a query they are averaged.
    """
    for batch in _batches(queries, model.facts.n_services):
        yield from _answers(model, batch, top_k)


def _answers(model: Model, queries: list[Query], top_k: int) -> Iterator[Answer]:
    sequences = [context for query in queries for context in query.contexts]
    trie, entries = trie_of(sequences)
    distinct, row = np.unique(entries, return_inverse=True)
    chance = probabilities(score_contexts(model, trie, distinct))
    ends = np.cumsum([0, *(len(query.contexts) for query in queries)])
    names = model.facts.vocabulary.services
    for query, (start, end) in zip(queries, pairwise(ends), strict=True):
        mean = chance[row[start:end]].mean(axis=0)
        best = np.argsort(-mean, kind="stable")[:top_k]
        services = [(names[c], float(mean[c])) for c in best if mean[c] > 0]
        yield Answer(query.about, services)


def _batches(queries: Iterable[Query], n_services: int) -> Iterator[list[Query]]:
    """Yield queries in lists that need little memory; those before a faulty one too."""
    batch: list[Query] = []
    n_contexts = longest = 0
    try:
        for query in queries:
            n_contexts += len(query.contexts)
            longest = max(longest, *map(len, query.contexts))
            is_too_much = n_contexts * longest > NODES or n_contexts * n_services > SCORES
            if batch and (is_too_much or len(batch) == QUERIES):
                yield batch
                batch = []
                n_contexts, longest = len(query.contexts), max(map(len, query.contexts))
            batch.append(query)
    except DataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
