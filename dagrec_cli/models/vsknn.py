"""V-SKNN: the training contexts that are most like a context vote for what follows it.

Source: Ludewig & Jannach, "Evaluation of Session-based Recommendation Algorithms", User Modeling
and User-Adapted Interaction 2018 (V-SKNN), after Jannach & Ludewig, "When Recurrent Neural Networks
meet the Neighborhood for Session-based Recommendation", RecSys 2017.
Differs from the source: a neighbour is a context and votes for what followed it, not a session that
votes for all of its items; so its nodes are weighed as those of the context are, and similarity is
their cosine. Equal contexts are one neighbour, which votes as often as something followed. Of
neighbours that are equally similar none is left out, and popularity votes too.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from dagrec_cli.config.kinds import Count, Positive
from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.ragged import block_starts, gather_places
from dagrec_cli.models.base import CountingModel, Evidence, Facts, Neighbour, PlainMask
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.truncated_counts import CountTables, is_sparse

CELLS_AT_ONCE = 2**22  # of similarities, 16 MiB
MOST_NAMED = 5  # neighbours, where it is asked why
ALIKE = 1e-6  # similarities that differ by rounding alone

Weighting = Literal["same", "linear", "div", "quadratic", "log"]
Float64 = NDArray[np.float64]
WEIGHTS: dict[str, Callable[[Float64, int], Float64]] = {
    "same": lambda place, order: np.ones_like(place),
    "linear": lambda place, order: 1 - (place - 1) / order,
    "div": lambda place, order: 1 / place,
    "quadratic": lambda place, order: 1 / place**2,
    "log": lambda place, order: 1 / np.log10(place + 1.7),
}


class VSKNN(CountingModel):
    """Score a service by the log share of the votes of the nearest training contexts.

    A context is the set of its nodes, the last of which weigh more. Each of the ``k`` training
    contexts with the highest cosine gives what followed it that many votes, for each occurrence;
    ``smoothing`` votes go by popularity. A context that shares no node with any has these alone.

    A node that no training context has draws no neighbour; the others of its context do. Counts
    learn what follows UNKNOWN nodes from copies of contexts in which what one unit alone has is
    UNKNOWN; here a copy would vote a second time for all contexts that share its other nodes.

    Parameters
    ----------
    k
        Neighbours that vote, 1 and up.
    sample_size
        A neighbour is one of so many, 1 and up, of those that share a node: those that are met last
        in the order of the data. None for all of them.
    weighting
        Weight of a node ``n - 1`` links above the last one, ``n`` at most ``order``: 1 (``same``),
        ``1 - (n - 1) / order`` (``linear``), ``1 / n`` (``div``), ``1 / n^2`` (``quadratic``), or
        ``1 / log10(n + 1.7)`` (``log``).
    order
        Generations that count, the last node's included, 1 and up.
    smoothing
        Votes by popularity, above 0.
    mask
        See :class:`~dagrec_cli.models.base.Model`.
    """

    is_probabilistic = True

    def __init__(
        self,
        facts: Facts,
        *,
        k: Count,
        sample_size: Count | None,
        weighting: Weighting,
        order: Count,
        smoothing: Positive,
        mask: PlainMask,
    ) -> None:
        super().__init__(facts, mask=mask)
        self.k = k
        self.sample_size = sample_size
        self.weighting = weighting
        self.order = order
        self.smoothing = smoothing
        self.table = Neighbours(facts.n_nodes + 1, facts.n_services)

    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Keep the training contexts, and what followed each how often."""
        self.table.fill(pairs, *self._weighed(*contexts.known))

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the log share of every service's votes."""
        dag, entries = contexts.known
        votes = torch.zeros(len(entries), self.facts.n_services)
        for start in range(0, len(entries), self.table.rows_at_once):
            part = slice(start, start + self.table.rows_at_once)
            votes[part] = self.table.votes(self._voters(dag, entries[part]))
        popular = self.table.popularity()
        popular = popular + self.smoothing / len(popular)  # by the uniform distribution
        share = (votes + self.smoothing * popular / popular.sum()).double()
        return (share / share.sum(1, keepdim=True)).log().float()

    def _weighed(
        self, dag: ContextDag, entries: NDArray[np.int32]
    ) -> tuple[Int[Tensor, " cells"], Float[Tensor, " cells"]]:
        """Return the cells ``context * nodes + node`` of contexts, and weights of length 1."""
        which, ancestor, links = dag.within(entries, self.order)
        near_first = np.argsort(links, kind="stable")  # a node counts where it is nearest
        cell = which * self.table.n_nodes + dag.node[ancestor]
        cells, first = np.unique(cell[near_first], return_index=True)
        place = (1 + links[near_first][first]).astype(np.float64)
        weight = WEIGHTS[self.weighting](place, self.order)
        which = cells // self.table.n_nodes
        length = np.sqrt(np.bincount(which, weight**2, minlength=len(entries)))
        return torch.from_numpy(cells), torch.from_numpy(weight / length[which]).float()

    def evidence(self, context: Contexts) -> Evidence:
        """Return the neighbours that vote, the most similar first."""
        similarity, rows = self._voters(*context.known)[0].sort(descending=True, stable=True)
        n_voters = min(int(similarity.count_nonzero()), MOST_NAMED)
        neighbours = [
            Neighbour(self.table.nodes_of(row), float(similarity[k]), self.table.followed(row))
            for k, row in enumerate(rows[:n_voters])
        ]
        return super().evidence(context)._replace(neighbours=neighbours)

    def _voters(
        self, dag: ContextDag, entries: NDArray[np.int32]
    ) -> Float[Tensor, "contexts neighbours"]:
        """Return the similarity of each neighbour that votes, and 0 of the others."""
        similar = self.table.similar(len(entries), *self._weighed(dag, entries))
        if self.sample_size is not None:
            is_met = similar > 0
            similar = similar * (is_met.flip(1).cumsum(1).flip(1) <= self.sample_size)
        highest = similar.topk(min(self.k, similar.shape[1])).values
        return similar * (similar > highest[:, -1:] - ALIKE)


class Neighbours(CountTables):
    """The contexts that vote: two sparse tables, of the weights of nodes and of what followed.

    Rows of both are neighbours, each with a node at least and something that followed; cells are
    ``row * columns + column``, sorted.
    """

    nodes: Tensor
    weights: Tensor
    cells: Tensor
    counts: Tensor

    def __init__(self, n_nodes: int, n_services: int) -> None:
        super().__init__(
            nodes=torch.long, weights=torch.float, cells=torch.long, counts=torch.float
        )
        self.n_nodes = n_nodes
        self.n_services = n_services

    def __len__(self) -> int:
        return int(self.nodes[-1]) // self.n_nodes + 1 if len(self.nodes) else 0

    @property
    def rows_at_once(self) -> int:
        """How many contexts to compare with all neighbours at once."""
        return max(1, CELLS_AT_ONCE // max(len(self), self.n_nodes))

    def fill(self, pairs: WeightedPairs, nodes: Tensor, weights: Tensor) -> None:
        """Take neighbours and count pairs; ``pairs.context`` are neighbours."""
        self.nodes, self.weights = nodes, weights
        cell = pairs.context.astype(np.int64) * self.n_services + pairs.target
        cells, place = np.unique(cell, return_inverse=True)
        self.cells = torch.from_numpy(cells)
        self.counts = torch.from_numpy(np.bincount(place, pairs.worth)).float()

    def popularity(self) -> Float[Tensor, " services"]:
        """Return how often each service followed anything."""
        services = self.cells % self.n_services
        return self.counts.new_zeros(self.n_services).index_add(0, services, self.counts)

    def similar(
        self, n: int, nodes: Int[Tensor, " cells"], weights: Float[Tensor, " cells"]
    ) -> Float[Tensor, "contexts neighbours"]:
        """Return the cosine of ``n`` contexts, given as cells are here, and each neighbour."""
        table = weights.new_zeros(self.n_nodes, n)
        table[nodes % self.n_nodes, nodes // self.n_nodes] = weights
        size = torch.bincount(self.nodes // self.n_nodes)
        return embedding_bag(
            self.nodes % self.n_nodes,
            table,
            block_starts(size),
            per_sample_weights=self.weights,
            mode="sum",
        ).T.contiguous()

    def nodes_of(self, row: Tensor) -> list[int]:
        """Return the nodes of a neighbour."""
        nodes: list[int] = (self.nodes[self.nodes // self.n_nodes == row] % self.n_nodes).tolist()
        return nodes

    def followed(self, row: Tensor) -> Float[Tensor, " services"]:
        """Return how often each service followed a neighbour."""
        alone = self.weights.new_zeros(1, len(self))
        alone[0, row] = 1
        return self.votes(alone)[0]

    def votes(
        self, weight: Float[Tensor, "contexts neighbours"]
    ) -> Float[Tensor, "contexts services"]:
        """Return the sum of what followed the neighbours, weighted."""
        context, neighbour = weight.nonzero(as_tuple=True)
        start, end = (
            torch.searchsorted(self.cells, row * self.n_services)
            for row in (neighbour, neighbour + 1)
        )
        vote, cell = gather_places(start, end - start)
        place = context[vote] * self.n_services + self.cells[cell] % self.n_services
        given = weight[context, neighbour][vote] * self.counts[cell]
        votes = given.new_zeros(len(weight) * self.n_services).index_add(0, place, given)
        return votes.view(len(weight), self.n_services)

    def is_sound(self) -> bool:
        """Return whether both are sparse tables of the same rows, none of them empty."""
        rows = torch.unique(self.nodes // self.n_nodes)
        return (
            is_sparse(self.nodes, self.weights)
            and is_sparse(self.cells, self.counts)
            and torch.equal(rows, torch.unique(self.cells // self.n_services))
            and torch.equal(rows, torch.arange(max(1, len(rows))))
        )
