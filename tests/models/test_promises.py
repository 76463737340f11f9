"""What every model promises, run over every YAML in configs/model: a new one needs no edit here.

That no model reads the target needs no test: ``forward`` is given contexts, which have none.
"""

from collections.abc import Callable
from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from safetensors.torch import load, save
from torch import Tensor

from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import CountingModel, Facts, Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import Batch, TrainingPairs, encode_once
from dagrec_cli.training.state import TrainingTask
from dagrec_cli.training.step import BatchLoss
from dagrec_cli.training.trainer import FullBatch

LOSS = CrossEntropy(label_smoothing=0.0)
MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))

# Names (or patterns) of models that break a promise on purpose; the tests assert that they do.
CANNOT_TELL_CONTEXTS_APART = {
    "popularity": "ignores the context by definition",
    "gru4rec_paper": "the published read-out sees nothing of a context but its length",
    "*_paper": "the paper's graph models see node types and the graph, in which chains look alike",
}
READS_THE_LAST_NODE_ALONE = {
    **CANNOT_TELL_CONTEXTS_APART,
    "markov": "of order 1 unless it is told",
    **dict.fromkeys(
        ("dag_gnn*", "dagnn2021*", "deep_dag*", "directed_dagnn*"), "the graph's state"
    ),
}
NO_PRIOR = {"backoff", "markov", "popularity", "vsknn", "gru4rec_official"}
PADDING_ONLY = {  # weights that no gradient reaches
    "gru4rec_paper": {"embedding.weight", "gru.weight_ih_l0"},  # reads the steps of padding
}

Make = Callable[..., Model]


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    option: str = request.param
    return option


@pytest.fixture
def make(name: str, config: Callable[..., DictConfig]) -> Make:
    """A function of data set, seed and settings: the model of this YAML."""

    def made(dataset: Dataset, seed: int = 7, **settings: object) -> Model:
        torch.manual_seed(seed)
        facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
        model: Model = build(config("model", name, **settings), "model", facts)
        return model

    return made


@pytest.fixture
def still(name: str, config: Callable[..., DictConfig]) -> dict[str, float]:
    """Settings that switch dropout off."""
    return {key: 0.0 for key in map(str, config("model", name)) if key.startswith("dropout")}


@pytest.fixture
def chains(
    walks: Callable[..., Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> Dataset:
    """Five chains of one shape: ten pairs, each of another context and another target."""
    return dataset_of([walks(f"t{k} s{k} s{k + 5}") for k in range(1, 6)])


def batch_of(dataset: Dataset, model: Model) -> Batch:
    rows = np.arange(len(dataset.pairs.context))
    prior = model.prior if isinstance(model, TorchModel) else None
    return TrainingPairs.of(dataset, rows, model.hard_mask, distinct=True, prior=prior).whole


def train(model: Model, dataset: Dataset, epochs: int = 3) -> Batch:
    rows = np.arange(len(dataset.pairs.context))
    every = TrainingPairs.of(dataset, rows, model.hard_mask, distinct=True)
    if isinstance(model, TorchModel):
        trainer = FullBatch(
            epochs=epochs,
            optimizer="adam",
            learning_rate=0.01,
            weight_decay=0.0,
            momentum=0.0,
            schedule="constant",
            warmup=0.0,
            gradient_clip=1.0,
            distinct_contexts=True,
            repeat_alpha=1.0,
            fit_on="train",
            refit=False,
            validation_share=0.0,
            validate_every=1,
            monitor="ndcg",
            patience=0,
            checkpoint_every=0,
            device="cpu",
            precision=32,
        )
        generator = torch.Generator().manual_seed(0)
        trainer.fit(TrainingTask(model, LOSS, NoSampler(), every, generator))
    else:
        assert isinstance(model, CountingModel)
        pairs = dataset.pairs.distinct()
        _, row = encode_once(pairs)
        model.count(pairs._replace(context=row.astype(np.int32)), every.whole.contexts)
    return every.whole


@torch.no_grad()
def scores(model: Model, contexts: Contexts) -> Tensor:
    result: Tensor = model.eval()(contexts)
    return result


def every_context(dataset: Dataset) -> Contexts:
    return Contexts(dataset.contexts, np.arange(len(dataset.contexts), dtype=np.int32))


def tells_contexts_apart(name: str) -> bool:
    return not any(fnmatch(name, pattern) for pattern in CANNOT_TELL_CONTEXTS_APART)


def test_every_service_has_a_finite_score(make: Make, tiny: Dataset) -> None:
    model = make(tiny)
    train(model, tiny)
    found = scores(model, every_context(tiny))
    assert found.shape == (len(tiny.contexts), len(tiny.vocabulary.services))
    assert found.isfinite().all()


def test_contexts_of_one_length_score_differently(make: Make, name: str, chains: Dataset) -> None:
    model = make(chains)
    train(model, chains)
    contexts = every_context(chains)
    for length in (1, 2):
        found = scores(model, contexts)[contexts.rows.length == length]
        is_alike = torch.allclose(found, found[:1].expand_as(found), atol=1e-5)
        assert is_alike != tells_contexts_apart(name)


def test_what_else_leads_to_the_last_node_is_read(
    make: Make, name: str, walks: Callable[..., Composition], dataset_of: Callable[..., Dataset]
) -> None:
    """Two contexts of one last node, one shape and one shared parent; the other parents differ."""
    drawn = [walks("t1 s1 s2", "t2 s1"), walks("t1 s1 s3", "t3 s1")]
    dataset = dataset_of(drawn, context="dag")
    model = make(dataset)
    train(model, dataset)
    merges = np.flatnonzero(dataset.followed.n_parents > 1).astype(np.int32)
    first, second = scores(model, Contexts(dataset.contexts, merges))
    is_alike = torch.allclose(first, second, atol=1e-5)
    assert is_alike == any(fnmatch(name, pattern) for pattern in READS_THE_LAST_NODE_ALONE)


def test_padding_batch_mates_and_batch_size_change_nothing(make: Make, tiny: Dataset) -> None:
    model = make(tiny)
    train(model, tiny)
    contexts = every_context(tiny)
    expected = scores(model, contexts)

    if isinstance(model, TorchModel):  # counts are of entries, not of rows
        nodes, length = contexts.rows
        padded = Contexts.of_rows(torch.nn.functional.pad(nodes, (0, 3)), length)
        assert torch.allclose(scores(model, padded), expected, atol=1e-5)
    for entry in range(len(tiny.contexts)):
        alone = Contexts(tiny.contexts, np.array([entry], np.int32))
        assert torch.allclose(scores(model, alone)[0], expected[entry], atol=1e-5)


@pytest.mark.parametrize("mask", ["hard", "prior"])
def test_a_gradient_reaches_every_parameter(
    make: Make,
    name: str,
    still: dict[str, float],
    compositions: list[Composition],
    dataset_of: Callable[..., Dataset],
    mask: str,
) -> None:
    dataset = dataset_of(compositions, context="dag")  # some weights are for what merges
    model = make(dataset, **still, **({} if name in NO_PRIOR else {"mask": mask}))
    if not isinstance(model, TorchModel):
        assert not list(model.parameters())
        return
    loss = BatchLoss(model, LOSS, NoSampler(), torch.Generator())(batch_of(dataset, model))
    loss.backward()  # type: ignore[no-untyped-call]
    unreached = {
        weight for weight, p in model.named_parameters() if p.grad is None or not p.grad.any()
    }
    assert unreached == PADDING_ONLY.get(name, set())


def test_ten_pairs_are_learnt(
    make: Make, name: str, still: dict[str, float], chains: Dataset
) -> None:
    model = make(chains, mask="none", **still)
    batch = train(model, chains, epochs=45)
    found = scores(model, batch.contexts)[batch.row]
    assert (len(batch.row), len(set(batch.target.tolist()))) == (10, 10)
    is_learnt = (found.argmax(dim=1) == batch.target).all()
    if isinstance(model, TorchModel):
        is_learnt &= LOSS(found, batch.target).mean() < 0.05
    assert is_learnt == tells_contexts_apart(name)


def test_the_same_seed_gives_the_same_scores(make: Make, tiny: Dataset) -> None:
    models = [make(tiny), make(tiny)]
    found = []
    for model in models:
        torch.manual_seed(1)
        train(model, tiny)
        found.append(scores(model, every_context(tiny)))
    assert torch.equal(*found)


def test_saved_weights_keep_the_scores(make: Make, tiny: Dataset) -> None:
    model, other = make(tiny), make(tiny, seed=8)
    train(model, tiny)
    contexts = every_context(tiny)
    assert not torch.equal(scores(other, contexts), scores(model, contexts))
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(scores(other, contexts), scores(model, contexts))


def test_training_leaves_the_batch_as_it_was(make: Make, tiny: Dataset) -> None:
    model = make(tiny)
    before, after = batch_of(tiny, model), train(model, tiny)
    assert torch.equal(before.contexts.rows.nodes, after.contexts.rows.nodes)
    assert torch.equal(before.contexts.rows.length, after.contexts.rows.length)
    assert torch.equal(before.row, after.row)
    assert torch.equal(before.target, after.target)
    assert torch.equal(before.weight, after.weight)


def test_contexts_never_walked_still_score(make: Make, tiny: Dataset) -> None:
    model = make(tiny, mask="hard")
    train(model, tiny)
    names = ["service_5 table_1 service_5", "service_6 service_4", "service_2 " * 5]
    unseen = [[tiny.vocabulary.index[node] for node in each.split()] for each in names]
    single = [[node] for node in tiny.vocabulary.index.values()]
    assert len(unseen[-1]) > tiny.contexts.depth.max()
    contexts = Contexts(*paths(unseen + single))
    found = scores(model, contexts)
    assert found.isfinite().all()
    assert model.hard_mask is not None
    masked = model.hard_mask(found, contexts.last)
    assert masked.isfinite().any(dim=1).all()
    assert not masked.isnan().any()
