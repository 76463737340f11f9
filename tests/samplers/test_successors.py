import pytest
import torch
from torch import Generator, Tensor

from dagrec_cli.errors import ConfigError
from dagrec_cli.models.layers.dag_mask import AllowedServices
from dagrec_cli.samplers.popularity import PopularitySampler
from dagrec_cli.samplers.successors import SuccessorSampler

COUNTS = torch.tensor([4.0, 1.0, 9.0, 0.0, 16.0])
# After the first context come 0, 1, 2, after the second 4 alone, after the third 3 and 4.
CHOICES = AllowedServices(torch.tensor([3, 1, 2]), torch.tensor([0, 1, 2, 4, 3, 4]), 5)
TARGET = torch.tensor([1, 4, 4])
SHARES = {  # of the negatives, by alpha; the second context falls back to all others
    0.0: [[1 / 2, 0, 1 / 2, 0, 0], [1 / 4, 1 / 4, 1 / 4, 1 / 4, 0], [0, 0, 0, 1, 0]],
    1.0: [[4 / 13, 0, 9 / 13, 0, 0], [4 / 14, 1 / 14, 9 / 14, 0, 0]],
}


def sampler(alpha: float, n_sample: int = 64) -> SuccessorSampler:
    made = SuccessorSampler(n_sample=n_sample, sample_alpha=alpha)
    made.prepare(COUNTS)
    return made


def frequencies(negatives: Tensor) -> Tensor:
    return torch.stack([torch.bincount(row, minlength=5) for row in negatives]) / len(negatives[0])


@pytest.mark.parametrize("alpha", SHARES)
def test_negatives_are_the_other_successors(alpha: float) -> None:
    n, expected = 100_000, torch.tensor(SHARES[alpha])
    rows = len(expected)
    generator = Generator().manual_seed(0)
    found = frequencies(
        sampler(alpha, n).sample(TARGET[:rows], generator, CHOICES.of(torch.arange(rows)))
    )
    five_sigma = 5 * (expected * (1 - expected) / n).sqrt()
    assert ((found - expected).abs() <= five_sigma).all()  # never drawn where 0 is expected


@pytest.mark.parametrize("alpha", SHARES)
def test_expected_numbers_are_shares_times_samples(alpha: float) -> None:
    expected = torch.tensor(SHARES[alpha])
    rows = len(expected)
    every = torch.arange(5).expand(rows, -1)
    found = sampler(alpha, 64).log_expected(TARGET[:rows], every, CHOICES.of(torch.arange(rows)))
    assert torch.allclose(found.exp(), 64 * expected)


def test_a_successor_that_is_never_a_target_competes_only_at_alpha_0() -> None:
    row = {"target": TARGET[2:], "generator": Generator(), "choices": CHOICES.of(torch.tensor([2]))}
    assert set(sampler(0.0).sample(**row)[0].tolist()) == {3}  # type: ignore[arg-type]
    assert set(sampler(1.0).sample(**row)[0].tolist()) == {0, 1, 2}  # type: ignore[arg-type]


def test_without_a_mask_all_others_compete() -> None:
    found = sampler(0.0).sample(TARGET, Generator())
    assert [set(row.tolist()) for row in found] == [{0, 2, 3, 4}, {0, 1, 2, 3}, {0, 1, 2, 3}]


def test_popularity_expects_what_it_draws() -> None:
    for exclude in (True, False):
        other = PopularitySampler(n_sample=200_000, sample_alpha=1.0, exclude_target=exclude)
        other.prepare(COUNTS)
        every = torch.arange(5).expand(3, -1)
        expected = other.log_expected(TARGET, every).exp() / 200_000
        found = frequencies(other.sample(TARGET, Generator().manual_seed(0)))
        is_own = every == TARGET[:, None]
        if exclude:
            assert not found[is_own].any()
            assert torch.allclose(expected[~is_own], found[~is_own], atol=0.01)
        else:
            assert torch.allclose(expected, found, atol=0.01)


def test_one_target_leaves_no_negative() -> None:
    with pytest.raises(ConfigError, match="no negative is left"):
        SuccessorSampler(n_sample=4, sample_alpha=1.0).prepare(torch.tensor([0.0, 3.0]))
