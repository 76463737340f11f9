"""No negatives, for losses that score the whole catalogue."""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from dagrec_cli.models.layers.dag_mask import AllowedServices
from dagrec_cli.samplers.base import Sampler


class NoSampler(Sampler):
    """Draws nothing.

    Source: PAPER §4, cross-entropy.
    """

    n_sample = 0

    def prepare(self, counts: Float[Tensor, " services"]) -> None:
        """Do nothing."""

    def sample(
        self,
        target: Int[Tensor, " rows"],
        generator: Generator,
        choices: AllowedServices | None = None,
    ) -> Int[Tensor, "rows samples"]:
        """Return a row of no samples for each target."""
        return torch.empty(len(target), 0, dtype=torch.long)

    def log_expected(
        self,
        target: Int[Tensor, " rows"],
        negatives: Int[Tensor, "rows samples"],
        choices: AllowedServices | None = None,
    ) -> Float[Tensor, "rows samples"]:
        """Return a row of nothing for each target."""
        return torch.empty(len(target), 0)
