"""What a model has never seen of the data that it is asked about, and what it reads instead.

The data are in the numbers of the model's vocabulary, what it does not know above. Such a node is
to the model the UNKNOWN one of its kind. A model that was told all names of its data, as the
paper's split has it, knows no such node: they are left out of a context, and what led to them leads
to what followed them; after a context with nothing left all services of the model score alike.
Either way, a target that the model does not know has no rank: it gains 0 in every metric.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Natural
from dagrec_cli.data.composition import PREFIX_TABLE
from dagrec_cli.data.contexts import ContextDag, Numbering
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.naming import prefix_of
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.queries import Query
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.vocabulary import Vocabulary

Int32 = NDArray[np.int32]
NONE = -1
RULES = {  # in words, by whether the model has UNKNOWN nodes
    True: "an unseen node is the UNKNOWN one of its kind",
    False: "unseen nodes are left out of a context; after a context with nothing left all services "
    "score alike",
}


@dataclass(frozen=True)
class Unseen:
    """What data hold that a model does not know.

    Attributes
    ----------
    nodes, services
        Names in the whole data: nodes, and services that are a target.
    contexts
        Test pairs whose context holds such a node.
    emptied
        Those of them with nothing left, where such nodes are left out of contexts.
    targets
        Test pairs whose target is not in the catalogue.
    """

    nodes: Natural
    services: Natural
    contexts: Natural
    emptied: Natural
    targets: Natural

    def __bool__(self) -> bool:
        """Return whether there is anything."""
        return any(vars(self).values())


class ReadContexts(NamedTuple):
    """Contexts as a model reads them, and which of those each context is, or :data:`NONE`."""

    contexts: ContextDag
    entry: Int32


def as_model_reads(dataset: Dataset) -> ReadContexts:
    """Return what a model reads: of nodes that are left out, what led there leads on.

    A context whose last node is left out ends where its deepest known way ends.
    """
    n_known, node = len(dataset.vocabulary.of_model.nodes), dataset.as_read.node
    if node.max(initial=0) <= n_known:
        return ReadContexts(dataset.as_read, np.arange(len(node), dtype=np.int32))
    number = Numbering()
    stand_ins: list[list[int]] = []  # of each entry: itself, or what led to it
    for last, parents in dataset.contexts.items():
        known = list(chain.from_iterable(stand_ins[parent] for parent in parents))
        stand_ins.append([number(last, known)] if last <= n_known else sorted(set(known)))
    kept = number.dag()
    entry = [max(each, key=lambda e: (kept.depth[e], e), default=NONE) for each in stand_ins]
    return ReadContexts(kept, np.array(entry, np.int32))


def as_asked(queries: Iterable[Query], model: Vocabulary) -> tuple[ContextDag, list[Int32]]:
    """Return the contexts of queries as a model reads them, and which of them each query has."""
    number, n_known = Numbering(), len(model.nodes)
    behind: dict[str, int] = {}  # index of each name that the model does not know
    asked = []
    for query in queries:
        for name in query.unknown:
            behind.setdefault(name, n_known + 1 + len(behind))
        contexts = query.contexts
        if indices := [behind[name] for name in query.unknown]:
            contexts = [
                [(n if n <= n_known else indices[n - n_known - 1], *up) for n, *up in context]
                for context in contexts
            ]
        asked.append(np.array([number.context(context) for context in contexts], np.int32))
    is_service = tuple(prefix_of(name) != PREFIX_TABLE for name in behind)
    names = model.and_beyond(Vocabulary(tuple(behind), is_service, ()))
    return number.dag().read_by(names), asked


def count_unseen(dataset: Dataset, rows: Rows) -> Unseen:
    """Count what a model does not know of data in its numbers."""
    pairs, names = dataset.pairs.take(rows), dataset.vocabulary
    known = names.of_model
    _, entry = as_model_reads(dataset)
    return Unseen(
        nodes=len(names.nodes) - len(known.nodes),
        services=len(names.services) - len(known.services),
        contexts=int(_holds_unseen(dataset)[pairs.context].sum()),
        emptied=int((entry[pairs.context] == NONE).sum()),
        targets=int((pairs.target >= len(known.services)).sum()),
    )


def rule_of(vocabulary: Vocabulary) -> str:
    """Return what becomes of unseen names, in words."""
    rule = RULES[vocabulary.unknown is not None]
    return f"{rule}; an unseen target has no rank and gains 0 in every metric"


def count_forbidden(graph: ServiceGraph, dataset: Dataset, rows: Rows) -> int:
    """Return how many targets the DAG mask of a model rules out; unseen ones do not count."""
    pairs = dataset.pairs.take(rows)
    contexts, entry = as_model_reads(dataset)
    context, n_services = entry[pairs.context], len(dataset.vocabulary.of_model.services)
    is_known = (context != NONE) & (pairs.target < n_services)
    return graph.count_forbidden(contexts.node[context[is_known]], pairs.target[is_known])


def _holds_unseen(dataset: Dataset) -> NDArray[np.bool_]:
    """Return which contexts hold a node that the model does not know, ``[entries]``."""
    is_unseen = dataset.contexts.node > len(dataset.vocabulary.of_model.nodes)
    if not is_unseen.any():
        return is_unseen
    holds: list[bool] = []
    for its_own, (_, parents) in zip(is_unseen.tolist(), dataset.contexts.items(), strict=True):
        holds.append(its_own or any(holds[parent] for parent in parents))
    return np.array(holds)
