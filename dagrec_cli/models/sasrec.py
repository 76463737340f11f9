"""SASRec: self-attention over the last nodes of a context.

Source: Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, §III.
Differs from the source: contexts are nodes in topological order, a path as it is walked; only the
last position is read, also in training, by whichever loss is chosen; queries, keys and values are
all normalised (the paper's text; its code leaves keys and values as they are).
With ``block=ligr`` eSASRec: Tikhonovich et al., "eSASRec: Enhancing Transformer-based
Recommendations in a Modular Fashion", RecSys 2025 (github.com/blondered/transformer_benchmark).
Differs from the source: as above; embeddings are scaled and the last states normalised, as SASRec's
are; its loss, over 256 uniform negatives, is ``loss=ce_sampled loss.log_q=false sampler=uniform
sampler.n_sample=256``.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Count, Share
from dagrec_cli.data.vocabulary import PAD, UnknownNames
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.edge_attention import AttentionBlock, LiGRBlock
from dagrec_cli.models.layers.node_features import NodeEmbedding, TiedHead

LAST = slice(-1, None)
ROWS_OF_A_PART, MOST_PARTS = 64, 16  # rows of about one length, so that few cells are padding
BLOCKS = {"plain": AttentionBlock, "ligr": LiGRBlock}


class SASRec(TorchModel):
    """Encode a context as the state of its last node, which attends to the nodes before it.

    Embedding plus that of the position, counted from the last node back; blocks of attention to
    this and earlier positions and of a layer for each by itself; norm. What the last block would
    give for other positions is not computed, since nothing reads it.

    Parameters
    ----------
    hidden
        Width of embeddings and states, a multiple of ``heads``.
    num_layers
        Blocks, 1 and up.
    block
        ``plain``, or ``ligr``: gates weigh what attention and a wider layer add to a state.
    heads
        Attention heads, 1 and up.
    max_len
        How many of a context's last nodes are read, 1 and up.
    dropout_embed
        Probability, in ``[0, 1)``, of zeroing an embedding coordinate while training.
    dropout_hidden
        The same for attentions and what they and the layers add to a state.
    tie_weights
        True to score services by their input embeddings, as the paper has it.
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
        block: Literal["plain", "ligr"],
        heads: Count,
        max_len: Count,
        dropout_embed: Share,
        dropout_hidden: Share,
        tie_weights: bool,
        names: bool,
        **shared: Any,
    ) -> None:
        super().__init__(facts, hidden=hidden, **shared)
        self.max_len = max_len
        std = hidden**-0.5
        self.embedding = NodeEmbedding(facts, hidden, self.node_dropout, names=names, std=std)
        self.position = nn.Parameter(torch.empty(max_len, hidden))
        nn.init.normal_(self.position, std=std)  # so that tied scores are about 1
        if tie_weights:
            self.head = TiedHead(self.embedding, facts.vocabulary.service_nodes)
        self.dropout = nn.Dropout(dropout_embed)
        self.blocks = nn.ModuleList(
            BLOCKS[block](hidden, heads, dropout_hidden) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden)

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state of each context's last node."""
        contexts = self.embedding.as_named(contexts)
        nodes = contexts.last_nodes(self.max_len)
        if contexts.dag is None:  # an exported model cannot choose by length
            return self.read(nodes)[:, -1]
        length = (nodes != PAD).sum(1)
        order = length.argsort(stable=True)
        size = max(ROWS_OF_A_PART, -(-len(order) // MOST_PARTS))
        # The last of a part is its longest; what stands before that one's nodes is padding.
        parts = [nodes[part, -int(length[part[-1]]) :] for part in torch.split(order, size)]
        states = torch.cat([self.read(part, unknown=contexts.unknown)[:, -1] for part in parts])
        return torch.empty_like(states).index_copy(0, order, states)

    def read(
        self,
        nodes: Int[Tensor, "contexts width"],
        asked: slice = LAST,
        unknown: UnknownNames | None = None,
    ) -> Float[Tensor, "contexts asked hidden"]:
        """Return the states of some places of each left-padded row, by default the last one."""
        steps = torch.arange(nodes.shape[1], device=nodes.device)
        scale = self.embedding.embedding_dim**0.5
        states = self.dropout(self.embedding(nodes, unknown) * scale + self.places(nodes))
        is_known = (nodes != PAD)[:, None] | (steps[:, None] == steps)  # padding sees itself
        edges = is_known & (steps[:, None] >= steps)
        blocks = cast(Sequence[AttentionBlock], self.blocks)
        for block in blocks:
            asking = asked if block is blocks[-1] else slice(None)
            known = block.norm(states)
            heard = block.attention.over_rows(known[:, asking], known, edges[:, asking])
            states = block(states[:, asking], heard)
        read: Tensor = self.norm(states)
        return read

    def places(
        self, nodes: Int[Tensor, "contexts width"]
    ) -> Float[Tensor, "*contexts width hidden"]:
        """Return what is added to each node of left-padded rows for where it stands."""
        return self.position[-nodes.shape[1] :]
