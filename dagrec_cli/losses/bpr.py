"""Bayesian personalised ranking over sampled services.

Source: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009, as
PAPER §4 uses it (the paper calls it BPR-max).
Differs from the source: ``log sigmoid`` is computed directly, so no 1e-24 is added inside the
logarithm and extreme scores stay finite.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from dagrec_cli.losses.base import SampledLoss


class BPR(SampledLoss):
    """Mean over negatives of ``-log sigmoid(positive - negative)``, on unmasked scores."""

    def __call__(
        self, positive: Float[Tensor, "rows 1"], negatives: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
        return softplus(negatives - positive).mean(dim=1)
