"""What may be asked of a model over HTTP, and the answers: JSON, in bounded size and time."""

import json
import os
from collections.abc import Iterable, Iterator
from errno import ENOSPC
from fcntl import LOCK_EX, flock
from functools import cached_property
from pathlib import Path
from time import monotonic, time
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from pydantic import BaseModel, Field

from dagrec_cli.data.composition import PREFIX_SERVICE, Composition, Invalid
from dagrec_cli.data.invalid import valid
from dagrec_cli.data.naming import PREFIXES
from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.data.queries import Asked, Query
from dagrec_cli.data.readers.json_graph import encoded
from dagrec_cli.data.vocabulary import UNKNOWN_NODES
from dagrec_cli.errors import DataError
from dagrec_cli.evaluation.recommender import Answer, SaysWhy
from dagrec_cli.evaluation.why import Explainer
from dagrec_cli.runs.recommend import Recommender

MOST_ANSWERS = 1_000  # of one request
MOST_SERVICES = 100_000  # of all its answers together
NODES_AT_ONCE = 100_000  # in the contexts of one answer, which are scored in one go
MOST_EXPLAINED = 20  # of its answers

COMPOSITION = (
    "Names and links, or what a file of compositions holds, in any format that dagrec reads; YAML "
    "as a string."
)
EXAMPLE = {"nodes": ["table_1002132", "service_308"], "links": [[0, 1]]}

NodeName = Annotated[str, Field(max_length=10_000)]


class NamedGraph(BaseModel, extra="forbid"):
    """A composition by the names of its nodes; a link is two positions in their list."""

    nodes: list[NodeName]
    links: list[tuple[int, int]]


AnyComposition = Annotated[
    NamedGraph | dict[str, Any] | list[Any] | str, Field(union_mode="left_to_right")
]


class Question(BaseModel, extra="forbid"):
    """What is to be recommended: one of ``context``, ``contexts`` and ``composition``."""

    context: list[NodeName] | None = Field(
        None,
        description="Nodes walked so far, by name.",
        examples=[["table_1002132", "service_308"]],
    )
    contexts: list[list[NodeName]] | None = Field(
        None, max_length=MOST_ANSWERS, description="Several of these; each is answered apart."
    )
    composition: AnyComposition | None = Field(
        None,
        description=f"{COMPOSITION} There is an answer for each node that no link leaves.",
        examples=[EXAMPLE],
    )
    after: list[NodeName] = Field(
        [],
        description="Nodes to go on from instead: names, ids in the file, positions in the list.",
    )
    k: int = Field(5, ge=1, le=MOST_SERVICES, strict=True, description="Services of an answer.")
    allowed: list[NodeName] | None = Field(
        None, description="Names of the services that may be recommended; null: all."
    )
    owner: str | None = Field(
        None, max_length=1_000, description="Who asks; null: whose the composition says it is."
    )
    on_unknown: Literal["error", "nearest", "model"] = Field(
        "error",
        description="What an unknown name stands for: nothing, so that there is no answer; the "
        "name nearest to it; the model's UNKNOWN node. The answer says what was taken.",
    )
    why: bool = Field(
        False,
        strict=True,
        description=f"Whether the first {MOST_EXPLAINED} answers say what they rest on, if it may.",
    )


class Chosen(BaseModel, extra="forbid"):
    """What a user has made in the end, to be learnt from."""

    composition: AnyComposition = Field(description=COMPOSITION, examples=[EXAMPLE])
    owner: str | None = Field(
        None, min_length=1, max_length=1_000, description="Whose it is, unless it says so itself."
    )


class Kept(BaseModel):
    """How many compositions were kept."""

    compositions: int


class Named(msgspec.Struct):
    """A node that the model knows, and how often links of its data begin or end there."""

    name: str
    is_service: bool
    links: int


class FoundNodes(msgspec.Struct):
    """Nodes whose name holds a text; none does if they are those with the nearest names."""

    nodes: list[Named]


class Answers(msgspec.Struct, omit_defaults=True):
    """Answers in the order in which they were asked for, and what one has to know of all."""

    answers: list[Answer]
    notes: list[str] = []


class Error(BaseModel):
    """What is wrong, in one line."""

    error: str


def answer(
    recommender: Recommender, explain: Explainer | None, question: Question, seconds: float
) -> bytes:
    """Return the JSON of :class:`Answers`.

    Parameters
    ----------
    explain
        What says why; None where nobody is told.

    Raises
    ------
    DataError
        If the question is wrong, or the only thing that it asks cannot be answered.
    TimeoutError
        If it takes more than so many seconds.
    """
    end, k = monotonic() + seconds, min(question.k, recommender.model.facts.n_services)

    def bounded(asked: Iterable[Asked]) -> Iterator[Asked]:
        for n, each in enumerate(asked, start=1):
            if n > MOST_ANSWERS or n * k > MOST_SERVICES:
                raise DataError(
                    f"more than {MOST_ANSWERS:,} answers, or {MOST_SERVICES:,} services in all of "
                    "them; ask for fewer at a time."
                )
            if isinstance(each, Query) and sum(map(len, each.contexts)) > NODES_AT_ONCE:
                raise DataError(
                    f"more than {NODES_AT_ONCE:,} nodes in the paths to {each.about.after}."
                )
            if monotonic() > end:
                raise TimeoutError
            yield each

    choice = recommender.choice(k, question.allowed, question.owner)
    why = _for_the_first(explain) if question.why else None
    answers = list(recommender.answers(bounded(_questions(recommender, question)), choice, why))
    if question.contexts is None and len(answers) == 1 and answers[0].error:
        raise DataError(f"{answers[0].error}.")
    if why and len(answers) > MOST_EXPLAINED:
        choice.notes.append(f"Why is said of the first {MOST_EXPLAINED} answers alone.")
    return msgspec.json.encode(Answers(answers, choice.notes))


def _for_the_first(explain: Explainer | None) -> SaysWhy:
    """Return what says why of the first answers, for so long as this is asked."""
    if explain is None:
        raise DataError('"why" is not answered here; start dagrec serve with why=true.')
    left = iter(range(MOST_EXPLAINED))
    return lambda query, best: None if next(left, None) is None else explain(query, best)


def _questions(recommender: Recommender, question: Question) -> Iterable[Asked]:
    match question:
        case Question(context=list(names), contexts=None, composition=None, after=[]):
            return [recommender.context(names, question.on_unknown)]
        case Question(context=None, contexts=list(several), composition=None, after=[]):
            return (recommender.context(names, question.on_unknown) for names in several)
        case Question(context=None, contexts=None, composition=given) if given is not None:
            read = _readable(recommender, given)
            return recommender.composition(read, question.on_unknown, question.after)
    raise DataError("give one of context, contexts and composition; after goes with the last.")


def _readable(recommender: Recommender, given: AnyComposition) -> Composition | bytes:
    """Return a composition by names, or what a file holds."""
    if not isinstance(given, NamedGraph):
        return (given if isinstance(given, str) else json.dumps(given)).encode()
    names = [_whole_name(recommender, name) for name in given.nodes]
    for link in given.links:
        if not all(0 <= end < len(names) for end in link):
            raise DataError(f"the link {list(link)} has an end that is none of {len(names)} nodes.")
    return Composition(
        tuple(names),
        tuple(name.startswith(PREFIX_SERVICE) for name in names),
        tuple(given.links),
        ids=[str(n) for n in range(len(names))],
    )


def _whole_name(recommender: Recommender, name: str) -> str:
    """Return a name with its prefix; of one that nobody knows, a service's."""
    known = recommender.naming.known(name)
    return known or (name if name.startswith(PREFIXES) else PREFIX_SERVICE + name)


def chosen_lines(recommender: Recommender, chosen: Chosen) -> tuple[int, bytes]:
    """Return how many compositions were made, and them in JSON Lines for ``data=compositions``.

    One that does not say when it was made is of now.

    Raises
    ------
    DataError
        If one is none.
    """
    skipped: list[Invalid] = []
    made = recommender.compositions(_readable(recommender, chosen.composition))
    lines = []
    for each in valid(made, "error", skipped):
        start = round(time(), 3) if each.start_time is None else each.start_time
        lines.append(encoded(each._replace(owner=each.owner or chosen.owner, start_time=start)))
    if not lines:
        raise DataError(f"{skipped[0].faults[0].problem if skipped else 'no composition'}.")
    return len(lines), b"".join(lines)


def append(path: Path, lines: bytes) -> None:
    """Write lines behind those of a file, as a whole or not at all; other processes wait."""
    with open_plain(path, "r+b") as file:
        flock(file, LOCK_EX)
        descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        try:
            if os.pwrite(descriptor, lines, size) < len(lines):
                raise OSError(ENOSPC, os.strerror(ENOSPC), str(path))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise


class Catalogue:
    """The names that a model knows, to be searched."""

    def __init__(self, recommender: Recommender) -> None:
        facts = recommender.model.facts
        graph, names = facts.graph, facts.vocabulary
        out, into = (
            np.bincount(ends, graph.count, len(names.nodes) + 1)[1:].astype(int).tolist()
            for ends in (graph.source, graph.target)
        )
        rows = sorted(  # what begins compositions comes first
            zip(names.nodes, names.is_service, out, into, strict=True),
            key=lambda row: row[3] - row[2],
        )
        self._nodes = {
            name: Named(name, is_service, n_out + n_in)
            for name, is_service, n_out, n_in in rows
            if name not in UNKNOWN_NODES
        }
        self._near = recommender.naming.near

    def search(self, text: str, k: int) -> FoundNodes:
        """Return up to ``k`` nodes: those whose name begins with a text, then those that hold it.

        Of these the most frequent come first; without a text, those that begin most compositions.
        """
        word = text.casefold()
        found = [(bare.startswith(word), node) for bare, node in self._bare if word in bare]
        if word:
            found.sort(key=lambda each: (-each[0], -each[1].links))
        nodes = [node for _, node in found] or [self._nodes[name] for name in self._near(text)]
        return FoundNodes(nodes[:k])

    @cached_property
    def _bare(self) -> list[tuple[str, Named]]:
        return [
            (name.removeprefix(PREFIXES[node.is_service]).casefold(), node)
            for name, node in self._nodes.items()
        ]
