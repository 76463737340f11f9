from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import (
    build,
    check_loss_and_sampler,
    check_sampler_and_mask,
    check_settings,
    parameters_of,
    plain,
    seeds_of,
)
from dagrec_cli.config.kinds import Count, Natural, TwoOrMore
from dagrec_cli.data.readers.json_file import JsonFile
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.models.gru4rec_paper import GRU4RecPaper
from dagrec_cli.samplers.popularity import PopularitySampler

UNIFORM = "dagrec_cli.samplers.uniform.UniformSampler"


def node_of(**settings: object) -> DictConfig:
    return OmegaConf.create(settings)


def build_uniform(**settings: object) -> object:
    return build(node_of(_target_=UNIFORM, **settings), "sampler")


def test_the_object_has_the_settings_of_its_node() -> None:
    built = build_uniform(n_sample=3, exclude_target=False)
    assert isinstance(built, PopularitySampler)
    assert (built.n_sample, built.exclude_target) == (3, False)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os.getcwd", "is no class of os"),
        ("dagrec_cli_other.models.Model", "does not exist"),
        ("", "does not exist"),
        ("dagrec_cli.models.nothing.Model", "does not exist"),
        ("dagrec_cli.models.gru4rec.GRU5Rec", "does not exist"),
        ("dagrec_cli.data.dataset.build_dataset", "is no class"),
    ],
)
def test_what_is_no_class_is_not_built(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(node_of(_target_=target), "model")


def test_a_target_inside_a_setting_is_not_called(config: Callable[..., DictConfig]) -> None:
    inside = {"_target_": "os.getcwd"}
    built = build(config("data", "compositions", download=inside), "data")
    assert isinstance(built, JsonFile)
    assert built.download == inside


def test_an_unknown_setting_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"sampler.n_samples is no .* mean sampler.n_sample\?"):
        build_uniform(n_samples=3, exclude_target=True)


def test_an_unknown_setting_with_no_near_name() -> None:
    with pytest.raises(ConfigError) as caught:
        build_uniform(n_sample=3, exclude_target=True, zzz=1)
    assert "sampler.zzz is no setting" in str(caught.value)
    assert "did you mean" not in str(caught.value)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"sampler.exclude_target is missing"):
        build_uniform(n_sample=3)


def test_a_trainer_of_an_earlier_version_draws_as_it_did(
    config: Callable[..., DictConfig],
) -> None:
    node = config("trainer", "mini_batch", validation_draw=3)
    draw, monitor = (
        OmegaConf.masked_copy(node, [key for key in node if key != name])
        for name in ("validation_draw", "monitor")
    )
    assert build(draw, "trainer").validation_draw == 0
    with pytest.raises(ConfigError, match=r"trainer.monitor is missing"):  # tables read it there
        build(monitor, "trainer")


def test_a_defect_inside_a_constructor_stays_visible(
    config: Callable[..., DictConfig],
) -> None:
    with pytest.raises(TypeError, match="facts"):
        build(config("model", "popularity"), "model")  # without its facts


def test_settings_handed_to_the_parent_count_once() -> None:
    assert [*parameters_of(GRU4RecPaper)][:2] == ["max_len", "encoding"]
    assert sorted(parameters_of(GRU4RecPaper)) == sorted(["max_len", *parameters_of(GRU4Rec)])
    assert "hidden" in parameters_of(GRU4Rec)


def test_plain_resolves() -> None:
    assert plain(node_of(a=1, b="${a}", c=[{"d": "${b}"}])) == {"a": 1, "b": 1, "c": [{"d": 1}]}


@pytest.mark.parametrize("value", ["no", "yes", 0, None])
def test_a_flag_takes_true_or_false_only(value: object) -> None:
    node = OmegaConf.create(
        {
            "_target_": "dagrec_cli.samplers.uniform.UniformSampler",
            "n_sample": 4,
            "exclude_target": value,
        }
    )
    with pytest.raises(ConfigError, match=r"sampler\.exclude_target is .*; use true or false"):
        build(node, "sampler")


OWN = """
from __future__ import annotations
from typing import TYPE_CHECKING
from dagrec_cli.config.kinds import Count
if TYPE_CHECKING:
    from nowhere import Shape
class Known:
    def __init__(self, *, size: Count, rest=None) -> None: ...
class Hidden:
    def __init__(self, *, size: Count, shape: Shape) -> None: ...
"""


def test_annotations_that_are_texts_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_annotations.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own = import_module("own_annotations")
    assert parameters_of(own.Known) == {"size": Count, "rest": Any}
    assert parameters_of(own.Hidden) == {"size": Any, "shape": Any}  # so nothing is checked


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
