"""BPR-max: the probability that the target beats the strongest negative, with regularised scores.

Source: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
Recommendations", CIKM 2018, eq. 10. (What the project's paper calls BPR-max is plain BPR.)
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from dagrec_cli.config.kinds import NotNegative
from dagrec_cli.losses.base import SampledLoss


class BPRMax(SampledLoss):
    """``-log sum(w * sigmoid(positive - negative)) + regularisation * sum(w * negative^2)``.

    ``w`` is the softmax over the negatives' scores.

    Parameters
    ----------
    regularisation
        Weight of the score regularisation, 0 and up.
    """

    def __init__(self, *, regularisation: NotNegative) -> None:
        self.regularisation = regularisation

    def __call__(
        self, positive: Float[Tensor, "rows 1"], negatives: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss, the logarithm taken of no sum that could underflow."""
        log_weight = log_softmax(negatives, dim=1)
        beaten = (log_weight + logsigmoid(positive - negatives)).logsumexp(dim=1)
        size = (log_weight.exp() * negatives.square()).sum(dim=1)
        return self.regularisation * size - beaten
