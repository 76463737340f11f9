"""What a recommendation is asked for: a context, a file of them, or the ends of a composition."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from dagrec_cli.data.composition import Composition, Invalid, Source
from dagrec_cli.data.naming import NAMED, PREFIXES, Naming, OnUnknown, UnknownNameError
from dagrec_cli.data.paths import COUNTED, neighbours, topological
from dagrec_cli.data.readers.json_graph import repeated_key
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER, Vocabulary
from dagrec_cli.errors import DataError

Key = tuple[int, ...]  # a node, and the positions of what leads to it

LONGEST = 10_000  # nodes in a context
CONTEXT = 'a JSON list of node names, or {"context": [...]}, one a line'


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """What a recommendation is about; what does not apply is not there in JSON.

    Attributes
    ----------
    line
        Of the file that asks, where the answer is none.
    context
        Names of the nodes, as they were given.
    composition
        Its number in the file, from 0.
    format
        Which option of the group data has read it.
    after, node
        Name of the node that the services are to follow, and its id in the file.
    contexts
        How many contexts that end there the answer is the mean of.
    replaced
        Names that the model does not know, and those that were taken instead.
    dropped
        What was left out of the composition, and how often.
    """

    line: int | None = None
    context: list[str] | None = None
    composition: int | None = None
    format: str = ""
    after: str = ""
    node: str = ""
    contexts: int = 0
    replaced: dict[str, str] = msgspec.field(default_factory=dict)
    dropped: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def last(self) -> str:
        """Name under which the model reads the last node."""
        return self.replaced.get(self.after, self.after)


class Query(NamedTuple):
    """One recommendation to make.

    Attributes
    ----------
    about
        What it is about, for the answer.
    contexts
        Each as its nodes, what leads to one before it, the last node last: a node is its index,
        then the positions of what leads to it. Of several contexts (paths to one node) the
        probabilities are averaged.
    owner
        Who asks, by the model's number.
    unknown
        Names of nodes that the model does not know, whose indices are behind those of the others.
    """

    about: About
    contexts: list[list[Key]]
    owner: int = UNKNOWN_OWNER
    unknown: tuple[str, ...] = ()

    @classmethod
    def of_paths(cls, about: About, paths: Iterable[list[int]]) -> "Query":
        """Return the query for contexts that are paths, given as node indices."""
        return cls(
            about, [[(node, *([k - 1] if k else [])) for k, node in enumerate(p)] for p in paths]
        )


class Unanswerable(NamedTuple):
    """One that cannot be made: what it is about, where it stands, and why, without a full stop."""

    about: About
    place: str
    problem: str
    is_name: bool = False  # whether a name is unknown to the model, for which on_unknown is


Asked = Query | Unanswerable


def query_of(
    names: object, naming: Naming, on_unknown: OnUnknown = "error", place: str = ""
) -> Asked:
    """Return the query for one context.

    It cannot be made if that is no list of names, empty, too long, or holds a name that the model
    does not know.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return Unanswerable(About(), place, f"a context is {CONTEXT}")
    about = About(context=names)
    if not 1 <= len(names) <= LONGEST:
        problem = f"a context of {len(names):,} nodes; give 1 to {LONGEST:,}"
        return Unanswerable(about, place, problem)
    try:
        path, replaced, unknown = naming.nodes(names, on_unknown)
    except DataError as error:
        return Unanswerable(about, place, str(error), isinstance(error, UnknownNameError))
    last = names[-1] if names[-1] in replaced else naming.vocabulary.nodes[path[-1] - 1]
    about = About(context=names, after=last, replaced=replaced)
    return Query.of_paths(about, [path])._replace(unknown=unknown)


def read_queries(
    lines: Iterable[bytes], naming: Naming, on_unknown: OnUnknown = "error"
) -> Iterator[Asked]:
    """Yield the query of each line, one at a time; blank lines are skipped."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            asked = _query_of_line(line, naming, on_unknown, f"line {number}")
            if isinstance(asked, Unanswerable):
                asked = asked._replace(about=msgspec.structs.replace(asked.about, line=number))
            yield asked


def _query_of_line(line: bytes, naming: Naming, on_unknown: OnUnknown, place: str) -> Asked:
    try:
        found = json.loads(line)
        if twice := repeated_key(line):
            return Unanswerable(About(), place, twice.problem)
        names = found["context"] if isinstance(found, dict) else found
        return query_of(names, naming, on_unknown, place)
    except (ValueError, KeyError, RecursionError):
        return Unanswerable(About(), place, f"no context in it; give {CONTEXT}")


def end_queries(
    items: Iterable[Composition | Invalid],
    source: Source,
    naming: Naming,
    on_unknown: OnUnknown = "error",
    *,
    after: Collection[str] = (),
    form: str = "",
) -> Iterator[Asked]:
    """Yield a query for each open end of each composition: each node that no link leaves.

    Its context is all that leads there, or all paths that do, as ``source.context`` has it. None
    can be made for a composition that is invalid, nor after a node that too many paths lead to, or
    one that the model does not know.

    Parameters
    ----------
    items, source
        What a source yields, and the source.
    after
        Ids or names of the nodes to go on from, whatever leaves them; none for the open ends.
    form
        Which option of the group data reads the compositions.
    """
    wanted = dict.fromkeys(after)
    for number, item in enumerate(items):
        about = About(composition=number, format=form)
        if isinstance(item, Invalid):
            yield Unanswerable(about, *item.faults[0])
            continue
        place = item.place or f"compositions[{number}]"
        parents, children = neighbours(len(item.names), item.links)
        order = {node: k for k, node in enumerate(topological(parents, children))}
        ends = {node: _calls(item, node) & wanted.keys() for node in order}
        there = set[str]().union(*ends.values())
        for name in (name for name in wanted if name not in there):
            problem = f"no node {name!r}; give ids or names of its nodes in after=[...]"
            yield Unanswerable(about, place, problem)
        for end, called in ends.items():
            if called or not (wanted or children[end]):
                context = _ancestors(order, parents, end)
                yield _end_query(about, item, context, place, source, naming, on_unknown)


def _calls(composition: Composition, node: int) -> set[str]:
    """Return what a user may call a node: its id, its name, in full or without its prefix."""
    name = composition.names[node]
    return {name, *map(name.removeprefix, PREFIXES), *composition.ids[node : node + 1]}


def _end_query(
    about: About,
    composition: Composition,
    context: list[Key],
    place: str,
    source: Source,
    naming: Naming,
    on_unknown: OnUnknown,
) -> Asked:
    """Return the query after a context that is given by nodes of a composition."""
    is_path, end = source.context == "path", context[-1][0]
    about = msgspec.structs.replace(
        about,
        after=composition.names[end],
        node=composition.ids[end] if composition.ids else "",
        contexts=_count_paths(context) if is_path else 1,
        dropped=dict(composition.dropped),
    )
    if is_path and about.contexts > source.max_paths:
        problem = f"{about.contexts:,} paths, more than {source.max_paths:,}"
        return Unanswerable(about, place, f"{problem}; ask with context=[...]")
    paths = _paths(context) if is_path else [range(len(context))]
    if (longest := max(map(len, paths))) > LONGEST:
        problem = f"a context of {longest:,} nodes, more than {LONGEST:,}"
        return Unanswerable(about, place, f"{problem}; ask with context=[...]")
    names = list(dict.fromkeys(composition.names[node] for node, *_ in context))
    try:
        nodes, replaced, unknown = naming.nodes(names, on_unknown, is_whole=True)
    except DataError as error:
        return Unanswerable(about, place, str(error), isinstance(error, UnknownNameError))
    index = dict(zip(names, nodes, strict=True))
    keys = [(index[composition.names[node]], *above) for node, *above in context]
    about = msgspec.structs.replace(about, replaced=replaced)
    owner = naming.vocabulary.number_of_owner(composition.owner)
    if is_path:
        query = Query.of_paths(about, [[keys[k][0] for k in path] for path in paths])
        return query._replace(owner=owner, unknown=unknown)
    return Query(about, [keys], owner, unknown)


def check_answerable(queries: Iterable[Asked], vocabulary: Vocabulary) -> None:
    """Read all queries.

    Raises
    ------
    DataError
        If some cannot be made: how many, the first ones, and what helps.
    """
    total, problems, is_name = 0, Counter[str](), False
    for asked in queries:
        total += 1
        if isinstance(asked, Unanswerable):
            problems[": ".join(filter(None, [asked.place, asked.problem]))] += 1
            is_name |= asked.is_name
    if not problems:
        return
    reasons = "; ".join([*islice(problems, NAMED), *["…"] * (len(problems) > NAMED)])
    remedies = ["skip answers the others"] if total > 1 else []
    if is_name and vocabulary.unknown is None:
        remedies += ["nearest takes near names (the model has no UNKNOWN node)"]
    elif is_name:
        remedies += ["nearest takes near names", "model its UNKNOWN node"]
    if total > 1:
        reasons = f"{problems.total():,} of {total:,} cannot be answered, so none is: {reasons}"
    raise DataError(f"{reasons}. on_unknown={', '.join(remedies)}." if remedies else f"{reasons}.")


def _ancestors(order: dict[int, int], parents: list[list[int]], end: int) -> list[Key]:
    """Return all nodes that lead to one, and it, each with the positions of what leads there."""
    leads, stack = {end}, [end]
    while stack:
        new = [parent for parent in parents[stack.pop()] if parent not in leads]
        leads.update(new)
        stack += new
    nodes = [*sorted(leads - {end}, key=order.__getitem__), end]  # none that does not lead there
    place = {node: k for k, node in enumerate(nodes)}
    return [(node, *[place[parent] for parent in parents[node]]) for node in nodes]


def _count_paths(context: list[Key]) -> int:
    """Return how many paths lead to the last of some nodes, listing none."""
    ways: list[int] = []
    for _, *above in context:
        ways.append(min(sum(ways[k] for k in above) or 1, COUNTED))
    return ways[-1]


def _paths(context: list[Key]) -> list[list[int]]:
    """Return all paths to the last of some nodes, as positions."""
    found = []
    stack = [[len(context) - 1]]
    while stack:
        path = stack.pop()
        _, *above = context[path[-1]]
        if above:
            stack += [[*path, k] for k in reversed(above)]
        else:
            found.append(path[::-1])
    return found
