"""Bins of probability: of equal counts, with the error that they add up to."""

import numpy as np
import pytest

from dagrec_cli.evaluation.calibration import BINS, calibration_error, reliability


def test_bins_and_their_error_by_hand() -> None:
    believed = np.repeat([0.25, 0.5, 1.0], [40, 20, 20])
    is_right = np.arange(80) % 4 == 0
    is_right[60:] = True
    bins = reliability(believed, is_right, np.arange(80))
    assert [each[:2] for each in bins] == [(0.25, 0.25), (0.5, 0.25), (1.0, 1.0)]  # ties: one bin
    assert [each.n for each in bins] == [40, 20, 20]
    assert calibration_error(bins) == pytest.approx(0.25 * 20 / 80)
    assert all(0 <= each.low < each.accuracy <= each.high <= 1 for each in bins)


def test_what_is_drawn_from_its_probabilities_is_calibrated_and_what_is_not_is_found() -> None:
    rng = np.random.default_rng(0)
    believed = rng.random(20_000)
    bins = reliability(believed, rng.random(20_000) < believed, np.arange(20_000))
    assert [each.n for each in bins] == [2_000] * BINS
    assert sum(each.low <= each.confidence <= each.high for each in bins) >= BINS - 2
    assert calibration_error(bins) < 0.02
    sure = reliability(believed**0.5, rng.random(20_000) < believed, np.arange(20_000))
    assert calibration_error(sure) == pytest.approx(2 / 3 - 1 / 2, abs=0.02)


def test_pairs_of_one_group_are_no_news_to_each_other() -> None:
    believed, is_right = np.full(80, 0.5), np.arange(80) // 8 % 2 == 0
    (alone,) = reliability(believed, is_right, np.arange(80))
    (together,) = reliability(believed, is_right, np.arange(80) // 8)
    assert alone[:2] == together[:2] == (0.5, 0.5)
    assert together.high - together.low > 2 * (alone.high - alone.low)
