"""What owners prefer: by hand, without what is hidden from a row, in the loss and in the scores."""

from collections import Counter
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Generator

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.split_base import SplitUnits
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers import preferences
from dagrec_cli.models.layers.count_prior import Hidden
from dagrec_cli.models.layers.preferences import OwnerPreferences
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.samplers.uniform import UniformSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.step import BatchLoss

STEPS = [
    *(("t1 s1", "ann", 0), ("t1 s1", "ann", 0), ("t2 s1", "ann", 0), ("t1 s2", "ann", 1)),
    *(("t2 s2", "ann", 7), ("t2 s1", "bob", 1), ("t1 s3", "bob", 2), ("t2 s3", "bob", 4)),
    *(("t1 s3", "cid", 3), ("t2 s3", None, 4), ("t1 s4", "dan", 5), ("t2 s1", "dan", 6)),
    *(("t1 s1", "dan", 2), ("t1 s1", "dan", 7), ("t1 s2", "eve", 6), ("t1 s3", "eve", 7)),
]
UNIT = np.array([unit for *_, unit in STEPS], np.int32)
EVERY = np.arange(len(STEPS))
N_OWNERS, N_SERVICES, NEAREST, CID = 6, 4, 2, 3
Call = tuple[int, int, float]


@pytest.fixture(scope="module")
def owned(
    walks: Callable[..., Composition], dataset_of: Callable[[list[Composition]], Dataset]
) -> Dataset:
    every = dataset_of([walks(walk)._replace(owner=owner) for walk, owner, _ in STEPS])
    return every.with_owners_of(EVERY)


def by_hand(calls: list[Call], owner: int) -> NDArray[np.float64]:
    """Return the shares of services for an owner: his own calls, like owners', then anybody's."""
    counts = np.zeros((N_OWNERS, N_SERVICES))
    for who, service, worth in calls:
        counts[who, service] += worth
    popular = counts.sum(0) + 4 / N_SERVICES
    worth = 4 * popular / popular.sum()
    if not owner or not counts[owner].any():
        return worth / worth.sum()
    others = [o for o in range(1, N_OWNERS) if o != owner and counts[o].any()]
    length = np.sqrt((counts**2).sum(1))
    cosine = {o: counts[owner] @ counts[o] / length[owner] / length[o] for o in others}
    for o in sorted(others, key=lambda o: -cosine[o])[:NEAREST]:
        worth += 4 * cosine[o] * counts[o] / counts[o].sum()
    worth += counts[owner]
    return worth / worth.sum()


@pytest.mark.parametrize("kind", get_args(Hidden))
def test_a_training_row_sees_what_a_test_row_would(
    owned: Dataset, monkeypatch: pytest.MonkeyPatch, kind: Hidden
) -> None:
    monkeypatch.setattr(preferences, "NEIGHBOURS", NEAREST)
    unit, alpha = (EVERY, 1.0) if kind == "row" else (UNIT, 0.5)
    contexts, pairs = Contexts.of_pairs(owned, EVERY)
    calls = [*zip(contexts.owner[pairs.context].tolist(), pairs.target.tolist(), strict=True)]
    times = Counter(zip(calls, unit.tolist(), strict=True))
    worth = [times[call, u] ** (alpha - 1) for call, u in zip(calls, unit.tolist(), strict=True)]

    def shares(is_seen: NDArray[np.bool_], who: int) -> object:
        """Return what is to be found, made of some of the pairs."""
        seen = [(*calls[r], worth[r]) for r in np.flatnonzero(is_seen)]
        return pytest.approx(by_hand(seen, who), rel=1e-5)

    layer = OwnerPreferences(owned.vocabulary)
    rows = pairs.distinct(None if kind == "row" else UNIT, alpha)
    found = layer.fill(rows, contexts, kind).beliefs(torch.arange(len(rows.target)))
    for at, log_p in enumerate(found.popularity):
        is_it = (pairs.context == rows.context[at]) & (pairs.target == rows.target[at])
        row = np.flatnonzero(is_it if rows.unit is None else is_it & (rows.unit[at] == UNIT))[0]
        (who, _), own = calls[row], unit[row]
        is_seen = unit < own if kind == "time" else unit != own
        assert log_p.exp().numpy() == shares(is_seen, who)
        if who == CID:  # whose only composition this is, so it tells nothing of him
            assert log_p.exp().numpy() == shares(is_seen, 0)
    assert all(log_p.exp().numpy() == shares(EVERY >= 0, o) for o, log_p in enumerate(layer.log_p))
    assert layer.log_p[CID].exp().numpy() != shares(EVERY >= 0, 0)


@torch.no_grad()
@pytest.mark.parametrize("mask", ["hard", "prior"])
def test_preferences_join_the_scores_and_the_loss(
    owned: Dataset, config: Callable[..., DictConfig], mask: str
) -> None:
    facts = Facts(owned.vocabulary, owned.graph(), owned.followed)
    node = config("model", "gru4rec", owner="preferences", mask=mask)
    model: TorchModel = build(node, "model", facts)
    given = {"priors": model.priors, "units": SplitUnits("group", UNIT)}
    batch = TrainingPairs.of(owned, EVERY, model.hard_mask, distinct=True, **given).whole  # type: ignore[arg-type]
    model.eval()
    assert model.preferences is not None
    model.preferences.weight.data.fill_(0.7)
    *_, log_p = (beliefs.popularity for beliefs in batch.beliefs)
    scores = model.head(model.states(batch.contexts))[batch.row] + 0.7 * log_p
    if model.prior is not None:
        scores = scores + model.prior.of_rows(batch.beliefs[0])
    allowed = scores
    if batch.choices is not None:
        allowed = scores.masked_fill(batch.choices.forbidden[batch.row], -torch.inf)
    by_row = torch.nn.functional.cross_entropy(allowed, batch.target, reduction="none")
    value = BatchLoss(model, CrossEntropy(label_smoothing=0.0), NoSampler(), Generator())(batch)
    assert value.item() == pytest.approx(float(by_row @ batch.weight / batch.total), rel=1e-5)

    sampler = UniformSampler(n_sample=2, exclude_target=True)
    sampler.prepare(torch.ones(N_SERVICES))
    negatives = sampler.sample(batch.target, Generator().manual_seed(1), None)
    margins = scores.gather(1, batch.target[:, None]) - scores.gather(1, negatives)
    by_row = -torch.nn.functional.logsigmoid(margins).mean(1)
    value = BatchLoss(model, BPR(), sampler, Generator().manual_seed(1))(batch)
    assert value.item() == pytest.approx(float(by_row @ batch.weight / batch.total), rel=1e-5)

    contexts = batch.contexts.take(slice(1))
    parts = model.evidence(contexts).parts
    assert torch.allclose(parts["owner"], 0.7 * model.preferences.log_p[contexts.owners[0]])
    assert torch.allclose(sum(parts.values()), model(contexts)[0], atol=1e-5)  # type: ignore[arg-type]
