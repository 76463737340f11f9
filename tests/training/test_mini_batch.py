from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.mini_batch import shuffled_blocks
from dagrec_cli.training.trainer import Trainer, TrainingStep

Make = Callable[..., Any]
ALL = 10**6


@pytest.fixture
def pairs(tiny: Dataset) -> TrainingPairs:
    return TrainingPairs.of(tiny, np.arange(len(tiny.pairs.context)), None, distinct=True)


def contexts_of(steps: list[TrainingStep]) -> list[list[list[list[int]]]]:
    """Spell the contexts of each batch of each step."""
    return [
        [
            [
                nodes[:k]
                for nodes, k in zip(
                    b.contexts.rows.nodes.tolist(), b.contexts.rows.length, strict=True
                )
            ]
            for b in step.batches
        ]
        for step in steps
    ]


def test_every_context_comes_once_an_epoch_with_all_its_pairs(
    trainer: Make, tiny: Dataset, pairs: TrainingPairs
) -> None:
    mini: Trainer = trainer("mini_batch", batch_size=3, accumulate=2)
    found = []
    for step in mini.steps(pairs, epoch=1, seed=0):
        batches = list(step.batches)
        weight = sum(batch.weight.sum().item() for batch in batches)
        assert {batch.total for batch in batches} == {weight}
        assert step.share == pytest.approx(weight / len(tiny.pairs.target))
        for batch in batches:
            assert len(batch.contexts) <= 3
            last = batch.contexts.rows.nodes.tolist()
            rows = zip(batch.row.tolist(), batch.target.tolist(), batch.weight, strict=True)
            found += [(tuple(filter(None, last[k])), t, w.item()) for k, t, w in rows]
    expected: dict[tuple[tuple[int, ...], int], int] = {}
    for context, target in zip(tiny.pairs.context, tiny.pairs.target, strict=True):
        key = (tuple(tiny.contexts.spell(context)), int(target))
        expected[key] = expected.get(key, 0) + 1
    assert sorted(found) == sorted((*key, count) for key, count in expected.items())


def test_seed_and_epoch_decide_the_order(trainer: Make, pairs: TrainingPairs) -> None:
    mini: Trainer = trainer("mini_batch", batch_size=4)
    orders = [
        contexts_of(list(mini.steps(pairs, e, s))) for e, s in [(1, 0), (1, 0), (2, 0), (1, 1)]
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 9))
def test_blocks_stay_together(n: int, size: int, seed: int) -> None:
    order = shuffled_blocks(n, size, np.random.default_rng(seed))
    assert sorted(order) == list(range(n))
    blocks = np.split(order, np.flatnonzero(np.diff(order) != 1) + 1)
    starts = sorted(int(block[0]) for block in blocks)
    assert {(start - starts[-1]) % size for start in starts[1:]} <= {0}
    assert len(starts) <= 1 + -(-n // size)


def test_blocks_move_and_change_places() -> None:
    orders = [shuffled_blocks(30, 5, np.random.default_rng(seed)) for seed in range(9)]
    assert len({order[0] % 5 for order in orders}) > 2  # where blocks begin
    assert len({order[0] // 5 for order in orders}) > 2  # which comes first


def test_a_step_of_blocks_has_fewer_prefixes(trainer: Make) -> None:
    """All 363 contexts over three nodes, up to five long; a context costs its prefixes."""
    spelt = [c for length in range(1, 6) for c in product((1, 2, 3), repeat=length)]
    trie, entries = paths(spelt)
    one = torch.ones(len(entries), dtype=torch.long)
    every = Contexts(trie, entries)
    pairs = TrainingPairs(every, np.ones_like(entries), one, one.float(), None)
    cost = {}
    for blocks in (2, 32):
        mini = trainer("mini_batch", batch_size=32, blocks_per_step=blocks)
        batches = [batch for step in mini.steps(pairs, 1, 0) for batch in step.batches]
        cost[blocks] = sum(sum(batch.contexts.levels.sizes) for batch in batches)
    assert len(entries) < cost[2] < 1.4 * len(entries)
    assert cost[32] > 2 * len(entries)


@pytest.mark.parametrize("mask", ["none", "hard"])
def test_one_batch_of_all_contexts_is_the_full_batch(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make, weights: Make, mask: str
) -> None:
    mini, full = gru4rec(mask=mask), gru4rec(mask=mask)
    settings = {"epochs": 5, "learning_rate": 0.01}
    one = fit(trainer("mini_batch", batch_size=ALL, **settings), mini, tiny)
    other = fit(trainer("full_batch", **settings), full, tiny)
    assert torch.allclose(weights(mini), weights(full), atol=1e-5)
    losses = [[row["loss"] for row in history.rows] for history in (one, other)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 6), (2, 3), (3, 2), (4, ALL)])
def test_accumulated_gradients_equal_the_large_batch(
    trainer: Make,
    gru4rec: Make,
    tiny: Dataset,
    fit: Make,
    weights: Make,
    batch_size: int,
    accumulate: int,
) -> None:
    """Batches have unequal weights and, at an epoch's end, unequal numbers of contexts."""
    settings = {"epochs": 5, "learning_rate": 0.01}
    small, large = gru4rec(mask="hard"), gru4rec(mask="hard")
    parts = trainer("mini_batch", batch_size=batch_size, accumulate=accumulate, **settings)
    whole = trainer("mini_batch", batch_size=batch_size * accumulate, accumulate=1, **settings)
    one, other = fit(parts, small, tiny), fit(whole, large, tiny)
    assert torch.allclose(weights(small), weights(large), atol=1e-5)
    assert one.rows[-1]["loss"] == pytest.approx(other.rows[-1]["loss"], abs=1e-6)


def test_it_learns_more_in_an_epoch_of_several_steps(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make
) -> None:
    settings = {"epochs": 10, "learning_rate": 0.01}
    mini = fit(trainer("mini_batch", batch_size=4, **settings), gru4rec(), tiny)
    full = fit(trainer("full_batch", **settings), gru4rec(), tiny)
    assert mini.rows[-1]["loss"] < full.rows[-1]["loss"] - 0.1


class FailsFrom(CrossEntropy):
    """Cross-entropy that is not finite from one call on."""

    def __init__(self, call: int) -> None:
        super().__init__(label_smoothing=0.0)
        self.left = call

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        self.left -= 1
        return super().__call__(scores, target) * (1.0 if self.left > 0 else torch.nan)


def test_a_step_in_mid_epoch_that_fails_goes_back_to_the_epoch_s_start(
    trainer: Make, gru4rec: Make, tiny: Dataset, fit: Make, weights: Make
) -> None:
    model, good = gru4rec(), gru4rec()
    mini = trainer("mini_batch", batch_size=4, epochs=9)
    n_steps = -(-len(np.unique(tiny.pairs.context)) // 4)
    assert n_steps > 2
    fit(trainer("mini_batch", batch_size=4, epochs=2), good, tiny)
    with pytest.raises(TrainingError, match=r"epoch 3: .* weights of epoch 2 are kept"):
        fit(mini, model, tiny, FailsFrom(2 * n_steps + 2))
    assert torch.equal(weights(model), weights(good))


@pytest.mark.parametrize("setting", ["batch_size", "accumulate", "blocks_per_step"])
def test_settings_out_of_range(trainer: Make, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"trainer.{setting} is 0; use a whole number of 1 or"):
        trainer("mini_batch", **{setting: 0})
