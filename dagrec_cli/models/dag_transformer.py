"""DAG Transformer: each node of a context attends to what leads to it.

Source: Luo et al., "Transformers over Directed Acyclic Graphs", NeurIPS 2023, §3 (attention by
reachability, positions by depth).
With ``distances`` the graph transformer of a later work: a bias by distance in the graph of all
services (github.com/TylerCreator/sequential-recommendation-for-scientific-workflows, May 2026),
after Ying et al., "Do Transformers Really Perform Badly for Graph Representation?", NeurIPS 2021,
eq. 6.
Differs from the source: a node attends to what leads to it, not to what it leads to, so that a
state is one for all contexts that share the node; what sublayers read is normalised, not what they
return; the last node is read out, which sees all others; the later work's nodes see all others,
too, and have positions in place of depths.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Natural, Share
from dagrec_cli.data.vocabulary import UnknownNames
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import ContextRows, Contexts
from dagrec_cli.models.layers.edge_attention import AttentionBlock
from dagrec_cli.models.layers.node_features import NodeEmbedding
from dagrec_cli.models.layers.node_graph import Distances, EdgeList


class DAGTransformer(TorchModel):
    """Encode a context as the state of its last node, after blocks of attention to ancestors.

    Embedding plus sines and cosines of the depth, the number of nodes on the longest path to a
    node. Each distinct ancestor is encoded once, whatever the number of contexts that have it; the
    last block, contexts alone.

    Parameters
    ----------
    hidden
        Width of embeddings and states, a multiple of ``heads``.
    num_layers
        Blocks, 1 and up.
    heads
        Attention heads, 1 and up.
    order
        How many generations up a node attends, its own included, 1 and up: the source's reach and
        one. Memory grows with the pairs of nodes that it lets through.
    distances
        How many edges on the shortest path from node to node, in the graph of all services, an
        additive bias of each head tells apart, more being one; 0 for no bias. Memory grows with the
        pairs of nodes so near.
    dropout_embed
        Probability, in ``[0, 1)``, of zeroing an embedding coordinate while training.
    dropout_hidden
        The same for attentions and what they and the layers add to a state.
    names
        See :class:`~dagrec_cli.models.layers.node_features.NodeEmbedding`.
    shared
        The other settings of :class:`~dagrec_cli.models.base.TorchModel`.

    Raises
    ------
    ConfigError
        If ``heads`` does not divide ``hidden``.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        hidden: Count,
        num_layers: Count,
        heads: Count,
        order: Count,
        distances: Natural,
        dropout_embed: Share,
        dropout_hidden: Share,
        names: bool,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden, **shared)
        self.order = order
        self.embedding = NodeEmbedding(facts, hidden, self.node_dropout, names=names)
        self.dropout = nn.Dropout(dropout_embed)
        self.blocks = nn.ModuleList(
            AttentionBlock(hidden, heads, dropout_hidden) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.distances = Distances(facts.graph, distances) if distances else None
        # From a node to itself, at each distance, and farther; of each block.
        self.near = nn.ModuleList(
            nn.Embedding(distances + 2, heads) for _ in range(num_layers if distances else 0)
        )
        for table in cast(Sequence[nn.Embedding], self.near):
            nn.init.zeros_(table.weight)

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        if contexts.dag is None:  # rows are paths
            return self._along_rows(contexts.rows)
        contexts = self.embedding.as_named(contexts)
        reach = Reach.of(contexts, self.order)
        states = self._start(reach.node, reach.depth, contexts.unknown)
        *blocks, last = cast(Sequence[AttentionBlock], self.blocks)
        node = self.embedding.as_read(reach.node, contexts.unknown)
        far = self._far(node, node, reach.every)
        for number, block in enumerate(blocks):
            known = block.norm(states)
            heard = block.attention(known, known, reach.every, self._bias(number, far))
            states = block(states, heard)
        known = last.norm(states)
        asking = known.index_select(0, reach.entry)
        far = self._far(node, node[reach.entry], reach.contexts)
        heard = last.attention(asking, known, reach.contexts, self._bias(-1, far))
        states = last(states.index_select(0, reach.entry), heard)
        state: Tensor = self.norm(states).index_select(0, reach.context)
        return state

    def _along_rows(self, rows: ContextRows) -> Tensor:
        step = torch.arange(rows.nodes.shape[1], device=rows.nodes.device)
        states = self._start(rows.nodes, 1 + step)
        up = step[:, None] - step
        edges = ((up >= 0) & (up < self.order)).expand(states.shape[0], -1, -1)
        far = None
        if self.distances is not None:
            far = self.distances(rows.nodes[:, None], rows.nodes[:, :, None])
        for number, block in enumerate(cast(Sequence[AttentionBlock], self.blocks)):
            known = block.norm(states)
            heard = block.attention.over_rows(known, known, edges, self._bias(number, far))
            states = block(states, heard)
        state: Tensor = self.norm(rows.at_last(states))
        return state

    def _far(self, senders: Tensor, receivers: Tensor, edges: EdgeList) -> Tensor | None:
        """Return how far each edge's ends are apart in the graph of all services, given nodes."""
        if self.distances is None:
            return None
        far: Tensor = self.distances(senders[edges.source], receivers[edges.target])
        return far

    def _bias(self, block: int, far: Tensor | None) -> Tensor | None:
        """Return what each head of a block adds to a match."""
        return None if far is None else self.near[block](far)

    def _start(self, node: Tensor, depth: Tensor, unknown: UnknownNames | None = None) -> Tensor:
        width = self.embedding.embedding_dim
        states: Tensor = self.dropout(self.embedding(node, unknown) + waves(depth, width))
        return states


class Reach(NamedTuple):
    """Who attends to whom, of some contexts and all that leads to them, each once.

    Attributes
    ----------
    node, depth
        Last node of each entry, and its depth, 1 and up.
    every
        From what leads to an entry to the entry; from the entry itself, too.
    contexts
        The same to those that are contexts, counted by themselves.
    entry
        Which entry each of these is.
    context
        Which of these each context is.
    """

    node: Int[Tensor, " entries"]
    depth: Int[Tensor, " entries"]
    every: EdgeList
    contexts: EdgeList
    entry: Int[Tensor, " distinct"]
    context: Int[Tensor, " contexts"]

    @classmethod
    def of(cls, contexts: Contexts, order: int) -> "Reach":
        """Return who attends to whom, up to some generations."""
        dag, entries = contexts.known
        every = dag.ancestors(entries)
        place = np.empty(len(dag), np.int64)
        place[every] = np.arange(len(every))
        distinct, context = np.unique(entries, return_inverse=True)

        def edges(receivers: np.ndarray[tuple[int], np.dtype[np.int32]]) -> EdgeList:
            target, source, _ = dag.within(receivers, order)
            pairs = torch.from_numpy(place[source]), torch.from_numpy(target)
            return EdgeList(*pairs).to(contexts.device)

        found = (dag.node[every], dag.depth[every], place[distinct], context)
        node, depth, entry, context_of = (
            torch.from_numpy(each.astype(np.int64)).to(contexts.device) for each in found
        )
        return cls(node, depth, edges(every), edges(distinct), entry, context_of)


def waves(depth: Int[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape width"]:
    """Return sines and cosines of depths, with wavelengths from 2 pi up to 10,000 times as long."""
    up = torch.arange(0, width, 2, device=depth.device) / width
    angle = depth[..., None] * 10_000.0**-up
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[..., :width]
