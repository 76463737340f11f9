import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pytest

from dagrec_cli.data.composition import Composition, Context, Fault, Invalid
from dagrec_cli.data.contexts import Numbering
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.naming import Naming
from dagrec_cli.data.queries import (
    About,
    Query,
    Unanswerable,
    check_answerable,
    end_queries,
    query_of,
)
from dagrec_cli.data.vocabulary import Vocabulary
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

    def ends(self, naming: Naming, **how: Any) -> Iterator[Query | Unanswerable]:
        return end_queries(self.read(), self, naming, **how)

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
    linked = [  # without the nodes that no link has, which are ends but not in the data
        each
        for each in random_compositions
        if {node for link in each.links for node in link} == {*range(len(each.names))}
    ]
    assert len(linked) > 9
    queries = list(Asked(linked, "dag").ends(Naming(dataset.vocabulary)))
    ends: dict[int, list[int]] = {}
    for query in queries:
        assert isinstance(query, Query)
        (context,) = query.contexts
        entry = number.context(context)
        assert dataset.contexts.node[entry] == context[-1][0]
        ends.setdefault(query.about.composition or 0, []).append(entry)
    assert len(number.keys) == len(dataset.contexts)  # none of them is new
    for position, composition in enumerate(linked):
        graph = nx.DiGraph(list(composition.links))
        sinks = [node for node in graph if not graph.out_degree(node)]
        assert len(ends[position]) == len(sinks)
        at = random_compositions.index(composition)
        into = dataset.links.target[dataset.links.composition == at]
        assert set(ends[position]) <= set(into.tolist())


def test_a_ladder_is_no_context_for_each_of_its_paths(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    names = tuple(f"service_{k % 7}" for k in range(181))
    rungs = [(a, b) for k in range(0, 180, 3) for a, b in ((k, k + 1), (k, k + 2))]
    rungs += [(a, k + 3) for k in range(0, 180, 3) for a in (k + 1, k + 2)]
    ladder = Composition(names, (True,) * 181, tuple(rungs))
    dataset = dataset_of([ladder], context="dag")
    naming = Naming(dataset.vocabulary)
    (query,) = Asked([ladder], "dag").ends(naming)
    assert isinstance(query, Query)
    assert (query.about.contexts, len(query.contexts[0])) == (1, 181)
    with pytest.raises(DataError, match=r"1,152,921,504,606,846,976 paths, more than 100"):
        check_answerable(Asked([ladder], "path").ends(naming), naming.vocabulary)


def test_many_ends_take_time_by_what_leads_to_them() -> None:
    """And not by the other nodes: it would take half a minute, and of 100,000 ends five."""
    n = 30_000
    names, links = ("table_t", *["service_a"] * (n - 1)), tuple((0, k) for k in range(1, n))
    star = Composition(names, (False, *[True] * (n - 1)), links)
    naming = Naming(Vocabulary.fitted({"table_t": False, "service_a": True}, ["service_a"]))
    start = time.process_time()
    ends = list(Asked([star], "dag").ends(naming))
    assert (len(ends), len(ends[-1].contexts[0])) == (n - 1, 2)
    assert time.process_time() - start < 8


def test_paths_are_contexts_of_one_parent_each() -> None:
    query = Query.of_paths(About(), [[4, 7, 7], [7]])
    assert query.contexts == [[(4,), (7, 0), (7, 1)], [(7,)]]
    number = Numbering()
    entries = np.array([number.context(context) for context in query.contexts], np.int32)
    assert number.dag().padded(entries)[0].tolist() == [[4, 7, 7], [7, 0, 0]]


@pytest.fixture
def diamond() -> Composition:
    """A diamond 0, 1, 2, 3 on a table, and 4, which nothing is linked to."""
    names = ("table_t", "service_a", "service_b", "service_c", "service_a")
    links = ((0, 1), (0, 2), (1, 3), (2, 3))
    ids = ["t", "one", "two", "three", "four"]
    return Composition(names, (False, *[True] * 4), links, ids=ids)


@pytest.mark.parametrize(
    ("context", "after", "expected"),
    [
        ("dag", [], {"four": [[(2,)]], "three": [[(1,), (2, 0), (3, 0), (4, 1, 2)]]}),
        ("path", [], {"four": [[2]], "three": [[1, 2, 4], [1, 3, 4]]}),
        ("dag", ["two"], {"two": [[(1,), (3, 0)]]}),
        ("dag", ["a", "t"], {"t": [[(1,)]], "one": [[(1,), (2, 0)]], "four": [[(2,)]]}),
        ("path", ["service_c"], {"three": [[1, 2, 4], [1, 3, 4]]}),
    ],
)
def test_it_goes_on_from_open_ends_or_from_the_nodes_that_are_named(
    diamond: Composition, context: Context, after: list[str], expected: dict[str, Any]
) -> None:
    vocabulary = Vocabulary(
        ("table_t", "service_a", "service_b", "service_c"),
        (False, True, True, True),
        ("service_c",),
    )
    found = Asked([diamond], context).ends(Naming(vocabulary), after=after)
    contexts = {query.about.node: query.contexts for query in found if isinstance(query, Query)}
    if context == "path":
        expected = {k: Query.of_paths(About(), paths).contexts for k, paths in expected.items()}
    assert contexts == expected
    (wrong, *_) = Asked([diamond], context).ends(Naming(vocabulary), after=["five", "t"])
    assert isinstance(wrong, Unanswerable)
    assert wrong.problem.startswith("no node 'five'")


def test_names_to_go_on_from_are_read_once_however_many_nodes_there_are(
    diamond: Composition,
) -> None:
    """Or a request of 4 MiB would take minutes."""

    class Names(list[str]):
        n_read = 0

        def __iter__(self) -> Iterator[str]:
            self.n_read += 1
            return super().__iter__()

    vocabulary = Vocabulary(("service_a",), (True,), ("service_a",))
    after = Names(["y", "four", "x", "y"])
    found = list(Asked([diamond] * 9, "dag").ends(Naming(vocabulary), after=after))
    assert after.n_read < 9
    problems = [each.problem[:12] for each in found if isinstance(each, Unanswerable)]
    assert problems == ["no node 'y';", "no node 'x';"] * 9


@pytest.mark.parametrize("n", [1, 2])
def test_what_helps_with_an_unknown_name_is_said(diamond: Composition, n: int) -> None:
    names, kinds = ("table_t", "service_a"), (False, True)
    fitted = Vocabulary.fitted(dict(zip(names, kinds, strict=True)), ["service_a"])
    told = f"on_unknown={'skip answers the others, ' * (n - 1)}nearest takes near names"
    for vocabulary, expected in (
        (fitted, f"{told}, model its UNKNOWN node."),
        (Vocabulary(names, kinds, ("service_a",)), f"{told} (the model has no UNKNOWN node)."),
    ):
        asked = [query_of(["x"], Naming(vocabulary)), query_of(["a"], Naming(vocabulary))]
        with pytest.raises(DataError) as caught:
            check_answerable(asked[:n], vocabulary)
        assert str(caught.value).endswith(f"(no known name is near). {expected}")


def test_a_link_to_nowhere_is_no_unknown_name() -> None:
    """The reader calls its end an unknown node, too, which no other name would help."""
    vocabulary = Vocabulary(("service_a",), (True,), ("service_a",))
    place, problem = "flows[0].links[0].target", "unknown node '9'; use a node's id"
    (asked,) = end_queries([Invalid([Fault(place, problem)])], Asked([], "dag"), Naming(vocabulary))
    with pytest.raises(DataError) as caught:
        check_answerable([asked], vocabulary)
    assert str(caught.value) == f"{place}: {problem}."
