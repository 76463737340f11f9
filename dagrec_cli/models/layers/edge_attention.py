"""Multi-head attention along edges only: nothing of size nodes x nodes is made."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.limits import check_count
from dagrec_cli.errors import ConfigError


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
        check_count("model.heads", heads)
        if hidden % heads:
            raise ConfigError(
                f"model.hidden is {hidden} and model.heads {heads}; use a multiple of model.heads."
            )
        super().__init__()
        self.heads = heads
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
        source: Int[Tensor, " edges"],
        target: Int[Tensor, " edges"],
    ) -> Float[Tensor, "receivers hidden"]:
        """Return what each receiver gathers; ``source`` and ``target`` are rows of the two."""
        asked = self.ask(receivers).index_select(0, target)
        return self.gather(asked, senders, source, target, len(receivers))

    def ask(self, receivers: Float[Tensor, "receivers hidden"]) -> Tensor:
        """Return each receiver's query, scaled."""
        scale: float = (self.heads / receivers.shape[1]) ** 0.5
        query: Tensor = self.query(receivers)
        return query * scale

    def gather(
        self,
        asked: Float[Tensor, "edges hidden"],
        senders: Float[Tensor, "senders hidden"],
        source: Int[Tensor, " edges"],
        target: Int[Tensor, " edges"],
        n_receivers: int,
    ) -> Float[Tensor, "receivers hidden"]:
        """Return what each receiver gathers; ``asked`` is its query, once per edge."""
        hidden = asked.shape[1]
        heads = (-1, self.heads, hidden // self.heads)
        key, value = self.key_value(senders).index_select(0, source).chunk(2, dim=1)
        match = (asked * key).view(heads).sum(dim=2)
        attention = self.dropout(segment_softmax(match, target, n_receivers))
        sent = (value.view(heads) * attention[:, :, None]).flatten(1)
        out: Tensor = self.out(sent.new_zeros(n_receivers, hidden).index_add(0, target, sent))
        return out
