"""A config that lacks settings of today gets them from today's configs; what it has stays."""

from collections.abc import Iterator
from typing import Any

import pytest

from dagrec_cli.config.build import plain
from dagrec_cli.config.older import completed
from dagrec_cli.jobs.job import compose_train

CHOICES = [
    "trainer=mini_batch",
    "model=dagnn2021_paper",
    "data=synthetic_galaxy",
    "sampler=popularity",
    "logger=mlflow",
]


def config_of(*overrides: str) -> dict[str, Any]:
    found: dict[str, Any] = plain(compose_train(overrides)[0])
    return found


def settings_of(config: dict[str, Any], group: str) -> Iterator[str]:
    return (key for key in config[group] if key != "_target_")


def without(config: dict[str, Any], group: str, key: str) -> dict[str, Any]:
    return {**config, group: {k: v for k, v in config[group].items() if k != key}}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_missing_setting_gets_the_value_of_its_option(choice: str) -> None:
    config, (group, _) = config_of(choice), choice.split("=")
    keys = list(settings_of(config, group))
    assert keys
    for key in keys:
        found = completed(without(config, group, key))
        assert found.keys() == config.keys()
        assert found[group].keys() == config[group].keys()


def test_the_value_is_that_of_the_class_and_not_of_the_default_option() -> None:
    config = config_of("trainer=mini_batch")
    assert completed(without(config, "trainer", "batch_size")) == config
    assert completed(without(config, "trainer", "device"))["trainer"]["device"] == "auto"


def test_a_missing_group_or_top_level_setting_is_the_default_one() -> None:
    config = config_of("trainer.epochs=7")
    for key in ("logger", "evaluate_on"):
        assert completed({k: v for k, v in config.items() if k != key}) == config


def test_what_is_gone_is_left_out() -> None:
    config = config_of()
    assert completed({**config, "bootstrap": 1000}) == config


def test_what_is_there_stays() -> None:
    config = config_of("trainer.epochs=7", "model.hidden=3", "evaluate_on=validation")
    assert completed(config) == config
    assert completed({"runs": [], "by": None}) == {"runs": [], "by": None}  # of another command


def test_a_setting_that_changed_what_its_class_does_is_what_it_was() -> None:
    config = config_of("split=composition")
    assert config["split"]["join"] == "duplicates"
    assert completed(config) == config
    assert completed(without(config, "split", "join"))["split"]["join"] == "paths"
