"""What a model knows of a node before it reads anything else: an embedding, its name, its kind."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

from dagrec_cli.config.kinds import Share
from dagrec_cli.data.vocabulary import PAD, UnknownNames
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.node_names import NodeNames
from dagrec_cli.models.layers.scoring_head import ScoringHead

KnownOfNode = Literal["type", "embedding"]


class NodeEmbedding(nn.Embedding):
    """A vector for each node index; those that nothing may train begin at 0, and so say nothing.

    They are of UNKNOWN nodes, and of nodes that are targets alone. With names, the vector of what a
    node is called is added to its own, or to the UNKNOWN one's.

    Parameters
    ----------
    width
        Of a vector, 1 and up.
    node_dropout
        Probability, in ``[0, 1)``, that while training the vector that is looked up is the one of
        the UNKNOWN node of the same kind, which is how that is trained. Its name is read as ever.
    names
        Whether to read names, by :class:`~dagrec_cli.models.layers.node_names.NodeNames`; they come
        after padding.
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
        names: bool = False,
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
        self.names = NodeNames(facts.vocabulary, width, std) if names else None

    def forward(
        self, nodes: Int[Tensor, "*shape"], unknown: UnknownNames | None = None
    ) -> Float[Tensor, "*shape width"]:
        """Return the vectors of node indices.

        Parameters
        ----------
        unknown
            What nodes are called that the model does not know, of contexts :meth:`as_named`.
        """
        read = self.as_read(nodes, unknown)
        if self.training and self.node_dropout:
            is_dropped = torch.rand(nodes.shape, device=nodes.device) < self.node_dropout
            read = self.unknown[read].where(is_dropped, read)
        vectors = super().forward(read - self.before if self.before else read)
        if self.names is None:
            return vectors
        return vectors + embedding(nodes, self.names(unknown.names if unknown else ()))

    def as_named(self, contexts: Contexts) -> Contexts:
        """Return the contexts in which unknown nodes have indices of their own, if names are read.

        What they are called is ``unknown`` of these contexts.
        """
        is_named = self.names is not None and contexts.unknown is not None
        return contexts.spelled if is_named else contexts

    def as_read(
        self, nodes: Int[Tensor, "*shape"], unknown: UnknownNames | None
    ) -> Int[Tensor, "*shape"]:
        """Return the indices that the model knows nodes by, UNKNOWN's for those in ``unknown``."""
        if self.names is None or unknown is None:
            return nodes
        return torch.from_numpy(unknown.as_read).long().to(nodes.device)[nodes]

    @property
    def table(self) -> Float[Tensor, "rows width"]:
        """The vector of each node that the model knows."""
        return self.weight if self.names is None else self.weight + self.names()


class TiedHead(ScoringHead):
    """Services' weight vectors are their nodes' input embeddings; only the biases are its own.

    Parameters
    ----------
    vectors
        The input embedding, as wide as the states.
    service_nodes
        Row of each class in the embedding, ``[services]``.

    Source: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
    Recommendations", CIKM 2018, §3.3 (constrained embedding).
    """

    service_nodes: Tensor

    def __init__(self, vectors: NodeEmbedding, service_nodes: Int[np.ndarray, " services"]) -> None:
        super().__init__(vectors.embedding_dim, len(service_nodes))
        self.register_parameter("weight", None)
        rows = torch.from_numpy(service_nodes).long()
        self.register_buffer("service_nodes", rows, persistent=False)
        self._shared = [vectors]  # in a list: the model owns and saves it, once

    def forward(self, states: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows services"]:
        """Return the scores of the whole catalogue."""
        return nn.functional.linear(states, self._shared[0].table[self.service_nodes], self.bias)

    def vectors(self, classes: Int[Tensor, "*shape"]) -> tuple[Tensor, Int[Tensor, "*shape"]]:
        """Return the embedding and the rows of it that are the classes' nodes."""
        return self._shared[0].table, self.service_nodes[classes]


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
