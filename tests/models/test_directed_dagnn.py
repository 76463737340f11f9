from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.directed_dagnn import DirectedDAGNN

FactsOf = Callable[[Dataset], Facts]
ContextsOf = Callable[[Dataset], Contexts]
Scrambled = Callable[..., TorchModel]
Config = Callable[..., DictConfig]

NAMES = ["directed_dagnn", "directed_dagnn_paper"]


def outgoing_shares(dataset: Dataset) -> Tensor:
    """``matrix[v, u]``: which share of the steps out of u leads to v."""
    graph, n = dataset.graph(), len(dataset.vocabulary.nodes)
    matrix = torch.zeros(n, n)
    for source, target, count in zip(graph.source, graph.target, graph.count, strict=True):
        matrix[target - 1, source - 1] = int(count)
    return matrix / matrix.sum(dim=0).clamp(min=1)


def dense_scores(model: DirectedDAGNN, dataset: Dataset) -> Tensor:
    matrix = outgoing_shares(dataset)
    state = model.first(model.features())
    state = state + model.second(state)
    hops = [state]
    for _ in range(10):
        start = z = hops[-1]
        for _ in range(10):
            z = 0.9 * matrix @ z + 0.1 * start
        hops.append(z)
    weights = model.hop_weight.exp() / model.hop_weight.exp().sum()
    mixed = sum(w * hop for w, hop in zip(weights, hops, strict=True))
    return model.head(model.readout(mixed))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_scores_equal_the_dense_version(
    name: str,
    scrambled: Scrambled,
    world: Dataset,
    contexts_of: ContextsOf,
) -> None:
    model = scrambled(name, world)
    assert isinstance(model, DirectedDAGNN)
    contexts = contexts_of(world)
    expected = dense_scores(model, world)[contexts.last - 1]
    assert torch.allclose(model(contexts), expected, atol=1e-5)


def test_the_counts_of_steps_are_the_weights(
    walks: Callable[..., object],
    dataset_of: Callable[..., Dataset],
    scrambled: Scrambled,
) -> None:
    dataset = dataset_of([walks("t1 s1"), walks("t1 s1"), walks("t1 s1"), walks("t1 s2")])
    model = scrambled("directed_dagnn", dataset)
    assert isinstance(model, DirectedDAGNN)
    s1, s2, t1 = range(3)
    states = torch.zeros(3, 1)
    states[t1] = 8.0
    # from t1's 8 the first inner step sends .9 * 8 * 3/4 and .9 * 8 * 1/4 and keeps .1 * 8; each
    # later one sends .9 * .8 times the same shares
    assert model.hop(states)[[s1, s2, t1], 0].tolist() == pytest.approx([0.54, 0.18, 0.8])


def test_hops_weigh_alike_before_training(
    config: Config,
    tiny: Dataset,
    facts_of: FactsOf,
) -> None:
    model = build(config("model", "directed_dagnn", hops=3), "model", facts_of(tiny))
    assert model.hop_weight.softmax(dim=0).tolist() == [0.25] * 4


def test_statistics_are_those_of_all_nodes(
    scrambled: Scrambled,
    tiny: Dataset,
    contexts_of: ContextsOf,
) -> None:
    model = scrambled("directed_dagnn_paper", tiny)
    assert isinstance(model, DirectedDAGNN)
    contexts = contexts_of(tiny)
    norm = model.first[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    norm.momentum = None  # a plain average: after one step, that step's
    norm.reset_running_stats()
    model.train()(Contexts(contexts.dag, contexts.entries[:1]))
    expected = model.first[0](model.features()).mean(dim=0)
    assert torch.allclose(norm.running_mean, expected, atol=1e-6)


@pytest.mark.parametrize(
    "setting",
    [{"hidden": 1}, {"hops": -1}, {"inner_steps": 0}, {"restart": 1.0}, {"dropout_hidden": 1.0}],
)
def test_settings_out_of_range(
    setting: dict[str, float], scrambled: Scrambled, tiny: Dataset
) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(setting))} is"):
        scrambled("directed_dagnn", tiny, **setting)
