"""What the tests of single models share."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.models.base import CountingModel, Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers import node_graph
from dagrec_cli.models.layers.edge_attention import EdgeAttention

Scrambled = Callable[..., TorchModel]
Counted = Callable[..., CountingModel]


@pytest.fixture(scope="session")
def acyclic(
    walks: Callable[..., Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> Dataset:
    """Four levels; s3 is reached by paths of length 1, 2 and 3."""
    drawn = ["t1 s1 s2 s3 s4", "t1 s3", "t2 s2 s3", "t2 s2", "t3 t4 s1 s3", "t4 s4"]
    return dataset_of([walks(each) for each in drawn])


@pytest.fixture(params=["acyclic", "tiny"])
def world(request: pytest.FixtureRequest) -> Dataset:
    """A data set whose graph has no cycle, and one with a cycle and a step to itself."""
    dataset: Dataset = request.getfixturevalue(request.param)
    return dataset


@pytest.fixture(params=["list", "table"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention along a list of edges, then the same in a table."""
    monkeypatch.setattr(node_graph, "SMALL_CLOSURE", 1e9 if request.param == "table" else 0)
    monkeypatch.setattr(node_graph, "CELLS_PER_EDGE", 0)


@pytest.fixture
def scrambled(config: Callable[..., DictConfig], facts_of: Callable[[Dataset], Facts]) -> Scrambled:
    """A function of YAML, data set and settings: the model with random weights, dropout off."""

    def made(name: str, dataset: Dataset, **settings: object) -> TorchModel:
        model: TorchModel = build(config("model", name, **settings), "model", facts_of(dataset))
        torch.manual_seed(3)
        for weight, value in model.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5) if "running_var" in weight else value.normal_(std=0.3)
        return model.eval()

    return made


@pytest.fixture
def counted(config: Callable[..., DictConfig], facts_of: Callable[[Dataset], Facts]) -> Counted:
    """A function of YAML, data set, rows (all) and settings: the model that has counted."""

    def made(
        name: str, dataset: Dataset, rows: Rows | None = None, **settings: object
    ) -> CountingModel:
        model: CountingModel = build(config("model", name, **settings), "model", facts_of(dataset))
        rows = np.arange(len(dataset.pairs.context)) if rows is None else rows
        contexts, pairs = Contexts.of_pairs(dataset, rows)
        model.count(pairs.distinct(), contexts)
        return model

    return made


@pytest.fixture(scope="session")
def probabilities() -> Callable[..., list[float]]:
    """A function of a model, a data set and names: each service's probability after that path."""

    def made(model: CountingModel, dataset: Dataset, *names: str) -> list[float]:
        contexts = Contexts(*paths([[dataset.vocabulary.index[name] for name in names]]))
        return model(contexts).exp()[0].tolist()  # type: ignore[no-any-return]

    return made


@pytest.fixture
def three_services(
    walks: Callable[..., Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> Dataset:
    """Classes: s1 is 0, s2 is 1, s3 is 2."""
    drawn = ["t1 s1 s2", "t1 s1 s2", "t2 s1 s3", "t2 s2 s3", "t2 s2 s3", "t3 s3"]
    return dataset_of([walks(each) for each in drawn])


@pytest.fixture(scope="session")
def facts_of() -> Callable[[Dataset], Facts]:
    """A function of a data set: what a model has to know of it."""

    def made(dataset: Dataset) -> Facts:
        return Facts(dataset.vocabulary, dataset.graph(), dataset.followed)

    return made


@pytest.fixture(scope="session")
def contexts_of() -> Callable[[Dataset], Contexts]:
    """A function of a data set: all of its contexts."""

    def made(dataset: Dataset) -> Contexts:
        return Contexts(dataset.contexts, np.arange(len(dataset.contexts), dtype=np.int32))

    return made


@pytest.fixture(scope="session")
def parents_of() -> Callable[[Dataset], list[list[int]]]:
    """A function of a data set: the rows of every node's predecessors."""

    def made(dataset: Dataset) -> list[list[int]]:
        graph = dataset.graph()
        rows: list[list[int]] = [[] for _ in dataset.vocabulary.nodes]
        for source, target in zip(graph.source.tolist(), graph.target.tolist(), strict=True):
            rows[target - 1].append(source - 1)
        return rows

    return made


@pytest.fixture(scope="session")
def dense() -> Callable[[EdgeAttention], nn.MultiheadAttention]:
    """A function of an attention along edges: the same as torch has it, over nodes x nodes."""

    def made(attention: EdgeAttention) -> nn.MultiheadAttention:
        plain = nn.MultiheadAttention(attention.out.in_features, attention.heads, batch_first=True)
        query, rest = attention.query, attention.key_value
        plain.in_proj_weight.copy_(torch.cat([query.weight, rest.weight]))
        plain.in_proj_bias.copy_(torch.cat([query.bias, rest.bias]))
        plain.out_proj.load_state_dict(attention.out.state_dict())
        return plain.eval()

    return made


@pytest.fixture
def merging(
    random_compositions: Sequence[Composition], dataset_of: Callable[..., Dataset]
) -> Dataset:
    """Compositions drawn at random, whose contexts are DAGs that merge."""
    dataset: Dataset = dataset_of(random_compositions[:60], context="dag")
    return dataset
