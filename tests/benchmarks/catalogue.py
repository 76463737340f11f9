"""Inputs of the benchmarks about scores: contexts with few successors in a large catalogue."""

import numpy as np

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE
from dagrec_cli.data.contexts import Numbering
from dagrec_cli.data.dataset import Dataset, Links
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.vocabulary import Vocabulary


def sparse_catalogue(
    rng: np.random.Generator, *, contexts: int, services: int, successors: int
) -> Dataset:
    """Return contexts of one table each, and a pair for each of a context's successors.

    Parameters
    ----------
    contexts
        How many contexts; entry ``k`` is table ``k``.
    services
        Size of the catalogue.
    successors
        Different services that follow each context, drawn uniformly.
    """
    names = [f"{PREFIX_SERVICE}{k:07}" for k in range(services)]
    tables = [f"{PREFIX_TABLE}{k:07}" for k in range(contexts)]
    is_service = (*[True] * services, *[False] * contexts)
    number = Numbering()
    entries = [number(services + 1 + table) for table in range(contexts)]
    draws = [rng.choice(services, successors, replace=False) for _ in range(contexts)]
    target = [
        number(k + 1, [entry])
        for entry, drawn in zip(entries, draws, strict=True)
        for k in drawn.tolist()
    ]
    composition = np.repeat(np.arange(contexts, dtype=np.int32), successors)
    return Dataset(
        Vocabulary((*names, *tables), is_service, tuple(names)),
        number.dag(),
        Links(composition, np.array(target, np.int32), composition),
        owner=np.full(contexts, -1, np.int32),
        start_time=np.full(contexts, np.nan),
        end_time=np.full(contexts, np.nan),
        context="dag",
    )


def one_row_per_context(rng: np.random.Generator, dataset: Dataset) -> Rows:
    """Return a row of ``dataset.pairs`` for each context, drawn uniformly."""
    n_contexts = len(dataset.followed)
    successors = len(dataset.pairs.context) // n_contexts
    return np.arange(n_contexts) * successors + rng.integers(successors, size=n_contexts)
