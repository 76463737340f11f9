"""A split in the formats of other tools, so that they are compared on the same pairs.

Source: GRU4Rec (github.com/hidasib/GRU4Rec_PyTorch_Official, README and ``run.py``); RecBole
(recbole.io, "Atomic Files" and "Benchmark file").
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.plain_files import kind_of, open_plain
from dagrec_cli.errors import ForeignError
from dagrec_cli.runs.csv_files import ARROW, csv_text
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.training.split_data import SplitData

SESSION_COLUMNS = ("SessionId", "ItemId", "Time")
INTER_COLUMNS = ("session_id:token", "item_id_list:token_seq", "item_id:token")
PAIR_COLUMNS = (
    *("step", "context", "target", "composition", "side"),
    *("owner", "start_time", "end_time"),
)
RECBOLE_CONFIG = """\
# For RecBole's session-based recommendation example: files, columns, one space of items.
USER_ID_FIELD: session_id
ITEM_ID_FIELD: item_id
load_col:
  inter: [session_id, item_id_list, item_id]
alias_of_item_id: [item_id_list]
benchmark_filename: [train, test]
"""

HEADS = {
    "\t".join(SESSION_COLUMNS).encode(),
    "\t".join(INTER_COLUMNS).encode(),
    ",".join(PAIR_COLUMNS).encode(),
    RECBOLE_CONFIG.partition("\n")[0].encode(),
}
HEAD_BYTES = 200  # bytes of a first line that are compared

# What separates values or starts a quotation in these formats, and the sign that escapes it.
_SPECIAL = re.compile(r'[\s"%]')


def write_gru4rec(folder: RunFolder, data: SplitData) -> None:
    """Write ``train.tsv`` and ``test.tsv``, tab-separated: SessionId, ItemId, Time.

    The pairs of one side that follow each other on a path are one session, so GRU4Rec, which learns
    and tests every step of a session, meets each of them once; a pair whose predecessor is on the
    other side starts again with its whole context. Time is the composition's start, or its number
    where that is unknown, plus the step within the session.
    """
    number = 0
    for side, rows in _sides(data):
        lines = ["\t".join(SESSION_COLUMNS)]
        for session, start in _sessions(data.dataset, np.sort(rows)):
            items = enumerate(map(escape, session))
            lines += [f"{number}\t{item}\t{start + step}" for step, item in items]
            number += 1
        folder.write_text(f"{side}.tsv", "\n".join([*lines, ""]))


def write_recbole(folder: RunFolder, data: SplitData) -> None:
    """Write RecBole's atomic files: ``<folder>.train.inter`` and ``<folder>.test.inter``.

    A line is a pair: its step's name (:func:`step_names`) as the session, the context as a sequence
    of items, the target as the item. ``<folder>.yaml`` holds the settings that read them.
    """
    steps = step_names(data)
    name = folder.path.resolve().name
    for side, rows in _sides(data):
        lines = ["\t".join(INTER_COLUMNS)]
        for row, (context, target) in zip(rows, _named_pairs(data.dataset, rows), strict=True):
            lines.append(f"{steps[row]}\t{' '.join(map(escape, context))}\t{escape(target)}")
        folder.write_text(f"{name}.{side}.inter", "\n".join([*lines, ""]))
    folder.write_text(f"{name}.yaml", RECBOLE_CONFIG)


def write_csv(folder: RunFolder, data: SplitData) -> None:
    """Write ``pairs.csv``: each pair in file order, its side, its composition's owner and times.

    Steps are named by :func:`step_names`. Owners are numbers; times are ISO 8601, UTC; what is
    unknown is empty.
    """
    side = np.full(len(data.dataset.pairs.context), "train", object)
    side[data.test] = "test"
    composition = data.dataset.pairs.composition.tolist()
    about = list(
        zip(
            ["" if owner < 0 else owner for owner in data.dataset.owner.tolist()],
            _moments(data.dataset.start_time),
            _moments(data.dataset.end_time),
            strict=True,
        )
    )
    named = _named_pairs(data.dataset, np.arange(len(side)))
    steps = step_names(data)
    rows = (
        (
            steps[row],
            ARROW.join(context),
            target,
            composition[row],
            side[row],
            *about[composition[row]],
        )
        for row, (name, (context, target)) in enumerate(zip(steps, named, strict=True))
    )
    folder.write_text("pairs.csv", csv_text(PAIR_COLUMNS, rows))


def step_names(data: SplitData) -> list[str]:
    """Return a name for each pair: a hash of the data and of what is tested, and its number.

    So predictions of another tool name the steps that they are about, and no others.
    """
    content = json.dumps([data.dataset.sha256, data.test.tolist()])
    mark = hashlib.sha256(content.encode()).hexdigest()[:8]
    return [f"{mark}-{row}" for row in range(len(data.dataset.pairs.context))]


def _moments(times: NDArray[np.float64]) -> list[str]:
    return ["" if np.isnan(t) else datetime.fromtimestamp(t, UTC).isoformat() for t in times]


def check_folder(path: Path) -> None:
    """Refuse a folder that holds anything else than what was exported before.

    Raises
    ------
    ForeignError
        If it does: a file of the user's may have a name of ours.
    """
    for file in sorted(path.iterdir()) if path.is_dir() else ():
        if not (file.name.startswith(".") or _is_exported(file)):
            raise ForeignError(
                f"{path}: {file.name} in it is no file of dagrec data export; nothing is written "
                "there, name a new folder: output=FOLDER."
            )


def _is_exported(file: Path) -> bool:
    if kind_of(file):
        return False
    with open_plain(file) as opened:
        return opened.readline(HEAD_BYTES).rstrip(b"\n") in HEADS


FORMATS = {"gru4rec": write_gru4rec, "recbole": write_recbole, "csv": write_csv}


def escape(name: str) -> str:
    """Return a name without white space, quotes and %, which become ``%20`` and the like."""
    return _SPECIAL.sub(lambda match: "".join(f"%{b:02X}" for b in match[0].encode()), name)


def _sides(data: SplitData) -> tuple[tuple[str, Rows], tuple[str, Rows]]:
    return ("train", data.train), ("test", data.test)


def _named_pairs(dataset: Dataset, rows: Rows) -> Iterator[tuple[list[str], str]]:
    """Yield the names of each pair's context and target."""
    pairs = dataset.pairs.take(rows)
    entries, position = np.unique(pairs.context, return_inverse=True)
    contexts = [dataset.vocabulary.spell(nodes) for nodes in dataset.contexts.padded(entries)[0]]
    for where, target in zip(position, pairs.target, strict=True):
        yield contexts[where], dataset.vocabulary.services[target]


def _sessions(dataset: Dataset, rows: Rows) -> Iterator[tuple[Sequence[str], int]]:
    """Yield the names of each session's items, and when it starts."""
    session: list[str] = []
    composition = -1
    for row, (context, target) in zip(rows, _named_pairs(dataset, rows), strict=True):
        owner = int(dataset.pairs.composition[row])
        if session and (owner != composition or context[: len(session)] != session):
            yield session, _start_time(dataset, composition)
        session, composition = [*context, target], owner
    if session:
        yield session, _start_time(dataset, composition)


def _start_time(dataset: Dataset, composition: int) -> int:
    time = dataset.start_time[composition]
    return composition if np.isnan(time) else int(time)
