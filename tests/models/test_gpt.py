from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.vocabulary import PAD
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.step import BatchLoss

Scrambled = Callable[..., TorchModel]


def inner_by_hand(model: TorchModel, nodes: list[int], never: list[int]) -> float:
    """Return the loss of each node after the part of the row before it, read as a context."""
    table, loss = model.state_dict()["embedding.weight"], 0.0
    for n in range(1, len(nodes)):
        row = Contexts.of_rows(torch.tensor([nodes[:n]]), torch.tensor([n]))
        scores = (table @ model.encode(row)[0].detach()).index_fill(
            0, torch.tensor(never), -torch.inf
        )
        loss -= float(scores.log_softmax(0)[nodes[n]])
    return loss


@pytest.mark.parametrize("max_len", [50, 3])
def test_every_node_is_predicted_from_those_before_it(
    scrambled: Scrambled, merging: Dataset, max_len: int
) -> None:
    data = merging.known_by(merging.vocabulary_of(np.arange(len(merging.pairs.context))))
    unknown = data.vocabulary.of_model.unknown
    assert unknown is not None
    model = scrambled("gpt", data, hidden=6, heads=2, max_len=max_len)
    contexts = Contexts(data.contexts, np.arange(len(data.contexts), dtype=np.int32))
    never = [PAD, *{*unknown[1:].tolist()}]
    rows = [data.contexts.spell(entry)[-max_len:] for entry in contexts.entries]
    expected = [inner_by_hand(model, nodes, never) for nodes in rows]
    found = model.inner_loss(contexts)
    assert found is not None
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert max(expected) > 0 == min(expected)


@torch.no_grad()
def test_that_is_added_to_the_loss_of_each_row(
    scrambled: Scrambled, merging: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scrambled("gpt", merging, mask="none")
    pairs = TrainingPairs.of(merging, np.arange(len(merging.pairs.context)), None, distinct=True)
    batch = pairs.whole
    loss = BatchLoss(model, CrossEntropy(label_smoothing=0.0), NoSampler(), Generator())
    whole, inner = loss(batch), model.inner_loss(batch.contexts)
    assert inner is not None
    monkeypatch.setattr(model, "inner_loss", lambda _: None)
    added = inner[batch.row] @ batch.weight / batch.total
    assert float(whole - loss(batch)) == pytest.approx(float(added), rel=1e-4)
    assert float(added) > 0.1
