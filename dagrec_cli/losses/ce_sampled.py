"""Sampled cross-entropy: the softmax over the target and its samples, corrected for how they came.

Source: Bengio & Senécal, "Adaptive Importance Sampling to Accelerate Training of a Neural
Probabilistic Language Model", IEEE Trans. Neural Networks 2008; Yi et al., "Sampling-Bias-Corrected
Neural Modeling for Large Corpus Item Recommendations", RecSys 2019, §3 (the logQ correction).
Differs from the source: the target is no sample of its own row (``sampler.exclude_target``), so
its score is exact and only the samples' scores are corrected.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.losses.base import SampledLoss


class SampledCrossEntropy(SampledLoss):
    """``-log(exp(positive) / (exp(positive) + sum(exp(negatives))))``.

    With the correction a negative comes in as its score minus the logarithm of how often it is
    expected among the row's samples. The sum is then an unbiased estimate of the whole catalogue's;
    without it, services that are sampled often are held down.

    Parameters
    ----------
    log_q
        True to correct.
    """

    def __init__(self, *, log_q: bool) -> None:
        self.needs_correction = self.is_probabilistic = log_q

    def __call__(
        self, positive: Float[Tensor, "rows 1"], negatives: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss."""
        return torch.cat([positive, negatives], dim=1).logsumexp(dim=1) - positive[:, 0]
