"""CSV files: the same bytes for the same rows; and ``metrics.csv`` and ``contexts.csv`` in full.

``contexts.csv`` spells each context that a test pair has, and all that leads to one, once: its last
node, and the numbers of what leads there. So it grows with the data, where contexts that are
written out grow with their depth too.

A cell that a spreadsheet would take for a formula (it starts with ``= + - @``, a tab or a return,
and is no number) gets an apostrophe in front: names come from data, and data from strangers.
"""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.runs.folder import CONTEXTS, METRICS_FILE, RESULT, VOCABULARY, RunFolder

RETURN = "\r\n"
ARROW = " -> "
DIGITS = 5e-6  # of a rank: a file has six
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
EPOCH = ("epoch", "loss", "seconds")  # what every row of metrics.csv has beside its seed
CONTEXT_COLUMNS = {"context": "int64", "node": "str", "parents": "str"}  # read by pandas as these


class MisfitError(ValueError):
    """A file cannot be what the run left.

    Parameters
    ----------
    reason
        What is wrong with it.
    other
        The file that it does not fit; empty if its own lines do not fit each other.
    """

    def __init__(self, reason: str, other: str = "") -> None:
        super().__init__(f"does not fit {other}: {reason}" if other else f"is damaged: {reason}")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header and rows as CSV; floats with the fewest digits that read back the same."""
    return _csv_lines(chain([columns], rows))


def as_written(cell: str) -> str:
    """Return a text without the apostrophe that it got here."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


class MetricsFile:
    """``metrics.csv``: a line per seed and epoch, there to be watched once the epoch is over.

    It begins anew whenever a run does or continues, so what a killed process left of a line is
    gone; the epochs behind a checkpoint come back with it.

    Parameters
    ----------
    validated
        Metrics that are computed on validation pairs; each has a column.
    has_refit
        Whether there is a column ``refit``, 1 for the epochs of the last fit on all training pairs.
    """

    def __init__(
        self, folder: RunFolder, validated: Iterable[str] = (), *, has_refit: bool = False
    ) -> None:
        self._path = folder.path / METRICS_FILE
        self._columns = [*EPOCH, *(f"validation_{name}" for name in validated)]
        self._columns += ["refit"] * has_refit
        self._n_written: dict[int, int] = {}
        folder.write_text(METRICS_FILE, csv_text(["seed", *self._columns], []))

    def add(self, seed: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Append the epochs of a seed that the file has not."""
        new = rows[self._n_written.get(seed, 0) :]
        lines = _csv_lines([seed, *map(row.get, self._columns)] for row in new)
        with open_plain(self._path, "ab") as file:
            file.write(lines.encode())
        self._n_written[seed] = len(rows)


def read_metrics(lines: Iterable[str]) -> dict[int, list[dict[str, float]]]:
    """Return the rows of ``metrics.csv`` by seed.

    Raises
    ------
    ValueError
        If a value is no finite number, one of :data:`EPOCH` is missing, or an epoch is.
    csv.Error
        If it is no CSV.
    """
    by_seed: dict[int, list[dict[str, float]]] = {}
    for row in csv.DictReader(lines):
        seed = int(row.pop("seed"))
        numbers = {name: float(cell) for name, cell in row.items() if cell}
        if not numbers.keys() >= {*EPOCH} or not all(map(isfinite, numbers.values())):
            raise ValueError(f"row {row} lacks one of {', '.join(EPOCH)}")
        rows = by_seed.setdefault(seed, [])
        rows.append(numbers)
        if numbers["epoch"] != len(rows):
            raise ValueError(f"epoch {numbers['epoch']:g} of seed {seed} is its {len(rows)}.")
    return by_seed


class SavedContext(NamedTuple):
    """A line of ``contexts.csv``.

    Attributes
    ----------
    node
        Name of the last node.
    parents
        Numbers of what leads there, an equal input as often as it is linked.
    depth
        Nodes on the longest path to the last node, it included, 1 and up.
    """

    node: str
    parents: list[int]
    depth: int


def write_contexts(folder: RunFolder, dataset: Dataset, contexts: NDArray[np.int32]) -> None:
    """Write a line for each context and all that leads to it, what leads there first."""
    #   child    0  0  2  3  3   place in every of each link's target      sorted
    #   parent   7  9  7  4  5   number of its source
    #   parents  [7 9]  [7]  [4 5]  cut where the child changes; those without parents have none
    every = dataset.contexts.ancestors(contexts)
    child, parent = dataset.contexts.parents_of(every)
    parents = np.split(parent, np.flatnonzero(np.diff(child, append=-1)) + 1)
    links = dict(zip(np.unique(child).tolist(), parents, strict=False))
    nodes = dataset.vocabulary.spell(dataset.contexts.node[every])

    def lines() -> Iterator[tuple[object, ...]]:
        for k, (entry, node) in enumerate(zip(every.tolist(), nodes, strict=True)):
            yield entry, node, " ".join(map(str, links.get(k, ())))

    folder.write_text(CONTEXTS, csv_text([*CONTEXT_COLUMNS], lines()))


def read_contexts(lines: io.StringIO, nodes: Collection[str]) -> dict[int, SavedContext]:
    """Return the contexts of ``contexts.csv`` by number, in its order.

    Parameters
    ----------
    nodes
        Names of all nodes.

    Raises
    ------
    MisfitError
        If a node is unknown, a context stands twice, or before what leads to it. So there are no
        cycles either.
    ValueError
        If it is no such table.
    """
    import pandas as pd

    table = pd.read_csv(lines, dtype=CONTEXT_COLUMNS, na_filter=False)
    if [*table.columns] != [*CONTEXT_COLUMNS]:
        raise MisfitError(f"its columns are {', '.join(table.columns)}")
    found: dict[int, SavedContext] = {}
    for number, cell, numbers in table.itertuples(index=False):
        node, parents = as_written(cell), [int(part) for part in numbers.split()]
        if node not in nodes:
            raise MisfitError(f"context {number} ends in {node!r}", VOCABULARY)
        if number in found or number < 0:
            raise MisfitError(f"context {number} stands twice or is below 0")
        if late := [parent for parent in parents if parent not in found]:
            raise MisfitError(f"{late[0]} leads to context {number}, but does not stand before it")
        depth = 1 + max((found[parent].depth for parent in parents), default=0)
        found[number] = SavedContext(node, parents, depth)
    if len({(node, *sorted(parents)) for node, parents, _ in found.values()}) < len(found):
        raise MisfitError("two contexts are equal")
    return found


class _Lines(io.StringIO):
    """Ends lines with a line feed alone; the writer, not knowing it, quotes returns in names."""

    def write(self, line: str) -> int:
        return super().write(f"{line.removesuffix(RETURN)}\n")


def _csv_lines(rows: Iterable[Sequence[object]]) -> str:
    text = _Lines()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def check_ranks(rank: Float[np.ndarray, " rows"], ties: Int[np.ndarray, " rows"]) -> None:
    """Raise MisfitError unless each mean rank can be one where as many services tie."""
    is_rank = (rank >= 1) & (ties >= 0)
    # The mean of the ranks b+1 … b+t+1 is b + 1 + t/2, so b, computed back, is a whole number.
    better = np.where(is_rank & np.isfinite(rank), rank - 1 - ties / 2, 0)
    is_rank &= np.abs(better - np.rint(better)) <= DIGITS * np.abs(better)
    is_rank &= np.rint(better) >= 0
    if not is_rank.all():
        row = int(np.flatnonzero(~is_rank)[0])
        raise MisfitError(f"line {row + 2} has rank {rank[row]:g} with {ties[row]} ties", RESULT)
