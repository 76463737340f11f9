"""TOP1-max: TOP1 in which each negative counts by its softmax weight among the samples.

Source: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
Recommendations", CIKM 2018, eq. 7.
"""

from jaxtyping import Float
from torch import Tensor

from dagrec_cli.losses.base import SampledLoss


class TOP1Max(SampledLoss):
    """Sum over negatives of ``w * (sigmoid(negative - positive) + sigmoid(negative^2))``.

    ``w`` is the softmax over the negatives' scores: a negative that scores low hardly counts.
    """

    def __call__(
        self, positive: Float[Tensor, "rows 1"], negatives: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
        per_negative = (negatives - positive).sigmoid() + negatives.square().sigmoid()
        return (negatives.softmax(dim=1) * per_negative).sum(dim=1)
