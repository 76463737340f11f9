from collections.abc import Callable, Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest

from dagrec_cli.data.composition import Composition, Context
from dagrec_cli.data.contexts import Numbering
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.naming import Naming
from dagrec_cli.data.queries import Query, check_answerable, sink_queries
from dagrec_cli.errors import DataError


@dataclass
class Asked:
    """Compositions to be completed, as a source."""

    compositions: list[Composition]
    context: Context
    max_paths: int = 100
    on_invalid: str = "error"

    def read(self) -> Iterator[Composition]:
        return iter(self.compositions)

    def sha256(self) -> str:
        raise NotImplementedError


def test_all_that_leads_to_a_sink_is_one_context(
    random_compositions: list[Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """A sink's context is the entry that it has in the data."""
    dataset = dataset_of(random_compositions, context="dag")
    number = Numbering()
    for node, parents in dataset.contexts.items():
        number(node, parents)
    queries = list(sink_queries(Asked(random_compositions, "dag"), Naming(dataset.vocabulary)))
    ends: dict[int, list[int]] = {}
    for query in queries:
        assert isinstance(query, Query)
        (context,) = query.contexts
        entry = number.context(context)
        assert dataset.contexts.node[entry] == query.last
        ends.setdefault(query.about["composition"], []).append(entry)
    assert len(number.keys) == len(dataset.contexts)  # none of them is new
    for position, composition in enumerate(random_compositions):
        graph = nx.DiGraph(list(composition.links))
        sinks = [node for node in graph if not graph.out_degree(node)]
        assert len(ends[position]) == len(sinks)
        into = dataset.links.target[dataset.links.composition == position]
        assert set(ends[position]) <= set(into.tolist())


def test_a_ladder_is_no_context_for_each_of_its_paths(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    names = tuple(f"service_{k % 7}" for k in range(181))
    rungs = [(a, b) for k in range(0, 180, 3) for a, b in ((k, k + 1), (k, k + 2))]
    rungs += [(a, k + 3) for k in range(0, 180, 3) for a in (k + 1, k + 2)]
    ladder = Composition(names, (True,) * 181, tuple(rungs))
    dataset = dataset_of([ladder], context="dag")
    (query,) = sink_queries(Asked([ladder], "dag"), Naming(dataset.vocabulary))
    assert isinstance(query, Query)
    assert (query.about["contexts"], len(query.contexts[0])) == (1, 181)
    with pytest.raises(DataError, match=r"1,152,921,504,606,846,976 paths, more than 100"):
        check_answerable(sink_queries(Asked([ladder], "path"), Naming(dataset.vocabulary)))


def test_paths_are_contexts_of_one_parent_each() -> None:
    query = Query.of_paths({}, [[4, 7, 7], [7]])
    assert query.contexts == [[(4,), (7, 0), (7, 1)], [(7,)]]
    assert query.last == 7
    number = Numbering()
    entries = np.array([number.context(context) for context in query.contexts], np.int32)
    assert number.dag().padded(entries)[0].tolist() == [[4, 7, 7], [7, 0, 0]]
