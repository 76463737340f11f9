"""TOP1: a relative rank loss that also pushes sampled scores towards zero.

Source: Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016,
§3.1.3.
"""

from jaxtyping import Float
from torch import Tensor

from dagrec_cli.losses.base import SampledLoss


class TOP1(SampledLoss):
    """Mean over negatives of ``sigmoid(negative - positive) + sigmoid(negative^2)``."""

    def __call__(
        self, positive: Float[Tensor, "rows 1"], negatives: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
        return ((negatives - positive).sigmoid() + negatives.square().sigmoid()).mean(dim=1)
