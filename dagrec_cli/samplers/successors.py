"""Negatives among the services that could really have come next.

Source: PAPER §3 and §4: the DAG mask leaves only the successors of the context's last node to
compete, so any other negative teaches a comparison that the mask decides anyway. The idea of
negatives from the candidate set: Rendle & Freudenthaler, "Improving Pairwise Learning for Item
Recommendation from Implicit Feedback", WSDM 2014.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from dagrec_cli.config.limits import check_count, check_positive
from dagrec_cli.errors import ConfigError
from dagrec_cli.samplers.base import Sampler


class SuccessorSampler(Sampler):
    """Draw among the other valid successors of the context's last node.

    A context with one successor has no competitor; its negatives come from all other services, so
    that every row has as many. Without a mask every service is a successor.

    Parameters
    ----------
    n_sample
        Negatives per row, 1 and up, with replacement.
    sample_alpha
        Successors are drawn in proportion to ``count ** sample_alpha`` over training targets; 0
        draws them alike.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    needs_mask = True

    def __init__(self, *, n_sample: int, sample_alpha: float) -> None:
        check_count("sampler.n_sample", n_sample)
        check_positive("sampler.sample_alpha", sample_alpha, or_zero=True)
        self.n_sample = n_sample
        self.sample_alpha = sample_alpha

    def prepare(self, counts: Float[Tensor, " services"]) -> None:
        """Weigh the services."""
        self.weight = counts**self.sample_alpha
        if int((self.weight > 0).sum()) < 2:
            raise ConfigError(
                "no negative is left: every training pair has the same target; use loss=ce "
                "or a split that trains on two services or more."
            )

    def sample(
        self,
        target: Int[Tensor, " rows"],
        generator: Generator,
        forbidden: Bool[Tensor, "rows services"] | None = None,
    ) -> Int[Tensor, "rows samples"]:
        """Return negatives for each row, drawn with replacement."""
        p = self.probabilities(target, forbidden)
        return torch.multinomial(p, self.n_sample, replacement=True, generator=generator)

    def log_expected(
        self,
        target: Int[Tensor, " rows"],
        negatives: Int[Tensor, "rows samples"],
        forbidden: Bool[Tensor, "rows services"] | None = None,
    ) -> Float[Tensor, "rows samples"]:
        """Return the logarithm of how often each negative is expected among its row's samples."""
        return (self.n_sample * self.probabilities(target, forbidden)).log().gather(1, negatives)

    def probabilities(
        self, target: Int[Tensor, " rows"], forbidden: Bool[Tensor, "rows services"] | None
    ) -> Float[Tensor, "rows services"]:
        """Return how likely each service is to be drawn as a negative of each row."""
        others = self.weight.repeat(len(target), 1).scatter(1, target[:, None], 0)
        if forbidden is not None:
            successors = others.masked_fill(forbidden, 0)
            others = successors.where(successors.any(dim=1, keepdim=True), others)
        return others / others.sum(dim=1, keepdim=True)
