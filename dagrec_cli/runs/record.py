"""The JSON files of a run folder: what each holds, written here, and checked on the way in.

A file may be damaged, written by another version, or a stranger's. So kinds, ranges and whether the
parts of a file fit each other are checked before anything is used; what is wrong is said in one
line with its place. All files carry one format number, which changes when any of them does.
"""

from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import RunError, visible
from dagrec_cli.runs.folder import (
    GRAPH,
    REQUEST,
    RESULT,
    SWEEP_REQUEST,
    VOCABULARY,
    RunFolder,
    read_whole,
)
from dagrec_cli.runs.provenance import Request, origin
from dagrec_cli.runs.result import Failed, Finished, Interrupted, Result

RECORD_FORMAT = 2  # 1 was that of dagrec 0.1.0
AGAIN = "run it again"
OLD = "made by dagrec 0.1.0; this version reads runs of 0.2 on: train it again."
OTHER_FORMAT = (
    f"format {{}}, but this version reads {RECORD_FORMAT}; use the version of dagrec that wrote it."
)

Node = Annotated[int, Meta(ge=1, lt=2**31)]
Kind = TypeVar("Kind")


class RunStart(Request, frozen=True, kw_only=True):
    """``request.json``: what a run was asked for, and what it began with.

    Attributes
    ----------
    data_sha256
        Hash of the data's content.
    config_sha256
        Hash of all else that decides the figures, see
        :func:`~dagrec_cli.config.deciding.config_hash`.
    threads
        How many torch has had, which ``threads=auto`` keeps when the run is resumed.
    """

    data_sha256: str
    config_sha256: str
    threads: Annotated[int, Meta(ge=1)]


class SavedEdge(NamedTuple):
    """A step between two nodes, by number, and how often it occurs."""

    source: Node
    target: Node
    times: Annotated[int, Meta(ge=0, lt=2**31)]


class SavedEdges(Struct, frozen=True):
    """``graph.json``: the edges of the data, and those that the model knows."""

    edges: list[SavedEdge]
    known: list[SavedEdge]


class SweepRequest(Struct, frozen=True):
    """``sweep_request.json``: the overrides that a sweep was begun with."""

    overrides: list[str]


class _Head(Struct):
    format: int | None = None


FILES: dict[type, str] = {
    RunStart: REQUEST,
    SweepRequest: SWEEP_REQUEST,
    Vocabulary: VOCABULARY,
    SavedEdges: GRAPH,
    **dict.fromkeys((Finished, Failed, Interrupted), RESULT),
}
IN_ONE_LINE = (VOCABULARY, GRAPH)  # as long as the data's names and edges


def write_record(folder: RunFolder, record: object) -> None:
    """Write a record to the file of its kind, see :data:`FILES`."""
    name = FILES[type(record)]
    content = {"format": RECORD_FORMAT, **msgspec.to_builtins(record, str_keys=True)}
    if not content.get("owners", True):  # nobody's names are in a run whose model reads none
        del content["owners"]
    folder.write_json(name, content, indent=None if name in IN_ONE_LINE else 2)


def write_failure(folder: RunFolder, request: Request, error: str) -> None:
    """Write the result of a run that failed before it could come to one of its own."""
    write_record(folder, Failed(**msgspec.structs.asdict(origin("train", request)), error=error))


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """Return the record of a kind that a run folder holds.

    Raises
    ------
    FileNotFoundError
        If its file is not there.
    RunError
        If it cannot be read, is no JSON or of another format, or a value in it is of another kind
        or out of range.
    """
    record: Kind = _read_record(path / FILES[kind], kind)
    return record


def read_result(path: Path) -> Result:
    """Return the ``result.json`` of a run folder, see :func:`read_record`."""
    result: Result = _read_record(path / RESULT, Result)
    return result


def read_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary of a run folder.

    Raises
    ------
    RunError
        If its file is missing or damaged.
    """
    names = _existing(path, Vocabulary)
    flags = dict(zip(names.nodes, names.is_service, strict=False))
    known = names.of_model
    is_sound = (
        len(flags) == len(names.nodes) == len(names.is_service)
        and len(set(names.services)) == len(names.services) > 0
        and all(flags.get(name) for name in names.services)
        and set(known.nodes) >= set(known.services) != set()
        and names.known in (None, (len(known.nodes), len(known.services)))
        and len(set(names.owners)) == len(names.owners)
    )
    if not is_sound:
        raise RunError(
            f"{path / VOCABULARY}: it must name each node once, say of each whether it is a "
            f"service, and its catalogue must be services among them, those that are known too; "
            f"no owner stands twice; {AGAIN}."
        )
    return names


def read_edges(path: Path, n_nodes: int) -> SavedEdges:
    """Return the edges of a run folder's graph.

    Parameters
    ----------
    n_nodes
        How many nodes the vocabulary has.

    Raises
    ------
    RunError
        If its file is missing, damaged, or of another vocabulary.
    """
    graph = _existing(path, SavedEdges)
    ends = (end for link in chain(graph.edges, graph.known) for end in link[:2])
    if max(ends, default=0) > n_nodes:
        raise RunError(f"{path / GRAPH}: an edge is none between nodes 1 to {n_nodes}; {AGAIN}.")
    return graph


def _existing(path: Path, kind: type[Kind]) -> Kind:
    try:
        return read_record(path, kind)
    except FileNotFoundError as error:
        raise RunError(
            f"{path / FILES[kind]}: no such file; the folder holds no whole run."
        ) from error


def _read_record(file: Path, kind: Any) -> Any:
    content = read_whole(file)
    try:  # the format first: of what another one holds nothing is known
        if (version := msgspec.json.decode(content, type=_Head).format) == RECORD_FORMAT:
            return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{file}: damaged ({visible(str(error))}); {AGAIN}.") from error
    if version is None:
        raise RunError(f"{file}: no format in it, so it is none of dagrec 0.2 or later.")
    raise RunError(f"{file}: {OLD if version == 1 else OTHER_FORMAT.format(version)}")
