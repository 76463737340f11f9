"""What a graph model knows of a node before any message is passed."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dagrec_cli.models.base import Facts

KnownOfNode = Literal["type", "embedding"]


class NodeFeatures(nn.Module):
    """The bits [is_service, is_table] of every node, beside a learned embedding if asked for.

    Row ``n`` is node index ``n + 1``: padding is no node and has no row.

    Parameters
    ----------
    kind
        ``type``: the two bits alone (the paper); ``embedding``: the bits and an embedding.
    embedding_dim
        Width of the embedding, 1 and up; unused with ``type``.
    """

    types: Tensor

    def __init__(self, facts: Facts, kind: KnownOfNode, embedding_dim: int) -> None:
        super().__init__()
        is_service = torch.tensor(facts.vocabulary.is_service)
        types = torch.stack([is_service, ~is_service], dim=1).float()
        self.register_buffer("types", types, persistent=False)
        self.embedding = None
        if kind == "embedding":
            self.embedding = nn.Embedding(facts.n_nodes, embedding_dim)
            begin_unknown_at_zero(self.embedding, facts)
        self.width = 2 + (embedding_dim if self.embedding else 0)

    def forward(self) -> Float[Tensor, "nodes features"]:
        """Return the features of every node."""
        if self.embedding is None:
            return self.types
        return torch.cat([self.types, self.embedding.weight], dim=1)


def begin_unknown_at_zero(embedding: nn.Embedding, facts: Facts) -> None:
    """Set the vectors of UNKNOWN nodes to 0, so that they say nothing unless they are trained.

    Parameters
    ----------
    embedding
        Its last row is that of the last node.
    """
    if facts.vocabulary.unknown is not None:
        before = facts.n_nodes + 1 - embedding.num_embeddings
        rows = np.unique(facts.vocabulary.unknown[1:]) - before
        with torch.no_grad():
            embedding.weight[torch.from_numpy(rows).long()] = 0
