from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.deep_dag import DeepDAG
from dagrec_cli.models.layers.edge_attention import EdgeAttention

ContextsOf = Callable[[Dataset], Contexts]
ParentsOf = Callable[[Dataset], list[list[int]]]
Dense = Callable[[EdgeAttention], nn.MultiheadAttention]
Scrambled = Callable[..., TorchModel]

NAMES = ["deep_dag", "deep_dag_paper"]


def dense_scores(model: DeepDAG, parents: list[list[int]], dense: Dense) -> Tensor:
    mask = torch.full((len(parents), len(parents)), -torch.inf)
    for node, before in enumerate(parents):
        mask[node, [node, *before]] = 0
    state = model.start(torch.cat([model.features(), model.of_depth(model.depth)], dim=1))
    for block in model.blocks:
        heard, _ = dense(block.attention)(state, state, state, attn_mask=mask)
        state = block.norm_attention(state + heard)
        state = block.norm_feed_forward(state + block.feed_forward(state))
    return model.head(model.readout(state))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("layout")
@torch.no_grad()
def test_scores_equal_the_dense_version(
    name: str,
    scrambled: Scrambled,
    world: Dataset,
    contexts_of: ContextsOf,
    parents_of: ParentsOf,
    dense: Dense,
) -> None:
    model = scrambled(name, world)
    assert isinstance(model, DeepDAG)
    contexts = contexts_of(world)
    expected = dense_scores(model, parents_of(world), dense)[contexts.last - 1]
    assert torch.allclose(model(contexts), expected, atol=1e-5)


def test_depth_is_the_longest_path_as_a_share(scrambled: Scrambled, acyclic: Dataset) -> None:
    model = scrambled("deep_dag", acyclic)
    assert isinstance(model, DeepDAG)
    # t3 -> t4 -> s1 -> s2 -> s3 -> s4 is the longest
    expected = {"t3": 0, "t1": 0, "t2": 0, "t4": 1, "s1": 2, "s2": 3, "s3": 4, "s4": 5}
    depth = dict(zip(acyclic.vocabulary.nodes, model.depth[:, 0].tolist(), strict=True))
    for name, edges in expected.items():
        full = {"t": "table_", "s": "service_"}[name[0]] + name[1:]
        assert depth[full] == pytest.approx(edges / 5)


@pytest.mark.parametrize(
    "setting",
    [{"depth_dim": 0}, {"hidden": 1}, {"num_layers": 0}, {"heads": 0}, {"heads": 3}],
)
def test_settings_out_of_range(
    setting: dict[str, int], scrambled: Scrambled, tiny: Dataset
) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(setting))}"):
        scrambled("deep_dag", tiny, **setting)
