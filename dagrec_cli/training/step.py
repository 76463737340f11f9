"""The loss of one batch, the same for every model, loss and trainer."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Generator, Tensor

from dagrec_cli.losses.base import CatalogueLoss, Loss, SampledLoss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.layers.dag_mask import AllowedServices
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
    gradients add up to the mean over all. Catalogue losses see masked scores, of all services or of
    those that the mask allows, whichever is quicker (:class:`AllowedServices`); sampled losses
    score their positive and their samples only, unmasked (PAPER §4).

    Parameters
    ----------
    precision
        Entered while the model computes; the loss itself always has 32 bits.
    """
    if loss.needs_negatives:
        sampled = cast(SampledLoss, loss)
        per_row = _sampled(model, sampled, sampler, batch, generator, precision)
    elif batch.choices is None or batch.choices.is_dense:
        per_row = _dense(model, cast(CatalogueLoss, loss), batch, precision)
    else:
        per_row = _allowed_only(model, cast(CatalogueLoss, loss), batch, batch.choices, precision)
    return per_row @ batch.weight / batch.total


def _dense(
    model: TorchModel, loss: CatalogueLoss, batch: Batch, precision: AbstractContextManager[Any]
) -> Tensor:
    with precision:
        scores = model(batch.contexts)
    scores = scores.float()
    if batch.choices is not None:
        scores = scores.masked_fill(batch.choices.forbidden, -torch.inf)
    return loss(scores.index_select(0, batch.row), batch.target)


def _allowed_only(
    model: TorchModel,
    loss: CatalogueLoss,
    batch: Batch,
    choices: AllowedServices,
    precision: AbstractContextManager[Any],
) -> Tensor:
    """Return the same as :func:`_dense`, with no score of a service that the mask forbids."""
    with precision:
        states = model.encode(batch.contexts)
    losses, rows = [], []
    for part, mine, row in choices.split(batch.row):
        with precision:
            scores = model.head.listed(states.index_select(0, part.context), part.classes)
        column, is_listed = part.find(row, batch.target[mine])
        value = loss(scores.float().index_select(0, row), column)
        losses.append(value.where(is_listed, torch.inf))
        rows.append(mine)
    return torch.cat(losses)[torch.cat(rows).argsort()]


def _sampled(
    model: TorchModel,
    loss: SampledLoss,
    sampler: Sampler,
    batch: Batch,
    generator: Generator,
    precision: AbstractContextManager[Any],
) -> Tensor:
    choices = None
    if sampler.needs_mask and batch.choices is not None:
        choices = batch.choices.of(batch.row)
    negatives = sampler.sample(batch.target, generator, choices)
    candidates = torch.cat([batch.target[:, None], negatives], dim=1)
    with precision:
        states = model.encode(batch.contexts).index_select(0, batch.row)
        scores = model.head.candidates(states, candidates)
    scores = scores.float()
    positive, negative = scores[:, :1], scores[:, 1:]
    if loss.needs_correction:
        negative = negative - sampler.log_expected(batch.target, negatives, choices)
    return loss(positive, negative)
