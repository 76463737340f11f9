"""Negatives among the services that could really have come next.

Source: PAPER §3 and §4: the DAG mask leaves only the successors of the context's last node to
compete, so any other negative teaches a comparison that the mask decides anyway. The idea of
negatives from the candidate set: Rendle & Freudenthaler, "Improving Pairwise Learning for Item
Recommendation from Implicit Feedback", WSDM 2014.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from dagrec_cli.config.kinds import Count, NotNegative
from dagrec_cli.data.ragged import find_sorted
from dagrec_cli.models.layers.dag_mask import AllowedServices
from dagrec_cli.samplers.base import Choices, Expected, Negatives, Target
from dagrec_cli.samplers.popularity import PopularitySampler


class SuccessorSampler(PopularitySampler):
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
    """

    needs_mask = True

    def __init__(self, *, n_sample: Count, sample_alpha: NotNegative) -> None:
        super().__init__(n_sample=n_sample, sample_alpha=sample_alpha, exclude_target=True)

    def sample(self, target: Target, generator: Generator, choices: Choices = None) -> Negatives:
        """Return negatives for each row, drawn with replacement."""
        if choices is None:
            return super().sample(target, generator)
        others = self._others(target, choices)
        negatives = target.new_empty(len(target), self.n_sample)
        negatives[others.is_none] = super().sample(target[others.is_none], generator)
        low, high = (bound[~others.is_none, None] for bound in (others.low, others.high))
        shape = (len(low), self.n_sample)
        share = torch.rand(shape, generator=generator, dtype=low.dtype, device=low.device)
        point = torch.minimum(low + share * (high - low), high.nextafter(low))  # it may round up
        place = torch.searchsorted(others.upper, point, right=True)
        negatives[~others.is_none] = choices.classes[place]
        return negatives

    def log_expected(
        self, target: Target, negatives: Negatives, choices: Choices = None
    ) -> Expected:
        """Return the logarithm of how often each negative is expected among its row's samples."""
        among_all = super().log_expected(target, negatives)
        if choices is None or not len(choices.classes):
            return among_all
        others = self._others(target, choices)
        rows = torch.arange(len(target), device=target.device) * choices.n_services
        keys = choices.classes + rows.repeat_interleave(choices.size)
        wanted = negatives + rows[:, None]
        place, is_there = find_sorted(keys, wanted)
        weight = others.weight[place].where(is_there, 0)
        expected = self.n_sample * weight / (others.high - others.low)[:, None]
        return torch.where(others.is_none[:, None], among_all, expected.log().float())

    def _others(self, target: Tensor, choices: AllowedServices) -> "_Others":
        row = torch.arange(len(target), device=target.device).repeat_interleave(choices.size)
        is_target = choices.classes == target[row]
        weight = self.weight[choices.classes].masked_fill(is_target, 0)
        bounds = torch.cat([weight.new_zeros(1), weight.cumsum(0)])
        end = choices.size.cumsum(0)
        return _Others(weight, bounds[1:], bounds[end - choices.size], bounds[end])


class _Others(NamedTuple):
    """Weights of all rows' choices but the target; a row is a slice of their cumulative sum."""

    weight: Float[Tensor, " choices"]
    upper: Float[Tensor, " choices"]
    low: Float[Tensor, " rows"]
    high: Float[Tensor, " rows"]

    @property
    def is_none(self) -> Bool[Tensor, " rows"]:
        """True where a row has no other choice."""
        return self.low == self.high
