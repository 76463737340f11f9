"""What a recommendation is asked for: a context, a file of them, or the sinks of a composition."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dagrec_cli.data.composition import Invalid, Source
from dagrec_cli.data.paths import PathTree, count_paths, path_tree
from dagrec_cli.data.readers.json_keys import repeated_key
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DataError

LONGEST = 10_000  # nodes in a context
ALLOWED = 'a JSON list of node names, or {"context": [...]}, one a line'


class Query(NamedTuple):
    """One recommendation to make.

    Attributes
    ----------
    about
        What it is about, for the answer.
    contexts
        Node indices; of several contexts (paths to one sink) the probabilities are averaged.
    """

    about: Mapping[str, Any]
    contexts: list[list[int]]


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
    return Query({"context": names}, [[vocabulary.lookup(name) for name in names]])


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
    """Yield a query for each sink of each composition: its contexts are all paths that end there.

    Raises
    ------
    DataError
        If a composition is invalid, has too many paths, or a node that the model does not know.
    """
    for number, item in enumerate(source.read()):
        if isinstance(item, Invalid):
            raise DataError(f"{item.faults[0]}.")
        names, n_paths = item.names, count_paths(len(item.names), item.links)
        if n_paths > source.max_paths:
            problem = f"{n_paths:,} paths, more than {source.max_paths:,}; ask with context=[...]."
            raise DataError(f"compositions[{number}]: {problem}")
        try:
            index = [vocabulary.lookup(name, is_whole=True) for name in names]
        except DataError as error:
            raise DataError(f"compositions[{number}]: {error}") from error
        tree = path_tree(len(names), item.links)
        by_sink: dict[int, list[list[int]]] = {}
        for branch, node in tree.ends:
            path = [index[each] for each in _path(tree, branch, node)]
            if len(path) > LONGEST:
                problem = f"a path of {len(path):,} nodes, more than {LONGEST:,}"
                raise DataError(f"compositions[{number}]: {problem}; ask with context=[...].")
            by_sink.setdefault(node, []).append(path)
        for sink, paths in by_sink.items():
            about = {"composition": number, "sink": names[sink], "paths": len(paths)}
            yield Query(about, paths)


def _path(tree: PathTree, branch: int, node: int) -> list[int]:
    """Return the nodes of the path whose last step is given, first node first."""
    path = [node]
    while branch:
        branch, node = tree.inner[branch - 1]
        path.append(node)
    return path[::-1]
