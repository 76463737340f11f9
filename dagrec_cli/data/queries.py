"""What a recommendation is asked for: a context, a file of them, or the sinks of a composition."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dagrec_cli.data.composition import Composition, Invalid, Source
from dagrec_cli.data.paths import PathTree, count_paths, neighbours, path_tree, topological
from dagrec_cli.data.readers.json_keys import repeated_key
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DataError

Key = tuple[int, ...]  # a node, and the positions of what leads to it

LONGEST = 10_000  # nodes in a context
ALLOWED = 'a JSON list of node names, or {"context": [...]}, one a line'


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


def query_of(names: object, vocabulary: Vocabulary) -> Query:
    """Return the query for one context.

    Raises
    ------
    DataError
        If it is no list of names, empty, too long, or holds a name that the model does not know.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"a context is {ALLOWED}.")
    if not 1 <= len(names) <= LONGEST:
        raise DataError(f"a context of {len(names):,} nodes; give 1 to {LONGEST:,}.")
    return Query.of_paths({"context": names}, [[vocabulary.lookup(name) for name in names]])


def read_queries(lines: Iterable[bytes], vocabulary: Vocabulary) -> Iterator[Query]:
    """Yield the query of each line, one at a time; blank lines are skipped.

    Raises
    ------
    DataError
        At the first line that is none; the message names it.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            if twice := repeated_key(line):
                raise DataError(f"{twice.problem}.")
            yield query_of(found["context"] if isinstance(found, dict) else found, vocabulary)
        except DataError as error:
            raise DataError(f"line {number}: {error}") from error
        except (ValueError, KeyError, RecursionError) as error:
            raise DataError(f"line {number}: no context in it; give {ALLOWED}.") from error


def sink_queries(source: Source, vocabulary: Vocabulary) -> Iterator[Query]:
    """Yield a query for each sink of each composition.

    Its context is all that leads to the sink, or all paths that do, as ``source.context`` has it.

    Raises
    ------
    DataError
        If a composition is invalid, has too many paths, or a node that the model does not know.
    """
    for number, item in enumerate(source.read()):
        if isinstance(item, Invalid):
            raise DataError(f"{item.faults[0]}.")
        place = f"compositions[{number}]"
        try:
            index = [vocabulary.lookup(name, is_whole=True) for name in item.names]
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        if source.context == "path":
            by_sink = _paths_to_sinks(item, source.max_paths, place)
        else:
            by_sink = _ancestors_of_sinks(item)
        for sink, contexts in by_sink:
            if (longest := max(map(len, contexts))) > LONGEST:
                problem = f"a context of {longest:,} nodes, more than {LONGEST:,}"
                raise DataError(f"{place}: {problem}; ask with context=[...].")
            about = {"composition": number, "sink": item.names[sink], "contexts": len(contexts)}
            yield Query(about, [[(index[n], *above) for n, *above in each] for each in contexts])


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


def _paths_to_sinks(
    composition: Composition, max_paths: int, place: str
) -> Iterator[tuple[int, list[list[Key]]]]:
    """Yield each sink, and all paths that lead to it as a context each."""
    n_nodes, links = len(composition.names), composition.links
    if (n_paths := count_paths(n_nodes, links)) > max_paths:
        problem = f"{n_paths:,} paths, more than {max_paths:,}; ask with context=[...]."
        raise DataError(f"{place}: {problem}")
    tree = path_tree(n_nodes, links)
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
