"""Cross-entropy over the catalogue.

Source: PAPER §4; with the DAG mask it is exact over a node's valid successors. Label smoothing:
Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, §7.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import log_softmax

from dagrec_cli.config.kinds import Share
from dagrec_cli.losses.base import CatalogueLoss


class CrossEntropy(CatalogueLoss):
    """``-log softmax(scores)[target]``, or the same against a smoothed target.

    Parameters
    ----------
    label_smoothing
        Share of the target's probability, in ``[0, 1)``, spread evenly over the services that the
        mask allows.
    """

    is_probabilistic = True

    def __init__(self, *, label_smoothing: Share) -> None:
        self.label_smoothing = label_smoothing

    def __call__(
        self, scores: Float[Tensor, "rows services"], target: Int[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
        log_p = log_softmax(scores, dim=1)
        of_target = log_p.gather(1, target[:, None]).squeeze(1)
        if not self.label_smoothing:
            return -of_target
        is_valid = scores > -torch.inf
        of_valid = log_p.where(is_valid, 0).sum(dim=1) / is_valid.sum(dim=1)
        return -torch.lerp(of_target, of_valid, self.label_smoothing)
