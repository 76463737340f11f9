from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.models.layers.context_gru import ContextGRU

Array = NDArray[np.floating]
Make = Callable[..., GRU4Rec]


@pytest.fixture
def make(config: Callable[..., DictConfig], tiny: Dataset) -> Make:
    def made(dataset: Dataset = tiny, **settings: object) -> GRU4Rec:
        facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
        torch.manual_seed(0)
        model: GRU4Rec = build(config("model", "gru4rec", **settings), "model", facts).eval()
        return model

    return made


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gru_step(x: Array, h: Array, weights: dict[str, Array], layer: int) -> Array:
    """PAPER §3, as torch has it: r multiplies W h + b, not h; torch's z is the paper's 1 - z."""
    by_gate: dict[str, list[Array]] = {
        kind: np.split(weights[f"{kind}_l{layer}"], 3)
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    from_x = [w @ x + b for w, b in zip(by_gate["weight_ih"], by_gate["bias_ih"], strict=True)]
    from_h = [w @ h + b for w, b in zip(by_gate["weight_hh"], by_gate["bias_hh"], strict=True)]
    r = sigmoid(from_x[0] + from_h[0])
    z = 1 - sigmoid(from_x[1] + from_h[1])
    candidate = np.tanh(from_x[2] + r * from_h[2])
    return (1 - z) * h + z * candidate


def test_states_equal_the_paper_s_equations(make: Make, tiny: Dataset) -> None:
    model = make(embedding_dim=3, hidden=4)
    weights = {name: p.detach().numpy() for name, p in model.gru.named_parameters()}
    embedding = model.embedding.weight.detach().numpy()
    entries = np.arange(len(tiny.contexts), dtype=np.int32)

    expected = []
    for entry in entries:
        lower = upper = np.zeros(4, np.float32)
        for node in tiny.contexts.spell(entry):
            lower = gru_step(embedding[node], lower, weights, 0)
            upper = gru_step(lower, upper, weights, 1)
        expected.append(upper)

    found = model.encode(Contexts(tiny.contexts, entries)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("entries", [slice(None), [0], [-1, 3, 3], slice(0, None, 3)])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_both_encodings_give_the_same_states_and_gradients(
    make: Make, tiny: Dataset, layers: int, entries: Any
) -> None:
    """Also of one node alone, of repeated contexts, and where ancestors are no contexts."""
    chosen = np.arange(len(tiny.contexts), dtype=np.int32)[entries]
    contexts = Contexts(tiny.contexts, chosen)
    settings = {"hidden": 6, "num_layers": layers, "dropout_embed": 0.0, "dropout_hidden": 0.0}
    models = [make(encoding=way, **settings).train() for way in ("padded", "entries")]
    found = []
    for model in models:
        states = model.encode(contexts)
        weigh = torch.arange(1.0, states.numel() + 1).view_as(states).sin()
        (states * weigh).sum().backward()  # type: ignore[no-untyped-call]
        found.append([states, *(weight.grad for name, weight in model.named_parameters())])
    for padded, along in zip(*found, strict=True):
        assert (padded is None) == (along is None)  # the head's
        assert padded is None or torch.allclose(padded, along, atol=1e-5)


def state_by_hand(
    model: GRU4Rec, weights: dict[str, Array], dataset: Dataset, layer: int, entry: int
) -> Array:
    """Return a layer's state after an entry, recursively: by the equations, parents merged."""
    parents = dataset.contexts.parents_of(np.array([entry], np.int32))[1].tolist()
    node = dataset.contexts.node[entry]
    x = model.embedding.weight.detach().numpy()[node]
    for below in range(layer):
        x = state_by_hand(model, weights, dataset, below, entry)
    states = np.array([state_by_hand(model, weights, dataset, layer, p) for p in parents])
    if not parents:
        h = np.zeros(model.gru.hidden_size, np.float32)
    elif model.gru.merge == "attention":
        query, bias = weights[f"query.{layer}.weight"], weights[f"query.{layer}.bias"]
        match = np.exp(states @ (query @ x + bias) / model.gru.hidden_size**0.5)
        h = match / match.sum() @ states
    else:
        h = states.mean(axis=0) if model.gru.merge == "mean" else states.max(axis=0)
    return gru_step(x, h, weights, layer)


@pytest.mark.parametrize("merge", ["mean", "max", "attention"])
def test_states_of_what_merges_equal_the_equations(
    make: Make,
    random_compositions: list[Composition],
    dataset_of: Callable[..., Dataset],
    merge: str,
) -> None:
    dataset = dataset_of(random_compositions[:40], context="dag")
    settings = {"embedding_dim": 3, "hidden": 4, "encoding": "entries", "merge": merge}
    model = make(dataset, **settings)
    weights = {name: p.detach().numpy() for name, p in model.gru.named_parameters()}
    entries = np.arange(len(dataset.contexts), dtype=np.int32)
    expected = [state_by_hand(model, weights, dataset, 1, entry) for entry in entries.tolist()]
    found = model.encode(Contexts(dataset.contexts, entries)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("merge", ["mean", "max", "attention"])
def test_of_one_parent_each_merge_is_the_gru_over_rows(
    make: Make, tiny: Dataset, merge: str
) -> None:
    contexts = Contexts(tiny.contexts, np.arange(len(tiny.contexts), dtype=np.int32))
    rows, along = (make(encoding=way, merge=merge) for way in ("padded", "entries"))
    along.load_state_dict(rows.state_dict())
    assert torch.allclose(rows.encode(contexts), along.encode(contexts), atol=1e-6)


def test_what_merges_is_never_read_as_rows_by_rule(
    make: Make, walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """Few cells, so rows would be quicker; but they are another function."""
    dataset = dataset_of([walks("t1 s1 s2", "t2 s1 s3")], context="dag")
    contexts = Contexts(dataset.contexts, np.array([2], np.int32))
    states = [make(dataset, encoding=way).encode(contexts) for way in ("auto", "entries", "padded")]
    assert torch.equal(states[0], states[1])
    assert not torch.allclose(states[0], states[2], atol=1e-3)


@pytest.mark.parametrize(
    ("encoding", "expected"), [("padded", [0, 0]), ("entries", [1, 1]), ("auto", [1, 0])]
)
def test_the_encoding_that_is_chosen(
    make: Make, monkeypatch: pytest.MonkeyPatch, encoding: str, expected: list[int]
) -> None:
    """By rule along the DAG where contexts share prefixes, rows where each has its own."""
    calls: list[object] = []
    along = ContextGRU.along
    monkeypatch.setattr(ContextGRU, "along", lambda *given: calls.append(given) or along(*given))
    model, found = make(encoding=encoding), []
    for rows in ([[1, 2, 3], [1, 2], [1, 2, 4]], [[1, 2, 3], [2, 2, 3], [3, 2, 4]]):
        model.encode(Contexts(*paths(rows)))
        found.append(len(calls))
        calls.clear()
    assert found == expected


def test_rows_alone_are_enough(make: Make, tiny: Dataset) -> None:
    contexts = Contexts(tiny.contexts, np.arange(len(tiny.contexts), dtype=np.int32))
    found = make(encoding="entries").encode(Contexts.of_rows(*contexts.rows))
    assert torch.allclose(found, make(encoding="entries").encode(contexts), atol=1e-5)


def test_dropout_acts_while_training_only(make: Make, tiny: Dataset) -> None:
    model = make()
    contexts = Contexts(tiny.contexts, np.arange(3, dtype=np.int32))
    assert torch.equal(model(contexts), model(contexts))
    model.train()
    assert not torch.equal(model(contexts), model(contexts))


def test_one_layer_is_no_warning(make: Make) -> None:
    assert isinstance(make(num_layers=1).gru, nn.GRU)  # torch warns of dropout in a single layer


@pytest.mark.parametrize(
    "setting",
    [
        {"hidden": 0},
        {"embedding_dim": 0},
        {"num_layers": 0},
        {"dropout_embed": 1.0},
        {"dropout_hidden": -0.1},
        {"encoding": "tree"},
        {"merge": "sum"},
    ],
)
def test_settings_out_of_range(make: Make, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(setting))} is"):
        make(**setting)
