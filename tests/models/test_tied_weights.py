from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from safetensors.torch import load, save

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec

FactsOf = Callable[[Dataset], Facts]
ContextsOf = Callable[[Dataset], Contexts]

Config = Callable[..., DictConfig]
Tied = Callable[..., GRU4Rec]


@pytest.fixture
def tied(config: Config, facts_of: FactsOf) -> Tied:
    """A function of data set, seed and width: the model."""

    def made(dataset: Dataset, seed: int = 0, hidden: int = 8) -> GRU4Rec:
        torch.manual_seed(seed)
        node = config("model", "gru4rec", tie_weights=True, embedding_dim=8, hidden=hidden)
        model: GRU4Rec = build(node, "model", facts_of(dataset))
        return model.eval()

    return made


@torch.no_grad()
def test_scores_are_products_with_the_services_embeddings(
    tied: Tied, tiny: Dataset, contexts_of: ContextsOf
) -> None:
    model, contexts = tied(tiny), contexts_of(tiny)
    model.head.bias.normal_()
    states = model.encode(contexts)
    found = model(contexts)
    for c, name in enumerate(tiny.vocabulary.services):
        vector = model.embedding.weight[tiny.vocabulary.index[name]]
        assert torch.allclose(found[:, c], states @ vector + model.head.bias[c], atol=1e-5)
    few = torch.tensor([[2, 0]]).expand(len(states), -1)
    assert torch.allclose(model.head.candidates(states, few), found[:, [2, 0]], atol=1e-5)


def test_tied_weights_are_kept_and_saved_once(
    tied: Tied, tiny: Dataset, contexts_of: ContextsOf
) -> None:
    model, other = tied(tiny), tied(tiny, seed=1)
    assert [name for name, _ in model.named_parameters() if "gru" not in name] == [
        "head.bias",
        "embedding.weight",
    ]
    other.load_state_dict(load(save(model.state_dict())))
    contexts = contexts_of(tiny)
    assert torch.equal(other(contexts), model(contexts))


def test_a_service_s_embedding_learns_as_input_and_as_output(
    tied: Tied, tiny: Dataset, contexts_of: ContextsOf
) -> None:
    model = tied(tiny)
    rows = contexts_of(tiny).rows.nodes[:, :1]
    starts = Contexts.of_rows(rows, torch.ones(len(rows)).long())
    model(starts).logsumexp(dim=1).sum().backward()
    assert model.embedding.weight.grad is not None
    services = torch.from_numpy(tiny.vocabulary.service_nodes).long()
    assert model.embedding.weight.grad[services].any(dim=1).all()


def test_widths_must_be_equal(tied: Tied, tiny: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"embedding_dim is 8 and model.hidden 9; use .*_dim=9"):
        tied(tiny, hidden=9)
