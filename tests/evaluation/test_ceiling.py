"""The best function of what is known, counted where something occurs and nowhere else."""

import tracemalloc

import numpy as np
import pytest

from dagrec_cli.evaluation.ceiling import best_function
from dagrec_cli.evaluation.ranks import outcomes


@pytest.mark.parametrize("seed", range(20))
def test_it_ranks_as_a_table_of_all_counts_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_services = int(rng.integers(1, 9))
    n_pairs = int(rng.integers(1, 60))
    known = rng.choice([0, 3, 4, 900], n_pairs).astype(np.int32)
    target = rng.integers(0, n_services, n_pairs).astype(np.int32)
    values, row = np.unique(known, return_inverse=True)
    counts = np.zeros((len(values), n_services))
    weight = None if seed % 2 else rng.integers(1, 4, n_pairs) / 8
    np.add.at(counts, (row, target), 1 if weight is None else weight)
    found = best_function(known, target, n_services, weight)
    expected = outcomes(counts, row, target)
    for name in ("target", "predicted", "better", "tied"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)


def test_many_services_take_no_table() -> None:
    rng = np.random.default_rng(0)
    known, target = np.arange(20_000), rng.integers(0, 50_000, 20_000)
    tracemalloc.start()
    found = best_function(known, target, 50_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.predicted == target).all()
    assert peak < 10_000_000  # the table has 4 GB
