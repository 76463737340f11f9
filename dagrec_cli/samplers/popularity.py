"""Negatives drawn by popularity: p(service) proportional to count^alpha.

Source: PAPER §4; Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for
Session-based Recommendations", CIKM 2018, §3.1.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dagrec_cli.config.kinds import Count, NotNegative
from dagrec_cli.errors import ConfigError
from dagrec_cli.samplers.base import Choices, Expected, Negatives, Sampler, Target

ROUNDING = 2.0**-50  # keeps a point that rounds up out of the target's slice


class PopularitySampler(Sampler):
    """Draw services in proportion to ``count ** sample_alpha`` over training targets.

    The target is left out exactly, without rejection: its slice is cut out of the cumulative
    distribution before a uniform number is looked up in it.

    Parameters
    ----------
    n_sample
        Negatives per row, 1 and up, with replacement.
    sample_alpha
        0 is uniform, 1 is by popularity; 0 and up.
    exclude_target
        False lets a target be its own negative, as the paper's code does.
    """

    def __init__(self, *, n_sample: Count, sample_alpha: NotNegative, exclude_target: bool) -> None:
        self.n_sample = n_sample
        self.sample_alpha = sample_alpha
        self.exclude_target = exclude_target

    def prepare(self, counts: Float[Tensor, " services"]) -> None:
        """Build the cumulative distribution."""
        self.weight = (counts.double() / counts.max()) ** self.sample_alpha  # no overflow
        upper = torch.cumsum(self.weight, 0)
        self.upper = upper / upper[-1]  # ends in exactly 1, also where the last weights are 0
        self.lower = torch.cat([self.upper.new_zeros(1), self.upper[:-1]])
        if self.exclude_target and int((self.weight > 0).sum()) < 2:
            raise ConfigError(
                "no negative is left: every training pair has the same target; use loss=ce "
                "or a split that trains on two services or more."
            )

    def sample(self, target: Target, generator: Generator, choices: Choices = None) -> Negatives:
        """Return negatives for each row, drawn with replacement."""
        shape = (len(target), self.n_sample)
        point = torch.rand(shape, generator=generator, dtype=torch.float64, device=target.device)
        if self.exclude_target:
            low, high = self.lower[target][:, None], self.upper[target][:, None]
            point = torch.minimum(point * (1 - (high - low)), 1 - (high - low) - ROUNDING)
            beyond = torch.maximum(point + (high - low), high)  # the sum may round into the slice
            point = torch.where(point >= low, beyond, point)
        return torch.searchsorted(self.upper, point, right=True)

    def log_expected(
        self, target: Target, negatives: Negatives, choices: Choices = None
    ) -> Expected:
        """Return the logarithm of how often each negative is expected among its row's samples."""
        p = self.upper - self.lower
        expected = self.n_sample * p[negatives]
        if self.exclude_target:
            is_target = negatives == target[:, None]
            expected = expected.masked_fill(is_target, 0) / (1 - p[target][:, None])
        return expected.log().float()
