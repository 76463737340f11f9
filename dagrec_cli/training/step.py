"""The loss of one batch, the same for every model, loss and trainer."""

from typing import cast

import torch
from torch import Generator, Tensor

from dagrec_cli.losses.base import CatalogueLoss, Loss, SampledLoss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch


def batch_loss(
    model: TorchModel, loss: Loss, sampler: Sampler, batch: Batch, generator: Generator
) -> Tensor:
    """Return the weighted mean loss over a batch's rows, a scalar.

    Catalogue losses see masked scores of all services; sampled losses score their positive and
    their samples only, unmasked (PAPER §4).
    """
    states = model.encode(batch.contexts)
    if loss.needs_negatives:
        per_row = _sampled(model, cast(SampledLoss, loss), sampler, batch, states, generator)
    else:
        scores = model.head(states)
        if batch.forbidden is not None:
            scores = scores.masked_fill(batch.forbidden, -torch.inf)
        per_row = cast(CatalogueLoss, loss)(scores[batch.row], batch.target)
    return per_row @ batch.weight / batch.weight.sum()


def _sampled(
    model: TorchModel,
    loss: SampledLoss,
    sampler: Sampler,
    batch: Batch,
    states: Tensor,
    generator: Generator,
) -> Tensor:
    forbidden = None
    if sampler.needs_mask and batch.forbidden is not None:
        forbidden = batch.forbidden[batch.row]
    negatives = sampler.sample(batch.target, generator, forbidden)
    candidates = torch.cat([batch.target[:, None], negatives], dim=1)
    scores = model.head.candidates(states[batch.row], candidates)
    positive, negative = scores[:, :1], scores[:, 1:]
    if loss.needs_correction:
        negative = negative - sampler.log_expected(batch.target, negatives, forbidden)
    return loss(positive, negative)
