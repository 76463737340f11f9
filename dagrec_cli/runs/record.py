"""The JSON files of a run folder: their kinds and ranges, checked on the way in.

A file may be damaged, written by another version, or a stranger's; what is wrong is said in one
line with its place.
"""

from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import RunError, visible
from dagrec_cli.runs.folder import GRAPH, VOCABULARY

AGAIN = "run it again"

Count = Annotated[int, Meta(ge=0, lt=2**53)]
Seed = Annotated[int, Meta(ge=0, lt=2**32)]
Seconds = Annotated[float, Meta(ge=0)]
Kind = TypeVar("Kind")


class Summary(Struct):
    """A metric's mean, its deviation over seeds, its interval."""

    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None


class Leakage(Struct):
    """How much of the test also occurs in training."""

    pairs: float = 0.0
    contexts: float = 0.0


class DataFacts(Struct):
    """What a run's numbers are about."""

    sha256: str
    test: Annotated[int, Meta(ge=1, lt=2**53)]
    leakage: Leakage | None = None
    forbidden_test_targets: Count = 0


class ModelFacts(Struct):
    """What a run's model is."""

    parameters: Count = 0
    dag_mask: bool = False
    epochs: list[Count] = []
    best_epoch: Annotated[list[Count], Meta(min_length=1)] = []


class Result(Struct):
    """``result.json``; a run that failed has little of it."""

    status: str
    format: int = 1
    error: str = ""
    started: str = ""
    choices: dict[str, str] = {}
    overrides: list[str] = []
    seeds: Annotated[list[Seed], Meta(min_length=1)] = []
    data: DataFacts | None = None
    metrics: dict[str, Summary] = {}
    per_seed: dict[str, dict[str, float]] = {}
    ceilings: dict[str, dict[str, Summary]] = {}
    evaluated_on: str = ""
    tie_rule: str = ""
    model: ModelFacts | None = None
    seconds: dict[str, Seconds] = {}
    versions: dict[str, str] = {}
    command_line: str = ""
    git_commit: str | None = None
    run: str | None = None
    code_sha256: str = ""


class Names(Struct):
    """``vocabulary.json``."""

    nodes: tuple[str, ...]
    is_service: tuple[bool, ...]
    services: tuple[str, ...]


class Link(NamedTuple):
    """A step between two nodes, by number, and how often it occurs."""

    source: Annotated[int, Meta(ge=1, lt=2**31)]
    target: Annotated[int, Meta(ge=1, lt=2**31)]
    times: Annotated[int, Meta(ge=0, lt=2**31)]


class Edges(Struct):
    """``graph.json``: the edges of the data, and those that the model knows."""

    edges: list[Link] | None = None
    known: list[Link] | None = None


def read_json(file: Path, kind: type[Kind]) -> Kind:
    """Return the content of a JSON file, as a kind of record.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    RunError
        If it cannot be read, is no JSON, or a value in it is of another kind or out of range.
    """
    return _decoded(file, read_plain(file), kind)


def read_result(file: Path) -> dict[str, Any]:
    """Return ``result.json`` with its kinds checked, as above; what it has beside those stays."""
    content = read_plain(file)
    found = _decoded(file, content, dict)
    if "status" not in found:
        raise RunError(f"{file}: no status in it; it is no result of dagrec train.")
    if found.get("format", 1) == 1:  # of another one nothing is known
        checked = _decoded(file, content, Result)
        if len(set(checked.seeds)) < len(checked.seeds):
            raise RunError(f"{file}: damaged (a seed stands twice in seeds); {AGAIN}.")
    return found


def read_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary of a run folder.

    Raises
    ------
    RunError
        If its file is missing or damaged.
    """
    file = path / VOCABULARY
    names = _existing(file, Names)
    flags = dict(zip(names.nodes, names.is_service, strict=False))
    is_sound = (
        len(flags) == len(names.nodes) == len(names.is_service)
        and len(set(names.services)) == len(names.services) > 0
        and all(flags.get(name) for name in names.services)
    )
    if not is_sound:
        raise RunError(
            f"{file}: it must name each node once, say of each whether it is a service, and its "
            f"catalogue must be services among them; {AGAIN}."
        )
    return Vocabulary(names.nodes, names.is_service, names.services)


def read_edges(path: Path, n_nodes: int, what: str) -> list[Link]:
    """Return the edges of a run folder's graph.

    Parameters
    ----------
    n_nodes
        How many nodes the vocabulary has.
    what
        ``edges`` or ``known``.

    Raises
    ------
    RunError
        If its file is missing, damaged, or of another vocabulary.
    """
    file = path / GRAPH
    edges: list[Link] | None = getattr(_existing(file, Edges), what)
    if edges is None:
        raise RunError(f"{file}: damaged (no {what} in it); {AGAIN}.")
    if max((max(edge[:2]) for edge in edges), default=0) > n_nodes:
        raise RunError(f"{file}: an edge is none between nodes 1 to {n_nodes}; {AGAIN}.")
    return edges


def _existing(file: Path, kind: type[Kind]) -> Kind:
    try:
        return read_json(file, kind)
    except FileNotFoundError as error:
        raise RunError(f"{file}: no such file; the folder holds no whole run.") from error


def _decoded(file: Path, content: bytes, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{file}: damaged ({visible(str(error))}); {AGAIN}.") from error
