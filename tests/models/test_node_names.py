"""Names that are read: a node that training never met is known by what it is called."""

from collections.abc import Callable
from importlib import util
from itertools import combinations

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.naming import Naming
from dagrec_cli.data.queries import query_of
from dagrec_cli.evaluation.evaluator import evaluate_rows, score_contexts
from dagrec_cli.evaluation.recommender import recommend
from dagrec_cli.export.onnx_model import OnnxError, onnx_bytes
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.node_features import NodeEmbedding
from dagrec_cli.models.layers.node_names import MOST_LETTERS, NodeNames, grams_of
from dagrec_cli.promises.models import PROMISES, ModelOption, trained

Config = Callable[..., DictConfig]

OF_WEIGHTS = {"ignores_batch_and_padding", "trains_all_weights", "is_saved_whole"}
NETWORKS = ["gru4rec", "sasrec", "dagnn", "dag_transformer", "srgnn", "gpt"]
FITTED = (
    "t1 sloadImage ssave",
    "t1 sloadModel ssample ssave",
    "t2 sreadFile smail",
    "t2 sreadMail smail",
)
NEW = ("t1 sloadSound ssave", "t1 sqqq ssave", "t1 sxyz ssave")  # the last two are like no other


@pytest.fixture(scope="module")
def fitted(walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]) -> Dataset:
    """What is fitted, in the numbers of a model that knows its names."""
    data = dataset_of([walks(each) for each in FITTED], context="dag")
    return data.known_by(data.vocabulary_of(np.arange(len(data.pairs.context))))


@pytest.fixture(scope="module")
def tested(
    walks: Callable[..., Composition], dataset_of: Callable[..., Dataset], fitted: Dataset
) -> Dataset:
    """Other data in the same numbers, with names that the model does not know."""
    return dataset_of([walks(each) for each in NEW], context="dag").known_by(fitted.vocabulary)


@pytest.fixture
def make(config: Config, fitted: Dataset) -> Callable[..., TorchModel]:
    """A function of YAML and settings: the model, dropout off."""

    def made(name: str, **settings: object) -> TorchModel:
        torch.manual_seed(0)
        facts = Facts(fitted.vocabulary, fitted.graph(), fitted.followed)
        still = {"dropout_embed": 0.0, "dropout_hidden": 0.0, "mask": "none"}
        model: TorchModel = build(config("model", name, **still, **settings), "model", facts)
        return model.eval()

    return made


def grams_by_hand(name: str) -> set[str]:
    word = f"<{name.split('_', 1)[1].lower()}>"
    return {word[a:b] for a, b in combinations(range(len(word) + 1), 2) if 3 <= b - a <= 5}


def by_hand(names: NodeNames, name: str) -> Tensor:
    """Return the vector of a name, n-gram by n-gram."""
    rows = [names.row[gram] for gram in grams_by_hand(name) if gram in names.row]
    total = torch.zeros(names.grams.shape[1])
    for row in rows:
        total = total + names.grams[row]
    return total / max(len(rows), 1) ** 0.5


@torch.no_grad()
def test_a_name_is_the_sum_of_those_n_grams_that_two_names_share(fitted: Dataset) -> None:
    known = fitted.vocabulary.nodes[:-2]  # without UNKNOWN ones
    names = NodeNames(fitted.vocabulary, 3, std=1.0)
    shared = set[str]()
    for one, other in combinations(known, 2):
        shared |= grams_by_hand(one) & grams_by_hand(other)
    assert names.row.keys() == shared >= {"<load", "mail>"}
    unknown = ("service_LoadSound", "table_load", "service_qqq")
    found = names(unknown)
    zero = torch.zeros(3)
    expected = [zero, *(by_hand(names, name) for name in known), zero, zero]
    expected += [by_hand(names, name) for name in unknown]
    assert torch.allclose(found, torch.stack(expected), atol=1e-6)
    assert not found[-1].any()
    assert len(grams_of("service_" + "ab1" * MOST_LETTERS)) < 3 * MOST_LETTERS


@torch.no_grad()
def test_an_unknown_node_is_the_unknown_one_of_its_kind_and_its_name(tested: Dataset) -> None:
    facts = Facts(tested.vocabulary.of_model, tested.graph_of_model(None))
    embedding = NodeEmbedding(facts, 3, 0.0, names=True)
    embedding.weight.normal_()
    unknown, index = tested.as_read.unknown, tested.vocabulary.index
    assert unknown is not None
    assert embedding.names is not None
    node = index["service_loadSound"]
    (found,) = embedding(torch.tensor([node]), unknown)
    vector = embedding.weight[index["UNKNOWN service"]]
    assert torch.allclose(found, vector + by_hand(embedding.names, "service_loadSound"))
    known = torch.arange(facts.n_nodes + 1)
    assert torch.equal(embedding(known, unknown), embedding(known))
    assert torch.equal(embedding(known), embedding.table)


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_tell_unknown_nodes_apart_by_their_names_alone(
    make: Callable[..., TorchModel], tested: Dataset, name: str
) -> None:
    def first_probabilities(model: TorchModel) -> list[float]:
        rows = np.flatnonzero(
            tested.pairs.target == tested.vocabulary.services.index("service_save")
        )
        return evaluate_rows(model, tested, rows).probability.tolist()

    more = {"distances": 2} if name == "dag_transformer" else {}
    like_others, *strange = first_probabilities(make(name, names=True, **more))
    assert strange[0] == pytest.approx(strange[1], abs=1e-6)
    assert abs(like_others - strange[0]) > 1e-4
    without = first_probabilities(make(name))
    assert without == pytest.approx([without[0]] * 3, abs=1e-6)


def test_what_is_asked_is_read_as_the_data_are(
    make: Callable[..., TorchModel], tested: Dataset
) -> None:
    model = make("gru4rec", names=True)
    naming = Naming(tested.vocabulary.of_model, lambda name: name.removeprefix("repo/"))
    texts = [["table_1", "repo/loadSound"], ["table_1", "qqq"]]
    asked = [query_of(names, naming, "model") for names in texts]
    every = np.ones(model.facts.n_services, bool)
    answers = list(recommend(model, asked, 1, every))
    node = tested.contexts.node
    for answer, name in zip(answers, ("service_loadSound", "service_qqq"), strict=True):
        entry = np.flatnonzero(node == tested.vocabulary.index[name]).astype(np.int32)
        scores = score_contexts(model, Contexts(tested.as_read, entry)).own[0]
        chance = torch.from_numpy(scores).softmax(0)
        assert answer.services[0].service == model.facts.vocabulary.services[int(chance.argmax())]
        assert answer.services[0].probability == pytest.approx(float(chance.max()), abs=1e-5)
        assert list(answer.replaced.values()) == ["UNKNOWN service"]
    assert answers[0].services != answers[1].services


@pytest.mark.parametrize(("names", "right"), [(True, 2), (False, 0)])
def test_names_are_learnt(
    make: Callable[..., TorchModel], fitted: Dataset, names: bool, right: int
) -> None:
    model = trained(make("gru4rec", names=names, num_layers=1), fitted, epochs=45)
    naming = Naming(fitted.vocabulary)
    asked = [query_of(["table_1", name], naming, "model") for name in ("readSound", "readWhatever")]
    found = recommend(model, asked, 1, np.ones(model.facts.n_services, bool))
    assert [each.services[0].service for each in found].count("service_mail") == right


def test_onnx_refuses_what_indices_do_not_say(
    make: Callable[..., TorchModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    with pytest.raises(OnnxError, match=r"unknown name; train with model\.names=false"):
        onnx_bytes(make("gru4rec", names=True), merges=False)


@pytest.mark.parametrize("name", ["gru4rec", "sasrec"])
def test_networks_that_read_names_keep_what_every_model_promises(name: str, config: Config) -> None:
    option = ModelOption(config("model", name, names=True))
    asked = [each for each in PROMISES if each.__name__ in OF_WEIGHTS]
    assert [promise(option) for promise in asked] == [""] * len(OF_WEIGHTS)
