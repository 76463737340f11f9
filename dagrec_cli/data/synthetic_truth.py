"""The known law behind synthetic compositions: which service follows a context, how often.

Nodes are numbered ``[services that can follow | first nodes]``, the popular ones of each kind
first. Every node has a few candidates, all services, and a group. The candidates' order is turned
by the groups of the nodes before the last one, so the order of a context matters.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.errors import DataError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Truth:
    """Exact probabilities of the next service, given that the path goes on.

    With last node ``v`` and ``t`` the turn that the groups of the nodes before ``v`` stand for,
    ``P(candidates[v, (rank + t) mod n] | context) = weights[v, rank]``.

    Parameters
    ----------
    names
        Name of each node.
    candidates
        Distinct services that may follow each node, ``[nodes, candidates]``.
    weights
        Probability of each rank after each node, ``[nodes, candidates]``; rows sum to one.
    groups
        Group of each node, in ``[0, len(turns))``.
    n_groups
        How many groups there are.
    turns
        Turn of each memory state, ``[n_groups ** memory]``; a state spells the groups of the
        last ``memory`` nodes before the last node, in base ``n_groups``.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        candidates: Ints,
        weights: Floats,
        groups: Ints,
        n_groups: int,
        turns: Ints,
    ) -> None:
        self._number = {name: node for node, name in enumerate(names)}
        self._candidates = candidates
        self._weights = weights
        self._thresholds = weights.cumsum(axis=1)[:, :-1]
        self._groups = groups
        self._n_groups = n_groups
        self._turns = turns

    def probabilities(self, contexts: Sequence[tuple[str, ...]], services: Sequence[str]) -> Floats:
        """Return P(next service | context), ``[contexts, services]``.

        Parameters
        ----------
        contexts
            Path prefixes of one or more node names.
        services
            The columns; a row sums to one if they hold all the candidates of its last node.

        Raises
        ------
        DataError
            If a context is empty or holds a name that these data do not have.
        """
        last, state = self._locate(contexts)
        column = np.full(len(self._number), len(services))  # the last column is dropped
        for k, service in enumerate(services):
            if service in self._number:
                column[self._number[service]] = k
        answer = np.zeros((len(contexts), len(services) + 1))
        rows = np.arange(len(contexts))
        for rank in range(self._weights.shape[1]):
            following = self._follow(last, state, np.full_like(last, rank))
            answer[rows, column[following]] = self._weights[last, rank]
        return answer[:, :-1]

    def draw(self, rng: np.random.Generator, last: Ints, state: Ints) -> Ints:
        """Draw the next node after each last node and its memory state."""
        rank = (rng.random(len(last))[:, None] >= self._thresholds[last]).sum(axis=1)
        return self._follow(last, state, rank)

    def remember(self, state: Ints, node: Ints) -> Ints:
        """Return the memory states once each node lies before the last one."""
        states: Ints = (state * self._n_groups + self._groups[node]) % len(self._turns)
        return states

    def _follow(self, last: Ints, state: Ints, rank: Ints) -> Ints:
        turned = (rank + self._turns[state]) % self._candidates.shape[1]
        following: Ints = self._candidates[last, turned]
        return following

    def _locate(self, contexts: Sequence[tuple[str, ...]]) -> tuple[Ints, Ints]:
        """Return the last node and the memory state of each context."""
        for k, context in enumerate(contexts):
            if not context:
                raise DataError(f"contexts[{k}] is empty; a context holds one node or more.")
            if unknown := [name for name in context if name not in self._number]:
                raise DataError(f"contexts[{k}]: node {unknown[0]!r} is not in the synthetic data.")
        nodes = [[self._number[name] for name in context] for context in contexts]
        state = np.zeros(len(nodes), dtype=np.int64)
        for depth in range(max(map(len, nodes), default=1) - 1):
            longer = [k for k, walked in enumerate(nodes) if len(walked) > depth + 1]
            before = np.array([nodes[k][depth] for k in longer])
            state[longer] = self.remember(state[longer], before)
        return np.array([walked[-1] for walked in nodes], dtype=np.int64), state


def zipf(n: int, skew: float) -> Floats:
    """Return Zipf's shares ``(k + 1) ** -skew`` of ``k = 0..n-1``, scaled to sum to one."""
    shares = np.arange(1, n + 1, dtype=np.float64) ** -skew
    scaled: Floats = shares / shares.sum()
    return scaled


def apportion(shares: Floats, total: int, at_least: int = 0) -> Ints:
    """Split a total into whole counts by largest remainder, each ``at_least`` so much.

    Parameters
    ----------
    shares
        Weights of any scale, not all zero.
    total
        What the counts sum to; ``at_least * len(shares)`` or more.
    at_least
        What every count gets before the rest is split by shares.
    """
    exact = shares / shares.sum() * (total - at_least * len(shares))
    counts: Ints = np.floor(exact).astype(np.int64)
    left = total - at_least * len(shares) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    counts += at_least
    return counts


def make_distinct(rows: Ints, n_services: int) -> Ints:
    """Replace what a row holds twice by the next service that it does not hold yet.

    Parameters
    ----------
    rows
        Services of each node, ``[nodes, candidates]``, at most ``n_services`` in a row.
    n_services
        How many services there are; after the last comes the first.
    """
    rows = rows.copy()
    for column in range(1, rows.shape[1]):
        services = rows[:, column]  # a view: what is set here is set in the rows
        while (taken := (services[:, None] == rows[:, :column]).any(axis=1)).any():
            services[taken] = (services[taken] + 1) % n_services
    return rows
