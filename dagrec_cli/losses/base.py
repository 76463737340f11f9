"""What a loss is: scores in, one loss per row out; the trainer weighs and averages the rows."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor


class Loss(ABC):
    """Base of all losses.

    A loss with ``needs_negatives`` is given the target's score and sampled services' scores; any
    other loss is given the scores of the whole catalogue. With ``is_probabilistic`` it makes the
    softmax of the scores the probability of each service.
    """

    needs_negatives: bool
    is_probabilistic = False


class CatalogueLoss(Loss):
    """A loss over the scores of all services."""

    needs_negatives = False

    @abstractmethod
    def __call__(
        self, scores: Float[Tensor, "rows services"], target: Int[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss; ``scores`` may hold minus infinity where the mask forbids."""


class SampledLoss(Loss):
    """A loss over the target's score and sampled services' scores.

    With ``needs_correction`` each negative's score comes less the logarithm of how often the
    sampler is expected to draw it for that row.
    """

    needs_negatives = True
    needs_correction = False

    @abstractmethod
    def __call__(
        self, positive: Float[Tensor, "rows 1"], negatives: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
