from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.dagnn2021 import DAGNN2021
from dagrec_cli.models.layers.edge_attention import EdgeAttention

ContextsOf = Callable[[Dataset], Contexts]
ParentsOf = Callable[[Dataset], list[list[int]]]
Dense = Callable[[EdgeAttention], nn.MultiheadAttention]
Scrambled = Callable[..., TorchModel]

NAMES = ["dagnn2021", "dagnn2021_paper"]


def reachable(parents: list[list[int]]) -> list[set[int]]:
    """Which nodes lead to each node."""
    found = [set(before) for before in parents]
    for _ in parents:
        found = [before.union(*(found[n] for n in before)) for before in found]
    return found


def scores_node_by_node(model: DAGNN2021, parents: list[list[int]], dense: Dense) -> Tensor:
    before = reachable(parents)
    cycle = [
        {n for n in before[node] if node in before[n]} | {node} for node in range(len(parents))
    ]
    order = sorted(range(len(parents)), key=lambda node: len(before[node] | cycle[node]))
    layers = [model.start(model.features())]
    for each in model.passes:
        old, new = layers[-1], layers[-1].clone()
        attend = dense(each.attention)
        for node in order:
            if not parents[node]:
                continue
            seen = [old[n] if n in cycle[node] else new[n] for n in parents[node]]
            keys = torch.stack(seen)
            heard, _ = attend(old[node][None], keys, keys)
            new[node] = each.combine(torch.cat([old[node], heard[0]]))
        layers.append(new)
    return model.head(model.readout(torch.cat(layers, dim=1)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("layout")
@torch.no_grad()
def test_scores_equal_the_version_node_by_node(
    name: str,
    scrambled: Scrambled,
    world: Dataset,
    contexts_of: ContextsOf,
    parents_of: ParentsOf,
    dense: Dense,
) -> None:
    model = scrambled(name, world)
    assert isinstance(model, DAGNN2021)
    contexts = contexts_of(world)
    expected = scores_node_by_node(model, parents_of(world), dense)[contexts.last - 1]
    assert torch.allclose(model(contexts), expected, atol=1e-5)


def test_levels_that_no_context_reaches_are_not_computed(
    scrambled: Scrambled, acyclic: Dataset
) -> None:
    model = scrambled("dagnn2021", acyclic)
    assert isinstance(model, DAGNN2021)
    depths = []
    for each in model.passes:
        each.register_forward_hook(lambda _, given, __: depths.append([k.depth for k in given[1]]))
    ends = {name: acyclic.vocabulary.index[name] for name in ("table_4", "service_2", "service_4")}
    for node in ends.values():
        model(Contexts.of_rows(torch.tensor([[node]]), torch.tensor([1])))
    assert depths == [[1]] * 3 + [[1, 2, 3]] * 3 + [[1, 2, 3, 4, 5]] * 3


@pytest.mark.parametrize("setting", [{"hidden": 0}, {"num_layers": 0}, {"heads": 0}, {"heads": 7}])
def test_settings_out_of_range(
    setting: dict[str, int], scrambled: Scrambled, tiny: Dataset
) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(setting))}"):
        scrambled("dagnn2021", tiny, **setting)
