"""GPT: self-attention that learns to predict every node of a context, not the next service alone.

Source: Radford et al., "Improving Language Understanding by Generative Pre-Training", 2018, §3.1
and eq. 1-2 (a decoder over a row, tied embeddings, the next token's loss at every position).
Differs from the source: nodes in topological order take the place of words, what follows the last
of them is a service, whose loss is the one that was chosen; blocks are SASRec's.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from dagrec_cli.data.vocabulary import PAD
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.sasrec import SASRec


class GPT(SASRec):
    """Encode a context as SASRec does, with positions from its first node on.

    While training, the state of each node but the last is scored against all nodes' embeddings,
    and the cross-entropy of the node that comes next in the row, tables too, adds to the loss of
    what follows. A state depends on what comes before alone: it is that of this part of the row as
    a context, if ``max_len`` cuts neither.

    Parameters
    ----------
    settings
        Those of :class:`~dagrec_cli.models.sasrec.SASRec`.
    """

    never: Tensor

    def __init__(self, facts: Facts, **settings: Any) -> None:
        super().__init__(facts, **settings)
        unknown = facts.vocabulary.unknown
        names = [] if unknown is None else np.unique(unknown[1:]).tolist()
        self.register_buffer("never", torch.tensor([PAD, *names]), persistent=False)

    def places(
        self, nodes: Int[Tensor, "contexts width"]
    ) -> Float[Tensor, "contexts width hidden"]:
        """Return the embeddings of positions counted from each row's first node."""
        return self.position[((nodes != PAD).cumsum(1) - 1).clamp(min=0)]

    def inner_loss(self, contexts: Contexts) -> Float[Tensor, " contexts"]:
        """Return the summed cross-entropy of each context's nodes after those before them."""
        nodes = contexts.last_nodes(self.max_len)
        row, step = (nodes[:, :-1] != PAD).nonzero(as_tuple=True)
        states = self.read(nodes, slice(0, -1))[row, step]
        scores = (states @ self.embedding.table.T).index_fill(1, self.never, -torch.inf)
        loss = cross_entropy(scores, nodes[row, step + 1], reduction="none")
        return loss.new_zeros(len(nodes)).index_add(0, row, loss)
