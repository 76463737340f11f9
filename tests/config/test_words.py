"""Names and paths reach the commands as they are typed, whatever Hydra's grammar makes of them."""

from collections.abc import Sequence
from types import NoneType
from typing import Any, get_args, get_origin

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_class
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dagrec_cli.config.build import parameters_of
from dagrec_cli.config.where import config_dir
from dagrec_cli.config.words import TEXT_SETTINGS, as_typed, quoted, typed

MISREAD = ["1_1_1", "1e5", "1.50", ".5", "-5", "1_000", "nan", "-Inf", "true", "FALSE", "12e34"]
PLAIN = ["007", "0x10", "2024-01-01", "a b", "service_3", "C:\\dir\\1", "v1.0", "*.jsonl"]
REFUSED = ["~/x", "~", "#x", "服务", "a(1).csv", "it's", "a=b", "x;y", "~/${now:%Y}/1"]

# Settings that take texts of which none is a name or path.
CHOICES = {"split.delay", "trainer.device"}
# The same of settings at the top, those that take null or no text among them.
OTHERS = {
    *("average", "engine", "evaluate_on", "format", "mask", "metric", "metrics", "progress"),
    *("side", "threads", "limit", "on_unknown", "part", "repeats", "seed", "seeds", "sizes"),
    *("overrides", "resume", "tune"),
}


def read(word: str) -> Any:
    return OverridesParser.create().parse_override(as_typed(word)).value()


def swept(word: str) -> list[Any]:
    """Return the values that the jobs of a sweep read."""
    override = OverridesParser.create().parse_override(as_typed(word))
    return [
        OverridesParser.create().parse_override(f"data.path={each}").value()
        for each in override.sweep_string_iterator()
    ]


@pytest.mark.parametrize("text", [*MISREAD, *PLAIN, *REFUSED])
@pytest.mark.parametrize("key", ["context", "run", "data.path", "+hydra.run.dir", "++output"])
def test_a_text_is_what_was_typed(key: str, text: str) -> None:
    assert read(f"{key}={text}") == text
    assert read(f"{key}=[{text}]") == [text]
    assert read(f"{key}=[a,{text},b]") == ["a", text, "b"]


@pytest.mark.parametrize("text", [*MISREAD, *PLAIN, "~/x", "服务"])
def test_jobs_of_a_sweep_read_what_was_typed(text: str) -> None:
    assert swept(f"data.path={text},b") == [text, "b"]


@pytest.mark.parametrize("text", [*MISREAD, *PLAIN])
def test_a_choice_is_what_was_typed(text: str) -> None:
    if " " not in text:
        assert swept(f"data.path=choice({text},b)") == [text, "b"]
        assert swept(f"data.path=shuffle(choice('{text}',b))")[0] in (text, "b")


def test_a_flag_of_one_command_is_no_name_of_another() -> None:
    assert read("resume=false") is False  # dagrec train takes its resume=FOLDER before Hydra reads


def test_variables_that_hydra_would_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/1 me")
    assert read("data.path=${HOME}/x") == "/home/1 me/x"
    assert read("data.path=[${HOME}/x,~/y]") == ["/home/1 me/x", "~/y"]  # the readers know ~
    assert read("hydra.run.dir=~/$HOME/${now:%Y}") == "/home/1 me//home/1 me/${now:%Y}"
    assert typed(["-cd", "~/a", "--config-dir=$HOME"]) == [
        *("-cd", "/home/1 me/a", "--config-dir=/home/1 me")
    ]


def test_null_alone_is_null_and_in_a_list_a_name() -> None:
    assert read("context=null") is None
    assert read("experiment=null") is None
    assert read("context=[null]") == ["null"]


def test_texts_inside_a_mapping() -> None:
    given = "{file:2024_01,url:1e5,sha256:12e34}"
    assert read(f"data.download={given}") == {"file": "2024_01", "url": "1e5", "sha256": "12e34"}
    assert read("data={path:[1_1],max_paths:1_000}") == {"path": ["1_1"], "max_paths": 1000}
    assert read("hydra.run={dir:2024_01}") == {"dir": "2024_01"}


def test_an_option_of_a_group_is_a_name() -> None:
    assert read("table=2024_01") == "2024_01"
    assert read("experiment=1e5") == "1e5"


def test_what_hydra_means_by_a_word_stays() -> None:
    for word in (
        *("trainer.epochs=1_000", "seed=1e3", "train", "-m", "seeds=[1_0]", "output=''"),
        *("context=['1_1',\"a\"]", "data.path=glob(*)", "output=a\\,b", "hydra/launcher=joblib"),
        *("hydra.sweep.subdir=${hydra.job.num}", "context=[a,b", "run='a b", "context=[,]", "~run"),
    ):
        assert as_typed(word) == word
        assert as_typed(as_typed(word)) == as_typed(word)
    assert read("context=[#a,\"b,1\",'c']") == ["#a", "b,1", "c"]


@example("${")
@example(r"a\\${b}")
@example(r"\${b}\\")
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_quotes_give_any_text_back(text: str) -> None:
    value = OverridesParser.create().parse_override(f"run={quoted(text)}").value()
    assert OmegaConf.create({"run": value}).run == text


@example("0 ")
@given(st.text("0159_.e-+~#'\"[]{}(),:=\\ an$", max_size=12))
def test_twice_is_once_and_nothing_breaks(value: str) -> None:
    word = as_typed(f"data.path={value}")
    assert as_typed(word) == word
    try:
        OverridesParser.create().parse_override(f"data.path={value}")
    except HydraException:
        return
    OverridesParser.create().parse_override(word)


def takes_texts(annotation: Any) -> bool:
    kinds = get_args(annotation) if get_origin(annotation) is not Sequence else [annotation]
    kinds = [k for k in kinds or [annotation] if k is not NoneType]
    return bool(kinds) and all(k is str or get_args(k) == (str,) for k in kinds)


def test_every_setting_that_takes_texts_is_known() -> None:
    """A new one is a name or path, or has its words in its annotation (``Literal``, ``OneOf``)."""
    found = set()
    for file in config_dir().glob("*/*.yaml"):
        target = OmegaConf.load(file).get("_target_", "")
        if target.startswith("dagrec_cli."):
            settings = parameters_of(get_class(target)).items()
            found |= {f"{file.parent.name}.{key}" for key, kind in settings if takes_texts(kind)}
    assert found - CHOICES <= TEXT_SETTINGS
    assert found >= CHOICES | {"data.path", "data.default_path", "logger.uri", "logger.experiment"}


def test_every_setting_at_the_top_is_known() -> None:
    found: set[str] = set()
    for file in config_dir().glob("*.yaml"):
        content: Any = OmegaConf.to_container(OmegaConf.load(file))
        keys = {k for k, v in content.items() if v in (None, []) or isinstance(v, str)}
        found |= keys - {"hydra", "defaults"}
    assert found <= TEXT_SETTINGS | OTHERS
    assert found >= {"bench", "by", "composition", "context", "input", "output", "run", "runs"}
