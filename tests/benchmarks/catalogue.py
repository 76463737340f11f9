"""Inputs of the benchmarks about scores: contexts with few successors in a large catalogue."""

import numpy as np

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE
from dagrec_cli.data.contexts import ROOT, ContextTrie
from dagrec_cli.data.dataset import Dataset, Steps
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.vocabulary import Vocabulary


def sparse_catalogue(
    rng: np.random.Generator, *, contexts: int, services: int, successors: int
) -> Dataset:
    """Return contexts of one table each, and a pair for each of a context's successors.

    Parameters
    ----------
    contexts
        How many contexts; entry ``k`` of the trie is table ``k``.
    services
        Size of the catalogue.
    successors
        Different services that follow each context, drawn uniformly.
    """
    names = [f"{PREFIX_SERVICE}{k:07}" for k in range(services)]
    tables = [f"{PREFIX_TABLE}{k:07}" for k in range(contexts)]
    is_service = (*[True] * services, *[False] * contexts)
    entry = np.arange(contexts, dtype=np.int32)
    composition = np.repeat(entry, successors)
    draws = [rng.choice(services, successors, replace=False) for _ in range(contexts)]
    none = np.array([], np.int32)
    return Dataset(
        Vocabulary((*names, *tables), is_service, tuple(names)),
        ContextTrie(np.full_like(entry, ROOT), services + 1 + entry, np.ones_like(entry)),
        Pairs(composition, np.concatenate(draws).astype(np.int32), composition),
        Steps(none, none, none),
        path=np.arange(len(composition), dtype=np.int32),
        path_composition=composition,
        time=np.full(contexts, np.nan),
    )


def one_row_per_context(rng: np.random.Generator, dataset: Dataset) -> Rows:
    """Return a row of ``dataset.pairs`` for each context, drawn uniformly."""
    n_contexts = len(dataset.contexts)
    successors = len(dataset.pairs.context) // n_contexts
    return np.arange(n_contexts) * successors + rng.integers(successors, size=n_contexts)
