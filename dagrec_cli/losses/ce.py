"""Cross-entropy over the catalogue.

Source: PAPER §4; with the DAG mask it is exact over a node's valid successors.
"""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from dagrec_cli.losses.base import CatalogueLoss


class CrossEntropy(CatalogueLoss):
    """``-log softmax(scores)[target]``."""

    def __call__(
        self, scores: Float[Tensor, "rows services"], target: Int[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
        return cross_entropy(scores, target, reduction="none")
