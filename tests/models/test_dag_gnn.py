from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.functional import gelu

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.dag_gnn import DAGGNN

FactsOf = Callable[[Dataset], Facts]
ContextsOf = Callable[[Dataset], Contexts]
ParentsOf = Callable[[Dataset], list[list[int]]]
Scrambled = Callable[..., TorchModel]
Config = Callable[..., DictConfig]

NAMES = ["dag_gnn", "dag_gnn_paper"]


def plain_scores(model: DAGGNN, parents: list[list[int]]) -> Tensor:
    nodes = range(len(parents))
    children = [[child for child in nodes if node in parents[child]] for node in nodes]
    state = model.start(model.features())
    for each in model.rounds:
        after = []
        for node in nodes:
            change = each.own(state[node])
            if parents[node]:
                change = change + (state[parents[node]] @ each.from_parents.weight.T).mean(dim=0)
            if children[node]:
                change = change + (state[children[node]] @ each.from_children.weight.T).mean(dim=0)
            after.append(each.norm(state[node] + gelu(change)))
        state = torch.stack(after)
    return model.head(model.readout(state))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_scores_equal_the_version_node_by_node(
    name: str,
    scrambled: Scrambled,
    world: Dataset,
    contexts_of: ContextsOf,
    parents_of: ParentsOf,
) -> None:
    model = scrambled(name, world)
    assert isinstance(model, DAGGNN)
    contexts = contexts_of(world)
    expected = plain_scores(model, parents_of(world))[contexts.last - 1]
    assert torch.allclose(model(contexts), expected, atol=1e-5)


def test_messages_start_small(
    config: Config,
    tiny: Dataset,
    facts_of: FactsOf,
) -> None:
    torch.manual_seed(0)
    model = build(config("model", "dag_gnn"), "model", facts_of(tiny))
    for each in model.rounds:  # PAPER §7: N(0, 0.02); 4096 draws, so 5 % off is 4.5 sigma
        assert each.from_parents.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert each.from_children.weight.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    "setting",
    [
        {"hidden": 0},
        {"num_layers": 0},
        {"dropout_hidden": -0.1},
        {"node_features": "name"},
        {"embedding_dim": 0},
    ],
)
def test_settings_out_of_range(
    setting: dict[str, object], scrambled: Scrambled, tiny: Dataset
) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(setting))} is"):
        scrambled("dag_gnn", tiny, **setting)


def test_features_are_type_bits_beside_an_embedding(scrambled: Scrambled, tiny: Dataset) -> None:
    model = scrambled("dag_gnn", tiny, embedding_dim=3)
    assert isinstance(model, DAGGNN)
    assert model.features.embedding is not None
    is_service = [name.startswith("service_") for name in tiny.vocabulary.nodes]
    expected = torch.tensor([[float(yes), float(not yes)] for yes in is_service])
    assert torch.equal(model.features()[:, :2], expected)
    assert torch.equal(model.features()[:, 2:], model.features.embedding.weight)
