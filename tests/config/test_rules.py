import pytest
from omegaconf import OmegaConf

from dagrec_cli.config.build import (
    check_loss_and_sampler,
    check_sampler_and_mask,
    check_settings,
    seeds_of,
)
from dagrec_cli.config.kinds import Natural, TwoOrMore
from dagrec_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("needs_negatives", "n_sample", "message"),
    [
        (True, 0, "loss any needs negatives but sampler is none; add sampler=popularity or"),
        (False, 7, "loss any scores every service .* draws 7; use sampler=none, or loss=bpr"),
    ],
)
def test_a_loss_has_negatives_if_it_needs_some(
    needs_negatives: bool, n_sample: int, message: str
) -> None:
    check_loss_and_sampler("any", needs_negatives=not needs_negatives, n_sample=n_sample)
    with pytest.raises(ConfigError, match=message):
        check_loss_and_sampler("any", needs_negatives=needs_negatives, n_sample=n_sample)


@pytest.mark.parametrize(
    ("seed", "seeds", "expected"),
    [
        (3, None, [3]),
        (3, [0, 2], [0, 2]),
        (3, OmegaConf.create([5]), [5]),
        (2**32 - 1, None, [2**32 - 1]),
    ],
)
def test_seeds_win_over_the_seed(seed: int, seeds: object, expected: list[int]) -> None:
    assert seeds_of(seed, seeds) == expected


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "1", None])
def test_seeds_that_are_none(seed: object) -> None:
    with pytest.raises(ConfigError, match="seed is"):
        seeds_of(seed, None)
    with pytest.raises(ConfigError, match="seed is"):
        seeds_of(0, [0, seed])


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_stand_once(seeds: list[int]) -> None:
    with pytest.raises(ConfigError, match="one or more seeds, each once"):
        seeds_of(0, seeds)


@pytest.mark.parametrize("seeds", [3, "0,1"])
def test_seeds_are_a_list(seeds: object) -> None:
    with pytest.raises(ConfigError, match=r"give a list, such as seeds=\[0,1,2\]"):
        seeds_of(0, seeds)


def test_a_key_that_nothing_reads() -> None:
    config = OmegaConf.create({"model": {}, "seed": 2})
    check_settings(config, "model", "seeds", seed=Natural)
    with pytest.raises(ConfigError, match=r"unknown setting 'seed'; did you mean seeds\? known: m"):
        check_settings(config, "model", "seeds")
    with pytest.raises(ConfigError, match=r"unknown setting 'model'; known: seed"):
        check_settings(config, seed=Natural)


def test_a_setting_of_the_top_level_out_of_its_range() -> None:
    config = OmegaConf.create({"wanted": 1, "given": "${wanted}"})
    with pytest.raises(ConfigError, match=r"given is 1; use a whole number of 2 or more\."):
        check_settings(config, wanted=Natural, given=TwoOrMore)


def test_successors_need_the_mask() -> None:
    with pytest.raises(ConfigError, match=r"model\.mask is none; use model\.mask=hard"):
        check_sampler_and_mask("successors", needs_mask=True, mask="none")
    check_sampler_and_mask("successors", needs_mask=True, mask="hard")
    check_sampler_and_mask("uniform", needs_mask=False, mask="none")
