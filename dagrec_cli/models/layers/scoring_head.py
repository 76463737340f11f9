"""Linear scores of services, of all of them or of given candidates only."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

DENSE_PER_CANDIDATE = 5  # services that are scored in the time that picking one candidate takes


class ScoringHead(nn.Linear):
    """One weight vector and one bias per service; ``head(states)`` scores the whole catalogue."""

    def candidates(
        self, states: Float[Tensor, "rows hidden"], classes: Int[Tensor, "rows candidates"]
    ) -> Float[Tensor, "rows candidates"]:
        """Return the scores of each row's candidates, the same numbers as ``head(states)`` has.

        A catalogue of at most :data:`DENSE_PER_CANDIDATE` services per candidate is scored as a
        whole and picked from: one matrix product is that much faster than products of single
        vectors. In a larger one only the candidates' weights are touched.
        """
        if self.out_features <= DENSE_PER_CANDIDATE * classes.shape[1]:
            scores: Tensor = self(states).gather(1, classes)
        else:
            weight, rows = self.vectors(classes)
            states = states.to(weight.dtype)
            scores = CandidateScores.apply(states, weight, self.bias, rows, classes)  # type: ignore[no-untyped-call]
        return scores

    def listed(
        self, states: Float[Tensor, "rows hidden"], classes: Int[Tensor, "rows longest"]
    ) -> Float[Tensor, "rows longest"]:
        """Return the scores of lists of candidates, minus infinity at their padding.

        Parameters
        ----------
        classes
            Classes; the size of the catalogue stands for none.
        """
        is_none = classes == self.out_features
        scores = self.candidates(states, classes.masked_fill(is_none, 0))
        return scores.masked_fill(is_none, -torch.inf)

    def vectors(self, classes: Int[Tensor, "*shape"]) -> tuple[Tensor, Int[Tensor, "*shape"]]:
        """Return a matrix and the rows of it that are the classes' weight vectors."""
        return self.weight, classes


class CandidateScores(torch.autograd.Function):
    """``states[r] @ weight[rows[r, k]] + bias[classes[r, k]]``, of many candidates.

    Candidates are sorted by weight vector, so that the large matrix is read, and its gradient
    written, once and in order.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, rows: Tensor, classes: Tensor
    ) -> Tensor:
        """Return the scores, ``[rows, candidates]``."""
        row, order = torch.sort(rows.flatten().int(), stable=True)  # twice as quick as 64 bits
        row = row.long()
        state = order // rows.shape[1]
        start = torch.zeros(len(weight) + 1, dtype=torch.long, device=row.device)
        torch.cumsum(torch.bincount(row, minlength=len(weight)), 0, out=start[1:])
        ctx.save_for_backward(states, weight, bias, rows, classes, order, state, start[:-1])
        # The gradient that embedding_bag gives its sample weights is the product that is wanted.
        products = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            weight, states, state, start[:-1], row, 0, -1
        )
        scores = torch.empty_like(products).scatter_(0, order, products)
        return scores.view(rows.shape) + bias[classes]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of states, weight and bias."""
        states, weight, bias, rows, classes, order, state, start = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        ordered = gradient.flatten()[order]
        return (
            embedding_bag(rows, weight, per_sample_weights=gradient, mode="sum"),
            embedding_bag(state, states, start, per_sample_weights=ordered, mode="sum"),
            torch.zeros_like(bias).index_add(0, classes.flatten(), gradient.flatten()),
            None,
            None,
        )
