"""What a model knows of a node before it reads anything else: an embedding, or its kind."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Share
from dagrec_cli.data.vocabulary import PAD
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts

KnownOfNode = Literal["type", "embedding"]


class NodeEmbedding(nn.Embedding):
    """A vector for each node index; those that nothing may train begin at 0, and so say nothing.

    They are of UNKNOWN nodes, and of nodes that are targets alone.

    Parameters
    ----------
    width
        Of a vector, 1 and up.
    node_dropout
        Probability, in ``[0, 1)``, that while training the vector that is looked up is the one of
        the UNKNOWN node of the same kind, which is how that is trained.
    std
        Deviation of the other vectors at the beginning, above 0.
    has_padding
        Whether row 0 is padding, which is 0; else row 0 is node 1.

    Raises
    ------
    ConfigError
        If there is no UNKNOWN node to be trained.
    """

    unknown: Tensor

    def __init__(
        self,
        facts: Facts,
        width: int,
        node_dropout: Share,
        *,
        std: float = 1.0,
        has_padding: bool = True,
    ) -> None:
        padding = PAD if has_padding else None
        super().__init__(facts.n_nodes + has_padding, width, padding_idx=padding)
        self.node_dropout = node_dropout
        self.before = 1 - has_padding
        if std != 1:
            nn.init.normal_(self.weight[int(has_padding) :], std=std)
        unknown = facts.vocabulary.unknown
        if unknown is not None:
            self.register_buffer("unknown", torch.from_numpy(unknown).long(), persistent=False)
            with torch.no_grad():
                self.weight[np.union1d(unknown[1:], facts.unread).astype(int) - self.before] = 0
        elif node_dropout:
            raise ConfigError(
                f"model.node_dropout is {node_dropout}, but with split=paper a model knows all "
                "names and has no UNKNOWN node; use another split, or model.node_dropout=0."
            )

    def forward(self, nodes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape width"]:
        """Return the vectors of node indices."""
        if self.training and self.node_dropout:
            is_dropped = torch.rand(nodes.shape, device=nodes.device) < self.node_dropout
            nodes = self.unknown[nodes].where(is_dropped, nodes)
        return super().forward(nodes - self.before if self.before else nodes)


class NodeFeatures(nn.Module):
    """The bits [is_service, is_table] of every node, beside a learned embedding if asked for.

    Row ``n`` is node index ``n + 1``: padding is no node and has no row.

    Parameters
    ----------
    kind
        ``type``: the two bits alone (the paper); ``embedding``: the bits and an embedding.
    embedding_dim
        Width of the embedding, 1 and up; unused with ``type``.
    node_dropout
        See :class:`NodeEmbedding`.

    Raises
    ------
    ConfigError
        If embeddings are to be dropped that are not there.
    """

    types: Tensor
    nodes: Tensor

    def __init__(
        self, facts: Facts, kind: KnownOfNode, embedding_dim: int, node_dropout: Share
    ) -> None:
        super().__init__()
        is_service = torch.tensor(facts.vocabulary.is_service)
        types = torch.stack([is_service, ~is_service], dim=1).float()
        self.register_buffer("types", types, persistent=False)
        self.register_buffer("nodes", torch.arange(1, facts.n_nodes + 1), persistent=False)
        self.embedding = None
        self.width = 2
        if kind == "embedding":
            self.embedding = NodeEmbedding(facts, embedding_dim, node_dropout, has_padding=False)
            self.width += embedding_dim
        elif node_dropout:
            raise ConfigError(
                f"model.node_dropout is {node_dropout} but model.node_features is type; use "
                "model.node_features=embedding, or model.node_dropout=0."
            )

    def forward(self) -> Float[Tensor, "nodes features"]:
        """Return the features of every node."""
        if self.embedding is None:
            return self.types
        return torch.cat([self.types, self.embedding(self.nodes)], dim=1)
