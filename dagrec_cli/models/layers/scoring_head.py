"""Linear scores of services, of all of them or of given candidates only."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class ScoringHead(nn.Linear):
    """One weight vector and one bias per service; ``head(states)`` scores the whole catalogue."""

    def candidates(
        self, states: Float[Tensor, "rows hidden"], classes: Int[Tensor, "rows candidates"]
    ) -> Float[Tensor, "rows candidates"]:
        """Return the scores of each row's candidates, the same numbers as ``head(states)`` has.

        Where a row has more candidates than the catalogue has services, scoring the catalogue once
        and picking is the lesser work; otherwise only the candidates' weights are touched.
        """
        if classes.shape[1] >= self.out_features:
            scores: Tensor = self(states)
            return scores.gather(1, classes)
        return (self.vectors(classes) @ states.unsqueeze(2)).squeeze(2) + self.bias[classes]

    def vectors(self, classes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape hidden"]:
        """Return the weight vectors of classes."""
        return self.weight[classes]


class TiedHead(ScoringHead):
    """Services' weight vectors are their nodes' input embeddings; only the biases are its own.

    Parameters
    ----------
    embedding
        The input embedding, as wide as the states.
    service_nodes
        Row of each class in the embedding.

    Source: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
    Recommendations", CIKM 2018, §3.3 (constrained embedding).
    """

    service_nodes: Tensor

    def __init__(self, embedding: nn.Embedding, service_nodes: Int[Tensor, " services"]) -> None:
        super().__init__(embedding.embedding_dim, len(service_nodes))
        self.register_parameter("weight", None)
        self.register_buffer("service_nodes", service_nodes, persistent=False)
        self._shared = [embedding]  # in a list: the model owns and saves it, once

    def forward(self, states: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows services"]:
        """Return the scores of the whole catalogue."""
        every = torch.arange(self.out_features, device=states.device)
        return nn.functional.linear(states, self.vectors(every), self.bias)

    def vectors(self, classes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape hidden"]:
        """Return the embeddings of the classes' nodes."""
        return self._shared[0].weight[self.service_nodes[classes]]
