from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Generator, Tensor

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.losses.base import Loss
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.losses.ce_sampled import SampledCrossEntropy
from dagrec_cli.models.base import Facts
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.samplers.popularity import PopularitySampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.step import BatchLoss

Value = Callable[[Loss, Sampler], Tensor]


@pytest.fixture
def value(config: Callable[..., DictConfig], tiny: Dataset) -> Value:
    """A function of loss and sampler: the training loss of one GRU4Rec on ``tiny``."""
    torch.manual_seed(0)
    model = build(
        config("model", "gru4rec"), "model", Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
    )
    torch.nn.init.normal_(model.head.bias)
    batch = TrainingPairs.of(tiny, np.arange(len(tiny.pairs.context)), None, distinct=True).whole

    def of(loss: Loss, sampler: Sampler) -> Tensor:
        counts = torch.zeros(len(tiny.vocabulary.services))
        sampler.prepare(counts.index_add(0, batch.target, batch.weight))
        return BatchLoss(model.eval(), loss, sampler, Generator().manual_seed(0))(batch)

    return of


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_many_corrected_samples_come_to_the_whole_catalogue(value: Value, alpha: float) -> None:
    sampler = PopularitySampler(n_sample=50_000, sample_alpha=alpha, exclude_target=True)
    exact = value(CrossEntropy(label_smoothing=0.0), NoSampler()).item()
    assert value(SampledCrossEntropy(log_q=True), sampler).item() == pytest.approx(exact, rel=5e-3)
    assert value(SampledCrossEntropy(log_q=False), sampler).item() > 2 * exact


def test_a_hand_counted_row() -> None:
    positive, negatives = torch.tensor([[0.0]]), torch.tensor([[2.0, 3.0]]).log()
    found = SampledCrossEntropy(log_q=True)(positive, negatives)
    assert found.exp().tolist() == pytest.approx([1 + 2 + 3])
