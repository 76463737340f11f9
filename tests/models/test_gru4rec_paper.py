from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec_paper import GRU4RecPaper

Make = Callable[..., GRU4RecPaper]


@pytest.fixture
def make(config: Callable[..., DictConfig], tiny: Dataset) -> Make:
    def made(**settings: object) -> GRU4RecPaper:
        facts = Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
        torch.manual_seed(0)
        node = config("model", "gru4rec_paper", **settings)
        model: GRU4RecPaper = build(node, "model", facts).eval()
        return model

    return made


@pytest.fixture
def contexts(tiny: Dataset) -> Contexts:
    return Contexts(tiny.contexts, np.arange(len(tiny.contexts), dtype=np.int32))


def test_only_the_length_of_a_context_reaches_the_scores(make: Make, contexts: Contexts) -> None:
    scores = make()(contexts)
    by_length = [scores[contexts.rows.length == n] for n in (1, 2, 3)]
    for rows in by_length:
        assert len(rows) > 1
        assert torch.equal(rows, rows[:1].expand_as(rows))
    assert not torch.allclose(by_length[0][0], by_length[1][0])
    assert not torch.allclose(by_length[1][0], by_length[2][0])


def test_a_context_that_fills_the_row_is_read_at_its_last_node(
    make: Make, contexts: Contexts
) -> None:
    model = make(max_len=3)
    is_longest = contexts.rows.length == 3
    longest = Contexts(contexts.dag, contexts.entries[is_longest.numpy()])
    right = model.read(longest.rows.nodes, longest.rows.length - 1)
    assert torch.equal(model.encode(longest), right)
    assert not torch.allclose(right[0], right[1])


def test_another_encoding_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"model.encoding is 'entries'; use padded"):
        make(encoding="entries")


def test_contexts_longer_than_a_row_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"max_len is 2 .* has 3 nodes; use model.max_len=3"):
        make(max_len=2)
    with pytest.raises(ConfigError, match=r"model.max_len is 0"):
        make(max_len=0)
