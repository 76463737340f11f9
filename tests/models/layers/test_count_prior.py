from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from safetensors.torch import load, save
from torch import Generator

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Pairs
from dagrec_cli.data.split_base import Split, SplitUnits
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers import count_prior
from dagrec_cli.models.layers.count_prior import GENERATIONS, SMOOTHING, CountPrior
from dagrec_cli.models.layers.interpolated_counts import Beliefs
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.samplers.uniform import UniformSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.step import BatchLoss

N_ROWS, N_SERVICES = 1000, 7
NAMES = tuple("abcdefg")
KNOWN = Vocabulary(NAMES, (True,) * N_SERVICES, NAMES)


def walked(tiny: Dataset, *owners: str) -> tuple[Dataset, dict[int, tuple[int, ...]]]:
    """Return 1,000 pairs of four owners after walks over 3 nodes, and the walk of each entry."""
    rng = np.random.default_rng(0)
    walks = sorted({tuple(rng.integers(1, 4, size)) for size in rng.integers(1, 12, 300)})
    contexts, entries = paths([list(map(int, walk)) for walk in walks])
    columns = (rng.integers(high, size=N_ROWS) for high in (len(entries), N_SERVICES, 90))
    context, target, composition = (column.astype(np.int32) for column in columns)
    owner = np.arange(90, dtype=np.int32) % 4 - 1
    names = replace(tiny.vocabulary, owners=owners)
    dataset = replace(tiny, vocabulary=names, contexts=contexts, owner=owner, owners=tuple("abc"))
    vars(dataset)["pairs"] = Pairs(entries[context], target, composition)
    return dataset, dict(zip(entries.tolist(), walks, strict=True))


def levels(walk: tuple[int, ...], owner: int) -> list[tuple[object, ...]]:
    """Return what is counted after, ever more of the walk, then, if somebody asks, by owner."""
    ends = [walk[len(walk) - k :] for k in range(min(GENERATIONS, len(walk)) + 1)]
    return [*ends, *(("owner", owner, *end) for end in ends[1:] if owner)]


class Counted:
    """Rows of a walk, an owner and a target, which can be asked what they say of a service."""

    def __init__(self, rows: list[tuple[tuple[int, ...], int, int]]) -> None:
        self.after = defaultdict[tuple[object, ...], list[tuple[int, int]]](list)
        for number, (walk, owner, target) in enumerate(rows):
            for level in levels(walk, owner):
                self.after[level].append((number, target))

    def __call__(
        self,
        walk: tuple[int, ...],
        owner: int,
        is_seen: NDArray[np.bool_],
        unit: NDArray[np.int32],
        repeat_alpha: float,
    ) -> list[list[float]]:
        """Return log p, whether it was seen, and log popularity of each service."""
        p = [1 / N_SERVICES] * N_SERVICES
        popularity, seen = p, [False] * N_SERVICES
        for k, level in enumerate(levels(walk, owner)):
            times = Counter((int(unit[row]), c) for row, c in self.after[level] if is_seen[row])
            counts = defaultdict[int, float](float)
            for (_, c), number in times.items():
                counts[c] += number**repeat_alpha
            total = sum(counts.values()) + SMOOTHING
            p = [(counts[c] + SMOOTHING * p[c]) / total for c in range(N_SERVICES)]
            popularity = p if k == 0 else popularity
            seen = [counts[c] > 0 for c in range(N_SERVICES)] if k == 1 else seen
        return [[log(p[c]), seen[c], log(popularity[c])] for c in range(N_SERVICES)]


def table(beliefs: Beliefs, way: int = 0) -> torch.Tensor:
    """Return what is weighed as a table: rows, services, log p and seen and log popularity."""
    one = beliefs._replace(shift=beliefs.shift[[way]], extra=beliefs.extra[[way]])
    return torch.stack([one.weighed(weights) for weights in torch.eye(3)], dim=2)


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("kind", ["row", "group", "time"])
def test_a_training_row_sees_what_a_test_row_would(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch, kind: str, distinct: bool, is_kept: bool
) -> None:
    monkeypatch.setattr(count_prior, "MOST_KEPT", 10**9 if is_kept else 100)
    monkeypatch.setattr(count_prior, "ROWS_LOOKED_UP", 100)
    by_owner = distinct == is_kept
    data, walk_of = walked(tiny, *"abc" * by_owner)
    fitted = np.flatnonzero(np.random.default_rng(1).random(N_ROWS) < 0.7)
    unit: NDArray[np.int32] = data.pairs.composition
    repeat_alpha = 0.5 if distinct and kind != "row" else 1.0
    prior = CountPrior(KNOWN, 0.0, by_owner)
    pairs = TrainingPairs.of(
        data,
        fitted,
        None,
        distinct=distinct,
        repeat_alpha=repeat_alpha,
        priors=[prior],
        units=SplitUnits(kind, np.arange(N_ROWS, dtype=np.int32) if kind == "row" else unit),  # type: ignore[arg-type]
    )
    owner = data.owner_as_read[unit]
    assert owner.max() == 3 * by_owner
    context, target = data.pairs[:2]
    rows = [(walk_of[int(context[r])], int(owner[r]), int(target[r])) for r in fitted]
    of = {"unit": unit[fitted], "repeat_alpha": repeat_alpha}
    counted, expected = Counted(rows), []
    for place, row in enumerate(fitted):
        is_seen = {
            "row": np.arange(len(fitted)) != place,
            "group": unit[fitted] != unit[row],
            "time": unit[fitted] < unit[row],
        }[kind]
        expected.append((*rows[place], counted(*rows[place][:2], is_seen, **of)))

    contexts = pairs.contexts
    chosen = np.random.default_rng(2).permutation(len(contexts)).astype(np.int32)
    batch = pairs.batch(chosen, pairs.total)
    found = []
    for at, c, weight, told in zip(*batch[1:4], table(*batch.beliefs), strict=True):
        walk, who = (int(each[chosen[at]]) for each in (contexts.entries, contexts.owner))
        times = round(float(weight) ** (1 / repeat_alpha))
        found += [(walk_of[walk], who, int(c), told.tolist())] * times
    ordered = [
        sorted(each, key=lambda row: (*row[:3], np.round(row[3], 3).tolist()))
        for each in (found, expected)
    ]
    assert [row[:3] for row in ordered[0]] == [row[:3] for row in ordered[1]]
    values = (np.array([row[3] for row in each]) for each in ordered)
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-5)

    asked = np.array(list(walk_of), np.int32)  # what is not trained on sees all that is
    askers = (np.arange(len(asked), dtype=np.int32) % 4) * by_owner
    everything = prior(Contexts(data.contexts, asked, owner=askers))
    is_seen = np.ones(len(rows), bool)
    asking = zip(walk_of.values(), askers.tolist(), strict=True)
    by_hand = [counted(walk, who, is_seen, **of) for walk, who in asking]
    assert torch.allclose(everything, torch.tensor(by_hand) @ prior.weights, atol=1e-4)


def test_after_a_node_of_its_group_alone_a_row_sees_what_follows_unknown_ones(
    walks: Callable[..., Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> None:
    """s4 and s5 lead to s9 and s8, and s1, which is in three groups, to s9 and s8."""
    drawn = [
        walks("s1 s9"),
        walks("s1 s8"),
        walks("s4 s9", "s1 s9"),
        walks("s5 s8"),
        walks("s6 s8"),
    ]
    every = dataset_of(drawn)
    rows = np.arange(len(every.pairs.target))
    data = every.known_by(every.vocabulary_of(rows))
    units = SplitUnits("group", data.pairs.composition)
    prior = CountPrior(data.vocabulary, 0.0)
    pairs = TrainingPairs.of(data, rows, None, distinct=True, priors=[prior], units=units)
    p = {}
    batch = pairs.whole
    for at, told in zip(batch.row, table(*batch.beliefs), strict=True):
        last = data.vocabulary.nodes[int(batch.contexts.last[at]) - 1]
        p[last] = told[:, 0].exp().tolist()  # of service_8 and service_9

    def mixed(counts: list[int], before: list[float]) -> list[float]:
        total = sum(counts) + SMOOTHING
        return [(c + SMOOTHING * q) / total for c, q in zip(counts, before, strict=True)]

    s4, s5 = [1 / 2] * 2, [1 / 2] * 2
    for counts in ([3, 1], [2, 0]):  # without the group of s4: after nothing, UNKNOWN
        s4 = mixed(counts, s4)
    for counts in ([2, 3], [1, 1]):
        s5 = mixed(counts, s5)
    assert p["service_4"] == pytest.approx(s4)
    assert p["service_5"] == p["service_6"] == pytest.approx(s5)


def trained_on_all(
    config: Callable[..., DictConfig], dataset: Dataset, split: str, **settings: object
) -> tuple[TorchModel, TrainingPairs]:
    torch.manual_seed(0)
    facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
    model: TorchModel = build(config("model", "gru4rec", mask="prior", **settings), "model", facts)
    rule: Split = build(config("split", split), "split")
    every = np.arange(len(dataset.pairs.context))
    given = {"priors": model.priors, "units": rule.units(dataset)}
    return model, TrainingPairs.of(dataset, every, model.hard_mask, distinct=True, **given)  # type: ignore[arg-type]


def silent(model: TorchModel) -> TorchModel:
    """Return the model with a network that scores all services 0, and other weights."""
    assert model.prior is not None
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    model.prior.weights.data = torch.tensor([0.5, 2.0, 0.25])
    return model


@pytest.mark.parametrize("split", ["paper", "composition"])
def test_the_loss_reads_each_rows_own_prior(
    config: Callable[..., DictConfig], tiny: Dataset, split: str
) -> None:
    model, pairs = trained_on_all(config, tiny, split)
    batch = pairs.whole
    assert silent(model).prior is not None
    scores = table(*batch.beliefs) @ torch.tensor([0.5, 2.0, 0.25])
    every = torch.nn.functional.cross_entropy(scores, batch.target, reduction="none")
    value = BatchLoss(model, CrossEntropy(label_smoothing=0.0), NoSampler(), Generator())(batch)
    assert value.item() == pytest.approx(float(every @ batch.weight / batch.total), rel=1e-5)

    sampler = UniformSampler(n_sample=3, exclude_target=True)
    sampler.prepare(pairs.counts(len(tiny.vocabulary.services)))
    negatives = sampler.sample(batch.target, Generator().manual_seed(1), None)
    margins = scores.gather(1, batch.target[:, None]) - scores.gather(1, negatives)
    by_hand = -torch.nn.functional.logsigmoid(margins).mean(1)
    value = BatchLoss(model, BPR(), sampler, Generator().manual_seed(1))(batch)
    assert value.item() == pytest.approx(float(by_hand @ batch.weight / batch.total), rel=1e-5)


def test_the_prior_is_saved_with_the_model(
    config: Callable[..., DictConfig], tiny: Dataset
) -> None:
    model, pairs = trained_on_all(config, tiny, "paper")
    fresh, _ = trained_on_all(config, tiny, "paper")
    fresh.prior = CountPrior(tiny.vocabulary, 0.0)
    fresh.load_state_dict(load(save(silent(model).state_dict())))
    contexts = pairs.whole.contexts
    expected, found = (each.eval()(contexts) for each in (model, fresh))
    assert torch.equal(found, expected)
    assert expected.std(1).min() > 0


def test_a_dropped_edge_was_never_seen(config: Callable[..., DictConfig], tiny: Dataset) -> None:
    model, pairs = trained_on_all(config, tiny, "paper", edge_dropout=0.5)
    batch = pairs.whole
    assert model.prior is not None
    ways = [table(batch.beliefs[0], way) for way in (0, 1)]
    known, new = (way[torch.arange(len(batch.target)), batch.target] for way in ways)
    is_repeated = known[:, 1] == 1
    assert is_repeated.any()
    assert not new[:, 1].any()
    assert (new[is_repeated, 0] < known[is_repeated, 0]).all()
    assert torch.equal(new[:, 2], known[:, 2])

    as_counted, as_new = (way @ model.prior.weights for way in ways)
    drawn = torch.stack([model.train().prior.of_rows(*batch.beliefs) for _ in range(200)])  # type: ignore[union-attr]
    is_new = drawn.isclose(as_new, atol=1e-5).all(2)
    assert (is_new | drawn.isclose(as_counted, atol=1e-5).all(2)).all()
    assert is_new[:, is_repeated].float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.allclose(model.eval().prior.of_rows(*batch.beliefs), as_counted, atol=1e-5)  # type: ignore[union-attr]


def test_edges_are_dropped_from_a_prior_alone(
    config: Callable[..., DictConfig], tiny: Dataset
) -> None:
    node = config("model", "gru4rec", edge_dropout=0.1)
    facts = Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
    with pytest.raises(ConfigError, match=r"model\.edge_dropout is 0\.1 but model\.mask is hard"):
        build(node, "model", facts)
