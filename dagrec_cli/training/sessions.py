"""What training rows make of compositions read side by side: sessions, and an epoch's steps.

::

    sessions   a b c    d e    f g h                 two slots
    step       1        2        3
    slot 1     a → b    b → c    –         a finished session makes room for the next one, whose
    slot 2     d → e    f → g    g → h     state is 0; where there is none, the slot closes

A session is the nodes of a row's context in topological order and the row's target; a later row
continues it whose context is that context with that target after it. Of a chain it is the whole
chain. Of what branches, one session takes the way on that stands first in the file, and each other
way is a session of its own, which reads what comes before once more. So a training row is trained
once an epoch, but for the end of the last session alone, which has nothing to be compared with.
What follows and is no training row, such as a table or a step held out, is read and not trained.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.training.batch import TrainingPairs

NONE = -1  # no target that is trained; no slot before
NOTHING_DRAWN = torch.empty(0, dtype=torch.long)


class Sessions(NamedTuple):
    """What is read and what follows it, those of one session after those of the other.

    Attributes
    ----------
    node
        Index of each node that is read, ``[reads]``.
    target
        Class of the service that follows; -1 where that is not trained, ``[reads]``.
    size
        Reads of each session, 1 and up, ``[sessions]``.
    times
        How often each node is read or ends a session, by its index, ``[1 + nodes]``.
    """

    node: NDArray[np.int64]
    target: NDArray[np.int64]
    size: NDArray[np.int64]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: TrainingPairs, names: Vocabulary) -> "Sessions":
        """Return the sessions of pairs, one row per pair in the order of the file."""
        service, (dag, entries) = pairs.target.cpu().numpy(), pairs.contexts.known
        rows_of = _joined(dag, entries, service, names.service_class)
        read, length = dag.padded(entries[[rows[0] for rows in rows_of]])
        size = length + np.array([len(rows) - 1 for rows in rows_of])
        node = np.zeros(size.sum(), np.int64)
        target = np.full(len(node), NONE)
        for rows, before, n, end in zip(rows_of, read, length, size.cumsum(), strict=True):
            start = end - len(rows) + 1 - n
            node[start : start + n] = before[:n]
            node[start + n : end] = dag.node[entries[rows[1:]]]
            target[end - len(rows) : end] = service[rows]
        every = np.append(node, names.service_nodes[target[size.cumsum() - 1]])
        return cls(node, target, size, np.bincount(every, minlength=len(names.nodes) + 1))

    def draws(
        self, shape: tuple[int, int], alpha: float, rng: np.random.Generator
    ) -> Iterator[Int[Tensor, " drawn"]]:
        """Yield, for ever, nodes drawn by their count to the power of alpha.

        Parameters
        ----------
        shape
            How many steps to draw for at once, and the nodes of each.
        """
        until = np.cumsum(self.times.astype(float) ** alpha * (self.times > 0))
        while True:
            point = rng.random(shape) * until[-1]
            yield from torch.from_numpy(np.searchsorted(until, point, side="right"))

    def steps(self, n_slots: int, least: int) -> Iterator["Slots"]:
        """Yield an epoch's steps.

        Parameters
        ----------
        n_slots
            Sessions side by side, 1 and up.
        least
            With fewer of them alive the epoch is over, 1 and up.
        """
        end = self.size.cumsum()
        start = end - self.size
        session = np.arange(min(n_slots, len(start)))
        n_begun, place, before = len(session), start[session], np.full(len(session), NONE)
        while len(session) >= least:
            read, follows = map(torch.from_numpy, (self.node[place], self.target[place]))
            yield Slots(read, follows, torch.from_numpy(before), NOTHING_DRAWN)
            place = place + 1
            is_over = place == end[session]
            n_over = int(is_over.sum())
            session[is_over] = n_begun + np.arange(n_over)
            n_begun += n_over
            before = np.where(is_over, NONE, np.arange(len(session)))
            is_alive = session < len(start)
            session, before, place = session[is_alive], before[is_alive], place[is_alive]
            place = np.where(before == NONE, start[session], place)


class Slots(NamedTuple):
    """One step of the sessions that are side by side, and the nodes drawn for it.

    Attributes
    ----------
    node
        What is read, as an index.
    target
        Class of what follows; -1 where that is not trained.
    before
        Which slot of the step before is carried on; -1 where a session begins.
    drawn
        Nodes that are negatives of all slots.
    """

    node: Int[Tensor, " slots"]
    target: Int[Tensor, " slots"]
    before: Int[Tensor, " slots"]
    drawn: Int[Tensor, " drawn"]


def _joined(
    dag: ContextDag,
    entries: NDArray[np.int32],
    target: NDArray[np.int64],
    service_class: NDArray[np.int32],
) -> list[list[int]]:
    """Return the rows of each session; a row continues the last one before it that it can."""
    is_single = dag.n_parents[entries] == 1
    above = dag.parents[np.where(is_single, dag.start[entries], 0)] if len(dag.parents) else entries
    parent = np.where(is_single, above, NONE).tolist()
    sessions: list[list[int]] = []
    # Sessions by the context and the target that they end with.
    ending: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
    last = service_class[dag.node[entries]].tolist()
    for row, (entry, follows) in enumerate(zip(entries.tolist(), target.tolist(), strict=True)):
        open_ones = ending.get((parent[row], last[row]))
        if open_ones:
            session = open_ones.pop()
        else:
            sessions.append(session := [])
        session.append(row)
        ending[entry, follows].append(session)
    return sessions
