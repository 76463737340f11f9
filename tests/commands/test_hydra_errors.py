"""Hydra says each text that ``app/failures.py`` reads; a newer wording fails here."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dagrec_cli.app import failures
from dagrec_cli.app.failures import explain_hydra, first_line
from dagrec_cli.config.compose import composed

DEEP = f"split.test_share={'[' * 200}{']' * 200}"


def error_of(*words: str, command: str = "train") -> Exception:
    """Return what composing with overrides raises."""
    try:
        composed(command, words)
    except Exception as error:
        return error
    raise AssertionError(f"Hydra takes {words}")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "split=papr",
            "split=papr does not exist; did you mean paper? split is one of cold, composition, "
            "graphs_2026, paper, prequential, temporal.",
        ),
        (
            "trainer.epoch=1",
            "unknown setting 'trainer.epoch'; did you mean trainer.epochs=1? dagrec train --help "
            "lists all of them.",
        ),
        (
            "hydra.sweeper.n=1",
            "unknown setting 'hydra.sweeper.n'; hydra.sweeper has max_batch_size, params.",
        ),
        ("nosuch=1", "unknown setting 'nosuch'; dagrec train --help lists all of them."),
        ("seed=0,1", "seed has several values; add -m to run each, or seeds=[0,1]."),
        ("model=gru4rec,markov", "model has several options; add -m to run each."),
        ("data=[true]", "a group takes the name of one of its options, as in model=gru4rec."),
        ("~model=[1]", "a group takes the name of one of its options, as in model=gru4rec."),
        (DEEP, "a setting is nested too deeply; write it with fewer brackets."),
        ("seeds=[", "cannot read 'seeds=['; write a list as one word, as in 'seeds=[]'."),
    ],
)
def test_what_is_wrong_with_a_setting(
    word: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["dagrec", word])
    assert explain_hydra(error_of(word), "train") == line


def test_a_text_of_no_kind_is_one_line_with_its_key() -> None:
    node = OmegaConf.create({"a": {"b": "${nosuch}"}})
    with pytest.raises(OmegaConfBaseException) as caught:
        str(node.a.b)
    line = "a.b: Interpolation key 'nosuch' not found."
    assert explain_hydra(caught.value, "train") == line
    assert first_line(caught.value) == "Interpolation key 'nosuch' not found"


def test_where_hydra_stumbles(dagrec: Callable[..., Any]) -> None:
    told = dagrec("train", "hydra.verbose=null").err
    assert "Hydra cannot take one of the settings (configure_log: " in told


def test_a_defect_of_ours_is_none_of_hydra_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("ours")

    monkeypatch.setattr("dagrec_cli.config.compose.typed", broken)
    assert explain_hydra(error_of("seed=1"), "train") is None


def test_a_stumble_names_hydra_s_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no  such\nthing")

    monkeypatch.setattr("hydra._internal.config_loader_impl.OmegaConf.set_struct", broken)
    monkeypatch.setattr(failures, "CALLERS", ("dagrec_cli.config.compose",))
    line = "Hydra cannot take one of the settings (broken: no such thing)."
    assert explain_hydra(error_of("seed=1"), "train") == line
