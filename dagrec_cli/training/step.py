"""The loss of one batch, the same for every model, loss and trainer."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Generator, Tensor

from dagrec_cli.losses.base import CatalogueLoss, Loss, SampledLoss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch

AS_IS = nullcontext()


def batch_loss(
    model: TorchModel,
    loss: Loss,
    sampler: Sampler,
    batch: Batch,
    generator: Generator,
    precision: AbstractContextManager[Any] = AS_IS,
) -> Tensor:
    """Return the weighted sum of the loss over a batch's rows, divided by ``batch.total``.

    That is the weighted mean where a step is one batch; where it spans several, their values and
    gradients add up to the mean over all. Catalogue losses see masked scores of all services;
    sampled losses score their positive and their samples only, unmasked (PAPER §4).

    Parameters
    ----------
    precision
        Entered while the model computes; the loss itself always has 32 bits.
    """
    if loss.needs_negatives:
        sampled = cast(SampledLoss, loss)
        per_row = _sampled(model, sampled, sampler, batch, generator, precision)
    else:
        with precision:
            scores = model(batch.contexts)
        scores = scores.float()
        if batch.forbidden is not None:
            scores = scores.masked_fill(batch.forbidden, -torch.inf)
        per_row = cast(CatalogueLoss, loss)(scores[batch.row], batch.target)
    return per_row @ batch.weight / batch.total


def _sampled(
    model: TorchModel,
    loss: SampledLoss,
    sampler: Sampler,
    batch: Batch,
    generator: Generator,
    precision: AbstractContextManager[Any],
) -> Tensor:
    forbidden = None
    if sampler.needs_mask and batch.forbidden is not None:
        forbidden = batch.forbidden[batch.row]
    negatives = sampler.sample(batch.target, generator, forbidden)
    candidates = torch.cat([batch.target[:, None], negatives], dim=1)
    with precision:
        states = model.encode(batch.contexts)
        scores = model.head.candidates(states[batch.row], candidates)
    scores = scores.float()
    positive, negative = scores[:, :1], scores[:, 1:]
    if loss.needs_correction:
        negative = negative - sampler.log_expected(batch.target, negatives, forbidden)
    return loss(positive, negative)
