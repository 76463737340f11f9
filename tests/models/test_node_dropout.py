"""Nodes of training contexts that are read as UNKNOWN teach a model what that means."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.node_features import NodeEmbedding
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.step import BatchLoss

Config = Callable[..., DictConfig]


@pytest.fixture
def known(tiny: Dataset) -> Dataset:
    """The data of a model that is fitted on all of it: no node is unknown but those two."""
    return tiny.known_by(tiny.vocabulary_of(np.arange(len(tiny.pairs.context))))


@pytest.fixture
def make(config: Config, known: Dataset) -> Callable[..., TorchModel]:
    def made(name: str, **settings: object) -> TorchModel:
        torch.manual_seed(0)
        facts = Facts(known.vocabulary, known.graph(), known.followed)
        model: TorchModel = build(config("model", name, **settings), "model", facts)
        return model

    return made


def unknown_gradient(model: TorchModel, data: Dataset) -> float:
    """Return how far the loss of one step pulls the embeddings of UNKNOWN nodes."""
    pairs = TrainingPairs.of(data, np.arange(len(data.pairs.context)), None, distinct=True)
    loss = BatchLoss(
        model.train(), CrossEntropy(label_smoothing=0.0), NoSampler(), torch.Generator()
    )
    loss(pairs.whole).backward()  # type: ignore[no-untyped-call]
    weights = dict(model.named_parameters())
    gradient = weights[next(key for key in weights if key.endswith("embedding.weight"))].grad
    assert gradient is not None
    return float(gradient[-2:].abs().min(dim=1).values.max())


@pytest.mark.parametrize("name", ["gru4rec", "sasrec", "dagnn", "dag_transformer", "dag_gnn"])
def test_unknown_nodes_learn_from_dropped_ones_alone(
    make: Callable[..., TorchModel], known: Dataset, name: str
) -> None:
    settings = {"mask": "none", **({"tie_weights": False} if name == "sasrec" else {})}
    assert unknown_gradient(make(name, node_dropout=0.4, **settings), known) > 0
    assert unknown_gradient(make(name, **settings), known) == 0
    contexts = Contexts(known.contexts, np.arange(len(known.contexts), dtype=np.int32))
    plain, dropping = (make(name, node_dropout=share, **settings).eval() for share in (0.0, 0.4))
    assert torch.equal(plain(contexts), dropping(contexts))


@pytest.mark.parametrize("first", [0, 1])
def test_that_share_is_read_as_the_unknown_node_of_its_kind(known: Dataset, first: int) -> None:
    facts = Facts(known.vocabulary, known.graph())
    embedding = NodeEmbedding(facts, 3, 0.25, has_padding=not first)
    assert not embedding.weight[-2:].any()
    index = torch.arange(first, facts.n_nodes + 1)
    with torch.no_grad():  # a vector says whose it is
        embedding.weight[:] = index[:, None]
    nodes = index.expand(999, -1)
    torch.manual_seed(0)
    read = embedding.train()(nodes)[..., 0].long()
    changed = read != nodes
    assert known.vocabulary.unknown is not None
    unknown = torch.from_numpy(known.vocabulary.unknown).long()
    assert torch.equal(read[changed], unknown[nodes[changed]])
    assert not changed[nodes == 0].any()
    others = changed[:, 1 - first : -2]
    assert float(others.float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(embedding.eval()(nodes)[..., 0].long(), nodes)


@pytest.mark.parametrize(
    ("name", "vocabulary", "expected"),
    [
        ("gru4rec", "tiny", "with split=paper a model knows all"),
        ("dag_gnn_paper", "known", "is type"),
    ],
)
def test_where_nothing_can_be_dropped_that_is_said(
    tiny: Dataset, known: Dataset, config: Config, name: str, vocabulary: str, expected: str
) -> None:
    data = {"tiny": tiny, "known": known}[vocabulary]
    facts = Facts(data.vocabulary, data.graph(), data.followed)
    with pytest.raises(ConfigError, match=rf"model\.node_dropout is 0\.1.*{expected}"):
        build(config("model", name, node_dropout=0.1), "model", facts)
