"""No negatives, for losses that score the whole catalogue."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dagrec_cli.samplers.base import Choices, Expected, Negatives, Sampler, Target


class NoSampler(Sampler):
    """Draws nothing.

    Source: PAPER §4, cross-entropy.
    """

    n_sample = 0

    def prepare(self, counts: Float[Tensor, " services"]) -> None:
        """Do nothing."""

    def sample(self, target: Target, generator: Generator, choices: Choices = None) -> Negatives:
        """Return a row of no samples for each target."""
        return torch.empty(len(target), 0, dtype=torch.long)

    def log_expected(
        self, target: Target, negatives: Negatives, choices: Choices = None
    ) -> Expected:
        """Return a row of nothing for each target."""
        return torch.empty(len(target), 0)
