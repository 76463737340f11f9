"""Multi-head attention along edges only, and a Transformer's block around it.

Large graphs make nothing of size nodes x nodes.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from dagrec_cli.errors import ConfigError
from dagrec_cli.models.layers.node_graph import EdgeList


def segment_softmax(
    scores: Float[Tensor, "edges heads"], segment: Int[Tensor, " edges"], n_segments: int
) -> Float[Tensor, "edges heads"]:
    """Return the softmax of scores over the edges of each segment."""
    index = segment[:, None].expand_as(scores)
    empty = scores.new_zeros(n_segments, scores.shape[1])
    with torch.no_grad():  # a shift that cancels, so it needs no gradient
        highest = empty.scatter_reduce(0, index, scores, "amax", include_self=False)
        shift = highest.index_select(0, segment)
    weight = torch.exp(scores - shift)
    total = torch.zeros_like(empty, dtype=weight.dtype).index_add(0, segment, weight)
    return weight / total.index_select(0, segment)


class EdgeAttention(nn.Module):
    """Each receiver attends to the senders that have an edge to it.

    The same function and initial weights as :class:`torch.nn.MultiheadAttention` with a mask that
    allows the edges alone.

    Parameters
    ----------
    hidden
        Width of a state; a multiple of ``heads``.
    heads
        Number of attention heads, 1 and up.
    dropout
        Probability of zeroing an edge's attention while training.

    Raises
    ------
    ConfigError
        If ``heads`` does not divide ``hidden``.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        if hidden % heads:
            raise ConfigError(
                f"model.hidden is {hidden} and model.heads {heads}; use a multiple of model.heads."
            )
        super().__init__()
        self.heads = heads
        self.scale = (heads / hidden) ** 0.5
        self.query = nn.Linear(hidden, hidden)
        self.key_value = nn.Linear(hidden, 2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, hidden)
        bound = (6 / (hidden + 3 * hidden)) ** 0.5  # Glorot's, of the three matrices as one
        for linear in (self.query, self.key_value):
            nn.init.uniform_(linear.weight, -bound, bound)
        for linear in (self.query, self.key_value, self.out):
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        receivers: Float[Tensor, "receivers hidden"],
        senders: Float[Tensor, "senders hidden"],
        edges: EdgeList,
        bias: Float[Tensor, "edges heads"] | None = None,
    ) -> Float[Tensor, "receivers hidden"]:
        """Return what each receiver gathers.

        Parameters
        ----------
        bias
            What is added to each edge's match before the softmax.
        """
        return self.gather(self.query(receivers), senders, edges, bias)

    def gather(
        self,
        asked: Float[Tensor, "receivers hidden"],
        senders: Float[Tensor, "senders hidden"],
        edges: EdgeList,
        bias: Float[Tensor, "edges heads"] | None = None,
    ) -> Float[Tensor, "receivers hidden"]:
        """Return what each receiver gathers; ``asked`` is its ``query``."""
        known = self.key_value(senders)
        if edges.closed is None:
            heard = self._by_edge(asked, known, edges, bias)
        else:
            closed = edges.closed
            if bias is not None:
                of_heads = closed[:, :, None].repeat(1, 1, self.heads).to(bias.dtype)
                closed = of_heads.index_put((edges.target, edges.source), bias).movedim(2, 0)
            heard = self._by_table(asked, known, closed)
        out: Tensor = self.out(heard)
        return out

    def over_rows(
        self,
        receivers: Float[Tensor, "rows receivers hidden"],
        senders: Float[Tensor, "rows senders hidden"],
        edges: Bool[Tensor, "rows receivers senders"],
        bias: Float[Tensor, "rows receivers senders heads"] | None = None,
    ) -> Float[Tensor, "rows receivers hidden"]:
        """Return the same of rows of states; each receiver has an edge at least."""
        query, key, value = (
            states.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for states in (self.query(receivers), *self.key_value(senders).chunk(2, dim=2))
        )
        dropout = self.dropout.p if self.training else 0.0
        mask = edges[:, None]
        if bias is not None:
            mask = bias.movedim(3, 1).masked_fill(~mask, -torch.inf).to(query.dtype)
        heard = scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
        out: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return out

    def _by_edge(
        self, asked: Tensor, known: Tensor, edges: EdgeList, bias: Tensor | None
    ) -> Tensor:
        key, value = known.index_select(0, edges.source).chunk(2, dim=1)
        heads = (len(edges.source), self.heads, asked.shape[1] // self.heads)
        match = (asked.index_select(0, edges.target) * key).view(heads).sum(dim=2) * self.scale
        match = match if bias is None else match + bias
        attention = self.dropout(segment_softmax(match, edges.target, len(asked)))
        sent = (value.view(heads) * attention[:, :, None]).flatten(1)
        heard: Tensor = sent.new_zeros(asked.shape).index_add(0, edges.target, sent)
        return heard

    def _by_table(self, asked: Tensor, known: Tensor, closed: Tensor) -> Tensor:
        n, hidden = asked.shape
        query = asked.view(n, self.heads, -1).transpose(0, 1)
        key, value = known.view(len(known), 2, self.heads, -1).permute(1, 2, 0, 3)
        match = torch.baddbmm(closed, query, key.transpose(1, 2), alpha=self.scale)
        attention = self.dropout(match.softmax(dim=2))
        heard: Tensor = torch.bmm(attention, value).transpose(0, 1).reshape(n, hidden)
        return heard


class AttentionBlock(nn.Module):
    """``x + attention(norm(x))``, then the same with a layer of each state by itself.

    The model calls :attr:`attention` with ``norm(x)``, and the block with what that gives.

    Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, §3.1-3.3.
    Differs from the source: what a sublayer reads is normalised, not what it returns, so that deep
    stacks train without a warm-up (Xiong et al., ICML 2020); the inner layer is as wide as the
    states.

    Parameters
    ----------
    hidden, heads, dropout
        See :class:`EdgeAttention`; what is added to a
        state is dropped out, too.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.attention = EdgeAttention(hidden, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        first, activation, last = self.layers(hidden)
        self.inner = nn.Sequential(
            nn.LayerNorm(hidden), first, activation, nn.Dropout(dropout), last, nn.Dropout(dropout)
        )

    def layers(self, hidden: int) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return what a state by itself goes through."""
        return nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden)

    def forward(
        self, states: Float[Tensor, "*shape hidden"], heard: Float[Tensor, "*shape hidden"]
    ) -> Float[Tensor, "*shape hidden"]:
        """Return new states, from the old ones and what attention gathered for them."""
        states = states + self.dropout(heard)
        new: Tensor = states + self.inner(states)
        return new


class LiGRBlock(AttentionBlock):
    """``x + sigmoid(gate(x)) * attention(norm(x))``, then the same with a layer of SwiGLU.

    Source: Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable
    Impact", 2025 (LiGR), as Tikhonovich et al., RecSys 2025, have it in their code: gates read
    states that are not normalised, the layer is four times as wide and without biases.

    Parameters
    ----------
    hidden, heads, dropout
        Those of :class:`AttentionBlock`.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__(hidden, heads, dropout)
        self.gate_heard, self.gate_inner = (nn.Linear(hidden, hidden) for _ in range(2))

    def layers(self, hidden: int) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return what a state by itself goes through."""
        wide = 4 * hidden
        return (
            nn.Linear(hidden, 2 * wide, bias=False),
            SwiGLU(),
            nn.Linear(wide, hidden, bias=False),
        )

    def forward(
        self, states: Float[Tensor, "*shape hidden"], heard: Float[Tensor, "*shape hidden"]
    ) -> Float[Tensor, "*shape hidden"]:
        """Return new states, from the old ones and what attention gathered for them."""
        states = states + self.gate_heard(states).sigmoid() * self.dropout(heard)
        new: Tensor = states + self.gate_inner(states).sigmoid() * self.inner(states)
        return new


class SwiGLU(nn.Module):
    """The first half of each row, through SiLU, times the second half.

    Source: Shazeer, "GLU Variants Improve Transformer", 2020, eq. 6.
    """

    def forward(self, x: Float[Tensor, "*shape twice"]) -> Float[Tensor, "*shape half"]:
        """Return rows half as wide."""
        first, second = x.chunk(2, dim=-1)
        return silu(first) * second
