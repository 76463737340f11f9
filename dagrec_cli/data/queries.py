"""What a recommendation is asked for: a context, a file of them, or the sinks of a composition."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple

from dagrec_cli.data.composition import Composition, Invalid, Source
from dagrec_cli.data.naming import NAMED, Naming
from dagrec_cli.data.paths import PathTree, count_paths, neighbours, path_tree, topological
from dagrec_cli.data.readers.json_keys import repeated_key
from dagrec_cli.errors import DataError

Key = tuple[int, ...]  # a node, and the positions of what leads to it

LONGEST = 10_000  # nodes in a context
CONTEXT = 'a JSON list of node names, or {"context": [...]}, one a line'


class Query(NamedTuple):
    """One recommendation to make.

    Attributes
    ----------
    about
        What it is about, for the answer.
    contexts
        Each as its nodes, what leads to one before it, the last node last: a node is its index,
        then the positions of what leads to it. Of several contexts (paths to one sink) the
        probabilities are averaged.
    """

    about: Mapping[str, Any]
    contexts: list[list[Key]]

    @classmethod
    def of_paths(cls, about: Mapping[str, Any], paths: Iterable[list[int]]) -> "Query":
        """Return the query for contexts that are paths, given as node indices."""
        return cls(
            about, [[(node, *([k - 1] if k else [])) for k, node in enumerate(p)] for p in paths]
        )

    @property
    def last(self) -> int:
        """Index of the last node, which all contexts share."""
        return self.contexts[0][-1][0]


class Unanswerable(NamedTuple):
    """One that cannot be made: what it is about, where it stands, and why, without a full stop."""

    about: Mapping[str, Any]
    place: str
    problem: str


Asked = Query | Unanswerable


def query_of(names: object, naming: Naming, place: str = "") -> Asked:
    """Return the query for one context.

    It cannot be made if that is no list of names, empty, too long, or holds a name that the model
    does not know.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return Unanswerable({}, place, f"a context is {CONTEXT}")
    about = {"context": names}
    if not 1 <= len(names) <= LONGEST:
        problem = f"a context of {len(names):,} nodes; give 1 to {LONGEST:,}"
        return Unanswerable(about, place, problem)
    try:
        path = naming.nodes(names)
    except DataError as error:
        return Unanswerable(about, place, str(error))
    return Query.of_paths(about | _replaced(names, naming), [path])


def read_queries(lines: Iterable[bytes], naming: Naming) -> Iterator[Asked]:
    """Yield the query of each line, one at a time; blank lines are skipped."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            asked = _query_of_line(line, naming, f"line {number}")
            if isinstance(asked, Unanswerable):
                asked = asked._replace(about={"line": number, **asked.about})
            yield asked


def _query_of_line(line: bytes, naming: Naming, place: str) -> Asked:
    try:
        found = json.loads(line)
        if twice := repeated_key(line):
            return Unanswerable({}, place, twice.problem)
        return query_of(found["context"] if isinstance(found, dict) else found, naming, place)
    except (ValueError, KeyError, RecursionError):
        return Unanswerable({}, place, f"no context in it; give {CONTEXT}")


def sink_queries(source: Source, naming: Naming) -> Iterator[Asked]:
    """Yield a query for each sink of each composition.

    Its context is all that leads to the sink, or all paths that do, as ``source.context`` has it.
    None can be made for a composition that is invalid or has too many paths, nor after a node that
    the model does not know.
    """
    for number, item in enumerate(source.read()):
        about: dict[str, Any] = {"composition": number}
        if isinstance(item, Invalid):
            place, problem = item.faults[0]
            yield Unanswerable(about, place, problem)
            continue
        place = item.place or f"compositions[{number}]"
        n_paths = count_paths(len(item.names), item.links) if source.context == "path" else 1
        if n_paths > source.max_paths:
            problem = f"{n_paths:,} paths, more than {source.max_paths:,}; ask with context=[...]"
            yield Unanswerable(about, place, problem)
            continue
        by_sink = _paths_to_sinks if source.context == "path" else _ancestors_of_sinks
        for sink, contexts in by_sink(item):
            called = {"node": item.ids[sink]} if item.ids else {}
            whose = {**about, "sink": item.names[sink], **called, "contexts": len(contexts)}
            yield _sink_query(whose, item, contexts, place, naming)


def _sink_query(
    about: Mapping[str, Any],
    composition: Composition,
    contexts: list[list[Key]],
    place: str,
    naming: Naming,
) -> Asked:
    """Return the query after contexts that are given by nodes of a composition."""
    if (longest := max(map(len, contexts))) > LONGEST:
        problem = f"a context of {longest:,} nodes, more than {LONGEST:,}; ask with context=[...]"
        return Unanswerable(about, place, problem)
    names = list(dict.fromkeys(composition.names[node] for node, *_ in chain(*contexts)))
    try:
        index = dict(zip(names, naming.nodes(names, is_whole=True), strict=True))
    except DataError as error:
        return Unanswerable(about, place, str(error))
    return Query(
        {**about, **_replaced(names, naming)},
        [[(index[composition.names[n]], *above) for n, *above in each] for each in contexts],
    )


def _replaced(names: Iterable[str], naming: Naming) -> dict[str, dict[str, str]]:
    """Return the names that others were taken for, for an answer; nothing if there are none."""
    taken = {name: naming.replaced[name] for name in names if name in naming.replaced}
    return {"replaced": taken} if taken else {}


def check_answerable(queries: Iterable[Asked]) -> None:
    """Read all queries.

    Raises
    ------
    DataError
        If some cannot be made: how many, and the first ones.
    """
    total, problems = 0, Counter[str]()
    for asked in queries:
        total += 1
        if isinstance(asked, Unanswerable):
            problems[": ".join(filter(None, [asked.place, asked.problem]))] += 1
    told = "; ".join([*islice(problems, NAMED), *["…"] * (len(problems) > NAMED)])
    if total == 1 and problems:
        raise DataError(f"{told}.")
    if problems:
        raise DataError(
            f"{problems.total():,} of {total:,} cannot be answered, so none is: {told}. "
            "on_unknown=skip answers the others, nearest takes near names, model its UNKNOWN node."
        )


def _ancestors_of_sinks(composition: Composition) -> Iterator[tuple[int, list[list[Key]]]]:
    """Yield each sink, and all that leads to it as one context."""
    parents, children = neighbours(len(composition.names), composition.links)
    order = topological(parents, children)
    for sink in [node for node in order if parents[node] and not children[node]]:
        leads = {sink}
        stack = [sink]
        while stack:
            new = [parent for parent in parents[stack.pop()] if parent not in leads]
            leads.update(new)
            stack += new
        nodes = [node for node in order if node in leads and node != sink] + [sink]
        place = {node: k for k, node in enumerate(nodes)}
        yield sink, [[(node, *[place[parent] for parent in parents[node]]) for node in nodes]]


def _paths_to_sinks(composition: Composition) -> Iterator[tuple[int, list[list[Key]]]]:
    """Yield each sink, and all paths that lead to it as a context each."""
    tree = path_tree(len(composition.names), composition.links)
    by_sink: dict[int, list[list[int]]] = {}
    for branch, node in tree.ends:
        by_sink.setdefault(node, []).append(_path(tree, branch, node))
    for sink, paths in by_sink.items():
        yield sink, Query.of_paths({}, paths).contexts


def _path(tree: PathTree, branch: int, node: int) -> list[int]:
    """Return the nodes of the path whose last step is given, first node first."""
    path = [node]
    while branch:
        branch, node = tree.inner[branch - 1]
        path.append(node)
    return path[::-1]
