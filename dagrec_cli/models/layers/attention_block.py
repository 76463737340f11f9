"""A block of a Transformer, around an attention that is whatever the model attends to.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, §3.1-3.3.
Differs from the source: what a sublayer reads is normalised, not what it returns, so that deep
stacks train without a warm-up (Xiong et al., ICML 2020); the inner layer is as wide as the states.
"""

from jaxtyping import Float
from torch import Tensor, nn

from dagrec_cli.models.layers.edge_attention import EdgeAttention


class AttentionBlock(nn.Module):
    """``x + attention(norm(x))``, then the same with a layer of each state by itself.

    The model calls :attr:`attention` with ``norm(x)``, and the block with what that gives.

    Parameters
    ----------
    hidden, heads, dropout
        See :class:`~dagrec_cli.models.layers.edge_attention.EdgeAttention`; what is added to a
        state is dropped out, too.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.attention = EdgeAttention(hidden, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.inner = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.Dropout(dropout),
        )

    def forward(
        self, states: Float[Tensor, "*shape hidden"], heard: Float[Tensor, "*shape hidden"]
    ) -> Float[Tensor, "*shape hidden"]:
        """Return new states, from the old ones and what attention gathered for them."""
        states = states + self.dropout(heard)
        new: Tensor = states + self.inner(states)
        return new
