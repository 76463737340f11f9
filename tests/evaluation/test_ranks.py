import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrec_cli.errors import TrainingError
from dagrec_cli.evaluation.ranks import UNRANKED, Membership, Outcomes, better_than, outcomes

INF = np.inf


def test_hand_counted_outcomes():
    scores = np.array([[0.5, 0.9, 0.5, 0.1, 0.5], [-INF, 2.0, -INF, 2.0, -INF]])
    found = outcomes(scores, np.array([0, 0, 0, 1, 1]), np.array([2, 1, 3, 0, 3]))

    assert found.target.tolist() == [2, 1, 3, 0, 3]
    assert found.predicted.tolist() == [1, 1, 1, 1, 1]  # row 1: classes 1 and 3 tie, 1 is lower
    assert found.better.tolist() == [1, 0, 4, 2, 0]
    assert found.tied.tolist() == [2, 0, 0, 2, 1]
    assert found.mean_rank.tolist() == [3.0, 1.0, 5.0, 4.0, 1.5]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from([np.float32, np.float64]))
def test_equals_a_loop_over_pairs(seed, chunk, dtype):
    rng = np.random.default_rng(seed)
    n_contexts, n_services, n_pairs = rng.integers(1, 6, size=3)
    scores = rng.choice([-INF, -1.0, 0.25, 0.5, INF], size=(n_contexts, n_services)).astype(dtype)
    rows, targets = rng.integers(n_contexts, size=n_pairs), rng.integers(n_services, size=n_pairs)

    found = outcomes(scores, rows.astype(np.int32), targets.astype(np.int32), chunk=chunk)

    for k, (row, target) in enumerate(zip(rows, targets, strict=True)):
        own, others = scores[row, target], np.delete(scores[row], target)
        assert found.predicted[k] == list(scores[row]).index(max(scores[row]))
        assert found.better[k] == sum(other > own for other in others)
        assert found.tied[k] == sum(other == own for other in others)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_a_mask_puts_what_it_rules_out_behind_the_rest_by_its_own_scores(seed, chunk):
    """The plain way sorts services by (ruled out, score); ties share their places."""
    rng = np.random.default_rng(seed)
    n_contexts, n_services, n_pairs = rng.integers(1, 6, size=3)
    scores = rng.choice([-INF, -1.0, 0.25, 0.5, INF], size=(n_contexts, n_services))
    ruled_out = rng.random((n_contexts, n_services)) < 0.5
    ruled_out[np.arange(n_contexts), rng.integers(n_services, size=n_contexts)] = False
    rows, targets = rng.integers(n_contexts, size=n_pairs), rng.integers(n_services, size=n_pairs)

    found = outcomes(scores, rows, targets, ruled_out, chunk=chunk)

    for k, (row, target) in enumerate(zip(rows, targets, strict=True)):
        keys = list(zip(ruled_out[row], -scores[row], strict=True))
        assert found.predicted[k] == keys.index(min(keys))
        assert found.better[k] == sum(key < keys[target] for key in keys)
        assert found.tied[k] == keys.count(keys[target]) - 1


def test_a_ruled_out_target_keeps_the_place_that_its_score_gives_it():
    """Of 15 services one is allowed; that all others tie would give each of them rank 8.5."""
    scores = np.linspace(2, 1, 15, dtype=np.float32)[None]  # class 0 is the best
    ruled_out = np.arange(15)[None] != 7
    rows = np.zeros(15, int)
    found = outcomes(scores, rows, np.arange(15), ruled_out)
    assert found.mean_rank.tolist() == [2, 3, 4, 5, 6, 7, 8, 1, 9, 10, 11, 12, 13, 14, 15]
    assert found.tied.tolist() == [0] * 15


def test_an_allowed_service_comes_first_even_at_minus_infinity():
    scores, ruled_out = np.array([[3.0, -INF, -INF]]), np.array([[True, False, False]])
    found = outcomes(scores, np.zeros(3, int), np.arange(3), ruled_out)
    assert found.predicted.tolist() == [1, 1, 1]
    assert found.mean_rank.tolist() == [3.0, 1.5, 1.5]


def test_places_are_read_back_from_mean_ranks():
    better, tied, zeros = np.array([0, 2, 3, UNRANKED]), np.array([1, 0, 2, 0]), np.zeros(4, int)
    ranks = Outcomes(zeros, zeros, better, tied).mean_rank
    assert ranks.tolist() == [1.5, 3, 5, INF]
    assert better_than(ranks, tied).tolist() == better.tolist()


def test_pairs_count_alike_or_compositions_do():
    belong = Membership(np.zeros(4, int), np.array([4, 7, 7, 7]), np.arange(4))
    assert belong.weights("step").tolist() == [1] * 4
    assert belong.weights("composition").tolist() == [1, 1 / 3, 1 / 3, 1 / 3]


def test_equal_pairs_are_compared_once(monkeypatch):
    compared, count_nonzero = [], np.count_nonzero
    monkeypatch.setattr(
        np,
        "count_nonzero",
        lambda block, axis: compared.append(len(block)) or count_nonzero(block, axis),
    )
    scores = np.arange(12.0).reshape(3, 4)
    outcomes(scores, np.array([0, 2, 0, 0, 2]), np.array([1, 3, 1, 2, 3]))
    assert compared == [3, 3]  # (0, 1), (0, 2) and (2, 3), once for better and once for tied


def test_memory_is_bounded_by_the_chunk():
    scores = np.random.default_rng(0).normal(size=(1000, 2000))
    tracemalloc.start()
    try:
        outcomes(scores, np.arange(1000), np.arange(1000), chunk=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < scores.nbytes / 20  # all pairs at once would copy every score


def test_nan_is_refused_wherever_it_is():
    scores = np.zeros((3, 4))
    scores[2, 1] = np.nan  # no pair uses this row
    with pytest.raises(TrainingError, match="NaN"):
        outcomes(scores, np.array([0]), np.array([0]))


@pytest.mark.parametrize(("row", "target"), [(0, 4), (0, -1), (2, 0), (-1, 0)])
def test_pairs_outside_the_scores_are_refused(row, target):
    with pytest.raises(ValueError, match="spans"):
        outcomes(np.zeros((2, 4)), np.array([row]), np.array([target]))
