"""The loss of one batch, the same for every model, loss and trainer."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Generator, Tensor

from dagrec_cli.losses.base import CatalogueLoss, Loss, SampledLoss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.layers.dag_mask import AllowedServices
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch

AS_IS = nullcontext()


@dataclass(frozen=True)
class BatchLoss:
    """The weighted sum of the loss over a batch's rows, divided by ``batch.total``.

    That is the weighted mean where a step is one batch; where it spans several, their values and
    gradients add up to the mean over all. Catalogue losses see masked scores, of all services or of
    those that the mask allows, whichever is quicker (:class:`AllowedServices`); sampled losses
    score their positive and their samples only, unmasked (PAPER §4).

    Attributes
    ----------
    generator
        Source of the sampler's random numbers.
    precision
        Entered while the model computes; the loss itself always has 32 bits.
    """

    model: TorchModel
    loss: Loss
    sampler: Sampler
    generator: Generator
    precision: AbstractContextManager[Any] = AS_IS

    def __call__(self, batch: Batch) -> Tensor:
        """Return the batch's loss."""
        if self.loss.needs_negatives:
            per_row = self._sampled(cast(SampledLoss, self.loss), batch)
        elif batch.choices is None or batch.choices.is_dense or batch.beliefs:
            per_row = self._dense(cast(CatalogueLoss, self.loss), batch)
        else:
            per_row = self._allowed_only(cast(CatalogueLoss, self.loss), batch, batch.choices)
        with self.precision:
            inner = self.model.inner_loss(batch.contexts)
        if inner is not None:
            per_row = per_row + inner.float().index_select(0, batch.row)
        return per_row @ batch.weight / batch.total

    def _dense(self, loss: CatalogueLoss, batch: Batch) -> Tensor:
        """Return each row's loss from a table of all scores, contexts × services."""
        with self.precision:
            if not batch.beliefs:
                scores = self.model(batch.contexts)
            else:  # priors differ from row to row of a context
                scores = self.model.head(self.model.states(batch.contexts))
        scores = scores.float()
        if batch.choices is not None:
            scores = scores.masked_fill(batch.choices.forbidden, -torch.inf)
        # A context's scores serve all of its rows, which differ in their target.
        scores = scores.index_select(0, batch.row)
        for prior, beliefs in zip(self.model.priors, batch.beliefs, strict=True):
            scores = scores + prior.of_rows(beliefs)
        return loss(scores, batch.target)

    def _allowed_only(self, loss: CatalogueLoss, batch: Batch, choices: AllowedServices) -> Tensor:
        """Return the same as :meth:`_dense`, with no score of a service that the mask forbids."""
        with self.precision:
            states = self.model.states(batch.contexts)
        losses, rows = [], []
        # Contexts with about equally many allowed services share a table as wide as the longest
        # list; the loss sees that as a small catalogue, whose classes are columns.
        for part, of_part, context in choices.split(batch.row):
            with self.precision:
                scores = self.model.head.listed(states.index_select(0, part.context), part.classes)
            column, is_listed = part.find(context, batch.target[of_part])
            value = loss(scores.float().index_select(0, context), column)
            losses.append(value.where(is_listed, torch.inf))  # a forbidden target costs all
            rows.append(of_part)
        return torch.cat(losses)[torch.cat(rows).argsort()]  # in the order of the batch again

    def _sampled(self, loss: SampledLoss, batch: Batch) -> Tensor:
        """Return each row's loss from its target, in column 0, and its samples beside it."""
        choices = None
        if self.sampler.needs_mask and batch.choices is not None:
            choices = batch.choices.of(batch.row)
        negatives = self.sampler.sample(batch.target, self.generator, choices)
        candidates = torch.cat([batch.target[:, None], negatives], dim=1)
        with self.precision:
            states = self.model.states(batch.contexts).index_select(0, batch.row)
            scores = self.model.head.candidates(states, candidates)
        scores = scores.float()
        for prior, beliefs in zip(self.model.priors, batch.beliefs, strict=True):
            scores = scores + prior.of_rows(beliefs).gather(1, candidates)
        positive, negative = scores[:, :1], scores[:, 1:]
        if loss.needs_correction:
            negative = negative - self.sampler.log_expected(batch.target, negatives, choices)
        return loss(positive, negative)
