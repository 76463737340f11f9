"""Hydra says each text that ``app/hydra_texts.py`` reads; a newer wording fails here."""

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dagrec_cli.app import hydra_texts
from dagrec_cli.app.hydra_texts import (
    NoName,
    NoOption,
    NoSetting,
    Other,
    SeveralValues,
    Stumble,
    TooDeep,
    first_line,
    help_with,
    read,
)
from dagrec_cli.config.composed import composed

DEEP = f"split.test_share={'[' * 200}{']' * 200}"


def error_of(word: str) -> Exception:
    """Return what composing with an override raises."""
    try:
        composed("train", [word])
    except Exception as error:
        return error
    raise AssertionError(f"Hydra takes {word}")


def test_no_option() -> None:
    said = read(error_of("split=nosuch"))
    assert said == NoOption("split", "nosuch", ["composition", "paper", "temporal"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trainer.nosuch=1", NoSetting("trainer.nosuch")),
        ("nosuch=1", NoSetting("nosuch")),
        ("seed=0,1", SeveralValues("seed", "0,1")),
        ("model=gru4rec,markov", SeveralValues("model", "gru4rec,markov")),
        ("data=[true]", NoName()),
        ("~model=[1]", NoName()),
        (DEEP, TooDeep()),
    ],
)
def test_what_is_wrong_with_a_setting(word: str, said: object) -> None:
    assert read(error_of(word)) == said


def test_a_text_of_no_kind_is_one_line_with_its_key() -> None:
    node = OmegaConf.create({"a": {"b": "${nosuch}"}})
    with pytest.raises(OmegaConfBaseException) as caught:
        str(node.a.b)
    assert read(caught.value) == Other("a.b: Interpolation key 'nosuch' not found.")
    assert first_line(caught.value) == "Interpolation key 'nosuch' not found"


def test_where_hydra_stumbles(dagrec: Callable[..., Any]) -> None:
    told = dagrec("train", "hydra.verbose=null").err
    assert "Hydra cannot take one of the settings (configure_log: " in told


def test_a_defect_of_ours_is_none_of_hydra_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("ours")

    monkeypatch.setattr("dagrec_cli.config.composed.as_typed", broken)
    assert read(error_of("seed=1")) is None


def test_a_stumble_names_hydra_s_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no  such\nthing")

    monkeypatch.setattr("hydra._internal.config_loader_impl.OmegaConf.set_struct", broken)
    monkeypatch.setattr(hydra_texts, "CALLERS", ("dagrec_cli.config.composed",))
    assert read(error_of("seed=1")) == Stumble("broken", "no such thing")


def test_the_groups_in_the_help_of_a_command(dagrec: Callable[..., Any]) -> None:
    text = dagrec("data", "describe", "--help").out
    listed = text.partition(hydra_texts.GROUPS)[2].partition(hydra_texts.SETTINGS)[0]
    assert [line.partition(":")[0] for line in listed.split("\n") if line] == ["data", "split"]
    assert hydra_texts.SETTINGS in text
    assert "split: " not in help_with(text, ["data"]).partition(hydra_texts.SETTINGS)[0]
    assert hydra_texts.GROUPS not in help_with(text, [])
