"""SR-GNN: a gated graph network over a context's distinct nodes, read out by attention.

Source: Wu et al., "Session-based Recommendation with Graph Neural Networks", AAAI 2019, eq. 1-8.
Differs from the source: a context's own links take the place of clicks in turn, so that it may
branch and merge; a node that it holds several times counts once in the sum of all states; services
have a bias each; dropout.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Natural, Share
from dagrec_cli.data.vocabulary import PAD, UnknownNames
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import ContextRows, Contexts
from dagrec_cli.models.layers.node_features import NodeEmbedding, TiedHead
from dagrec_cli.models.layers.node_graph import edge_rows


class SRGNN(TorchModel):
    """Encode a context as its last node's state beside a sum of all states that this one weighs.

    A step is one of a GRU, from what comes in and what goes out along the links: of each kind the
    mean over links, ``(a_in, a_out) = (A_in (h W_in + b_in), A_out (h W_out + b_out))``. Then
    ``W_3 (h_last, sum of (q . sigmoid(W_1 h_last + W_2 h_i)) h_i)`` is scored against embeddings.

    Parameters
    ----------
    hidden
        Width of embeddings and states, 1 and up.
    steps
        Steps along the links, 0 and up; 0 leaves the embeddings as they are.
    graph
        Whose links: ``context``: its own, between its nodes; ``services``: those of the graph of
        all services, whatever the context.
    order
        How many generations up a context is read, the last node's included, 1 and up.
    dropout_embed
        Probability, in ``[0, 1)``, of zeroing an embedding coordinate while training.
    dropout_hidden
        The same for the state that is scored.
    names
        See :class:`~dagrec_cli.models.layers.node_features.NodeEmbedding`; the graph of all
        services has no node of an unknown name.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.
    """

    edges: Tensor | None

    def __init__(
        self,
        facts: Facts,
        *,
        hidden: Count,
        steps: Natural,
        graph: Literal["context", "services"],
        order: Count,
        dropout_embed: Share,
        dropout_hidden: Share,
        names: bool,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden, **shared)
        self.steps = steps
        self.order = order
        std = hidden**-0.5
        self.embedding = NodeEmbedding(facts, hidden, self.node_dropout, names=names, std=std)
        self.head = TiedHead(self.embedding, facts.vocabulary.service_nodes)
        self.incoming, self.outgoing = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.cell = nn.GRUCell(2 * hidden, hidden)
        self.asking, self.asked = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.match = nn.Linear(hidden, 1, bias=False)
        self.both = nn.Linear(2 * hidden, hidden)
        self.dropout_embed = nn.Dropout(dropout_embed)
        self.dropout_hidden = nn.Dropout(dropout_hidden)
        edges = edge_rows(facts.graph) if graph == "services" else None
        self.register_buffer("edges", edges, persistent=False)

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return what is read of each context's graph."""
        if self.edges is None:
            contexts = self.embedding.as_named(contexts)
        if contexts.dag is None:  # rows are paths
            graphs = ContextGraphs.of_rows(contexts.rows, self.order)
        else:
            graphs = ContextGraphs.of(contexts, self.order)
        if self.edges is None:
            states = self._along(graphs.node, graphs.links, contexts.unknown)
        else:
            every = torch.arange(1, self.facts.n_nodes + 1, device=graphs.node.device)
            source, target = self.edges
            states = self._along(every, WeightedLinks(source, target, torch.ones_like(source)))
            states = states.index_select(0, (graphs.node - 1).clamp(min=0))
        last = states.index_select(0, graphs.last)
        asked = self.asking(last).index_select(0, graphs.context) + self.asked(states)
        weighed = states * self.match(asked.sigmoid()) * graphs.weight[:, None]
        total = weighed.new_zeros(last.shape).index_add(0, graphs.context, weighed)
        state: Tensor = self.dropout_hidden(self.both(torch.cat([last, total], 1)))
        return state

    def _along(
        self, nodes: Tensor, links: "WeightedLinks", unknown: UnknownNames | None = None
    ) -> Tensor:
        """Return the states of nodes after all steps."""
        states: Tensor = self.dropout_embed(self.embedding(nodes, unknown))
        for _ in range(self.steps):
            came = links.mean(self.incoming(states))
            went = links.reversed().mean(self.outgoing(states))
            states = self.cell(torch.cat([came, went], 1), states)
        return states


class WeightedLinks(NamedTuple):
    """Links between nodes by number: ends, and 1 each, or 0 of what stands for none."""

    source: Int[Tensor, " links"]
    target: Int[Tensor, " links"]
    weight: Int[Tensor, " links"]

    def reversed(self) -> "WeightedLinks":
        """Return the links against their direction."""
        return WeightedLinks(self.target, self.source, self.weight)

    def mean(self, states: Float[Tensor, "nodes width"]) -> Float[Tensor, "nodes width"]:
        """Return the mean of what links send to each node; 0 where none leads to it."""
        sent = states.index_select(0, self.source) * self.weight[:, None]
        heard = sent.new_zeros(states.shape).index_add(0, self.target, sent)
        n_links = self.weight.new_zeros(len(states)).index_add(0, self.target, self.weight)
        return heard / n_links.clamp(min=1)[:, None]


class ContextGraphs(NamedTuple):
    """The graphs of some contexts, side by side: a node for each that a context holds.

    Attributes
    ----------
    node, context
        Index of each node, and which context it is of.
    weight
        1, or 0 of what stands for no node.
    links
        Links between nodes, by their positions here.
    last
        Position of each context's last node.
    """

    node: Int[Tensor, " nodes"]
    context: Int[Tensor, " nodes"]
    weight: Int[Tensor, " nodes"]
    links: WeightedLinks
    last: Int[Tensor, " contexts"]

    @classmethod
    def of(cls, contexts: Contexts, order: int) -> "ContextGraphs":
        """Return the graphs of what leads to contexts by fewer than ``order`` links."""
        dag, entries = contexts.known
        context, ancestor, _ = dag.within(entries, order)
        n_nodes = int(dag.node.max(initial=0)) + 1
        names, name = np.unique(context * n_nodes + dag.node[ancestor], return_inverse=True)
        # What is read of a context and what leads to that, which may not be read.
        child, parent = dag.parents_of(ancestor)
        read, above = context * len(dag) + ancestor, context[child] * len(dag) + parent
        at = np.searchsorted(read, above).clip(max=len(read) - 1)
        is_read = read[at] == above
        links = np.unique(name[at[is_read]] * len(names) + name[child[is_read]])
        last = np.searchsorted(names, np.arange(len(entries)) * n_nodes + dag.node[entries])
        found = (names % n_nodes, names // n_nodes, *np.divmod(links, len(names)), last)
        node, of, source, target, position = (
            torch.from_numpy(each).to(contexts.device) for each in found
        )
        ends = WeightedLinks(source, target, torch.ones_like(source))
        return cls(node, of, torch.ones_like(node), ends, position)

    @classmethod
    def of_rows(cls, rows: ContextRows, order: int) -> "ContextGraphs":
        """Return the graphs of paths: a node for each cell, of which one of its like counts."""
        length = rows.length[:, None]
        n, width = rows.nodes.shape
        step = torch.arange(width, device=length.device)
        is_read = (step < length) & (step >= length - order)
        nodes = rows.nodes.masked_fill(~is_read, PAD)
        first = _first_places(nodes)
        row = torch.arange(n, device=length.device)[:, None].expand(n, width)
        position = row * width + first
        source, target = position[:, :-1], position[:, 1:]
        links = first[:, :-1] * width + first[:, 1:]
        is_link = is_read[:, :-1] & is_read[:, 1:] & (_first_places(links) == step[:-1])
        return cls(
            nodes.flatten(),
            row.flatten(),
            (is_read & (first == step)).long().flatten(),
            WeightedLinks(source.flatten(), target.flatten(), is_link.long().flatten()),
            position.gather(1, length - 1)[:, 0],
        )


def _first_places(rows: Int[Tensor, "rows width"]) -> Int[Tensor, "rows width"]:
    """Return where each row first has what each of its cells has."""
    return (rows[:, :, None] == rows[:, None]).long().argmax(2)
