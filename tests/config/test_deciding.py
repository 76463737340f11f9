"""Which settings decide a result: one list, asked by everything that compares configs."""

import pytest
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.deciding import EFFECTS, Effect, effect, settings
from dagrec_cli.config.where import config_dir


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("threads", Effect.NOTHING),
        ("logger", Effect.NOTHING),
        ("logger.uri", Effect.NOTHING),  # inside a group that is listed
        ("data.cache", Effect.NOTHING),
        ("data.path", Effect.PLACE),
        ("data.download.url", Effect.PLACE),
        ("seed", Effect.SEED),
        ("trainer.fit_on", Effect.FINAL),
        ("split.seed", Effect.FIGURES),  # another test set
        ("data.seed", Effect.FIGURES),
        ("data.paths", Effect.FIGURES),  # no part of a name
        ("model.threads", Effect.FIGURES),
        ("what.comes.later", Effect.FIGURES),
    ],
)
def test_what_another_value_changes(key: str, expected: Effect) -> None:
    assert effect(key) is expected


def test_settings_of_some_effects() -> None:
    config = {"seed": 1, "model": {"hidden": 8}, "data": {"path": "a", "cache": True}}
    assert settings(config, {Effect.FIGURES}) == {"model.hidden": 8}
    assert settings(config, {Effect.PLACE, Effect.SEED}) == {"seed": 1, "data.path": "a"}


def test_every_setting_that_is_listed_exists() -> None:
    """A name that is written wrongly, or removed elsewhere, would decide nothing unseen."""
    train = OmegaConf.load(config_dir() / "train.yaml")
    for key in EFFECTS:
        group, _, name = key.partition(".")
        files = (config_dir() / group).glob("*.yaml")
        options = [OmegaConf.load(file) for file in files]
        if name:
            assert any(isinstance(each, DictConfig) and name in each for each in options), key
        else:
            assert group in train or options, key
