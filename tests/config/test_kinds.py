import doctest
import re
from collections.abc import Mapping, Sequence
from math import inf, nan
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta
from omegaconf import OmegaConf

from dagrec_cli.config import kinds
from dagrec_cli.config.build import parameters_of
from dagrec_cli.config.kinds import (
    Count,
    Natural,
    NotNegative,
    OneOf,
    Positive,
    Probability,
    Seed,
    Share,
    check,
    unsaid,
)
from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import ConfigError

FROM_0_TO_1 = Annotated[float, Meta(gt=0, lt=1)]
MAYBE_COUNT = Literal["auto"] | Count
A_OR_B = Literal["a", "b"]
FLAG_OR_AUTO = Literal["auto", True, False]
TABLE: list[tuple[Any, list[object], list[object], str]] = [  # kind, allowed, refused, the rule
    (bool, [True, False], [0, 1, "true", None], "true or false"),
    (int, [-1, 0, 10**30], [1.0, True, "1", None, nan], "a whole number"),
    (float, [-1, 0.5, 10**300], [10**400, nan, inf, -inf, "1", True, None], "a number"),
    (str, ["", "a"], [1, None, ["a"]], "text"),
    (Count, [1, 10**9], [0, -1, 1.0, True, "1", None, nan], "a whole number of 1 or more"),
    (Natural, [0, 1], [-1, 0.0, False], "a whole number of 0 or more"),
    (Seed, [0, 2**32 - 1], [-1, 2**32], "a whole number from 0 to 4294967295"),
    (
        Share,
        [0, 0.0, 0.999],
        [1, 1.0, -0.1, nan, inf, "0.5", None, True],
        "a number from 0 up to, not including, 1",
    ),
    (Probability, [0, 1, 0.5], [-1e-9, 1.001, nan], "a number from 0 to 1"),
    (FROM_0_TO_1, [0.5], [0, 1, 0.0, nan], "a number above 0 and below 1"),
    (Positive, [1e-9, 1, 1e9], [0, 0.0, -1, nan, inf, "1", None, True], "a number above 0"),
    (NotNegative, [0, 0.0, 3], [-1e-9, nan, inf, "1", False], "a number of 0 or more"),
    (Annotated[int, Meta(le=3)], [-9, 3], [4], "a whole number of 3 or less"),
    (Annotated[float, Meta(gt=0, le=1)], [1, 0.5], [0, 1.1], "a number above 0 and up to 1"),
    (Annotated[float, Meta(lt=1)], [-9], [1], "a number below 1"),
    (Annotated[int, "a width"], [1], ["1"], "a whole number"),
    (A_OR_B, ["a", "b"], ["c", "", None, 1, ["a"]], "one of a, b"),
    (Literal["a"], ["a"], ["b"], "a"),
    (Literal[32, "32"], [32, "32"], [32.0, "16"], "32"),
    (FLAG_OR_AUTO, ["auto", True, False], ["true", 1, 0, None], "one of auto, true, false"),
    (Annotated[str, OneOf({"a": 1, "b": 2})], ["a", "b"], ["c", None, 1, ["a"]], "one of a, b"),
    (Count | None, [None, 1], [0, "1", nan], "a whole number of 1 or more, or null"),
    (MAYBE_COUNT, ["auto", 1], [0, "1", None], "auto, or a whole number of 1 or more"),
    (list[Count], [[], [1, 2]], [[0], [1, "2"], "ab", None], "a list of whole numbers of 1 or"),
    (str | Sequence[str] | None, ["a", ["a"], None], [1, [1]], "text, or a list of text, or null"),
    (Mapping[int, float], [{2: 0.5}], [{"2": 1}, {2: nan}, [2], None], "a mapping from a whole nu"),
    (Any, [nan, None, "a"], [], ""),
    (Path, ["a", 1], [], ""),  # of a class that is not ours: YAML has no such values
    (tuple[int, ...], [[1]], [], ""),
]


@pytest.mark.parametrize(("kind", "allowed", "refused", "rule"), TABLE)
def test_a_kind_allows_some_values_and_names_its_rule_for_others(
    kind: Any, allowed: list[object], refused: list[object], rule: str
) -> None:
    for value in allowed:
        check("model.x", value, kind)
    for value in refused:
        with pytest.raises(ConfigError) as caught:
            check("model.x", value, kind)
        told = str(caught.value)
        assert told.startswith(f"model.x is {value!r}; use {rule}")
        assert told.endswith(".")


def test_no_setting_of_a_class_takes_what_is_no_value() -> None:
    """Of no class that an option of ``configs/`` names."""
    found: dict[str, Any] = {}
    for file in sorted(config_dir().glob("*/*.yaml")):
        option = OmegaConf.load(file)
        target = str(option.get("_target_", ""))
        if target.startswith("dagrec_cli."):
            module, _, name = target.rpartition(".")
            cls = getattr(__import__(module, fromlist=[name]), name)
            for setting, kind in parameters_of(cls).items():
                found[f"{file.parent.name}.{setting} of {name}"] = kind
    assert len(found) > 100
    for name, kind in found.items():
        for value in (nan, -inf, object()):
            with pytest.raises(ConfigError, match=rf"{re.escape(name)} is .*; use .*\."):
                check(name, value, kind)


def test_what_a_class_narrows_holds_for_it() -> None:
    from dagrec_cli.models.gru4rec import GRU4Rec
    from dagrec_cli.models.gru4rec_paper import GRU4RecPaper

    assert parameters_of(GRU4RecPaper)["encoding"] == Literal["padded"]
    assert "entries" in parameters_of(GRU4Rec)["encoding"].__args__


def test_the_examples_of_what_is_left_unsaid() -> None:
    assert doctest.testmod(kinds) == (0, 2)


@pytest.mark.parametrize(
    ("kind", "words", "rest"),
    [
        (Count, "a number of 1 or more", "1 and up"),
        (Count | None, "null: all", "1 and up"),
        (FROM_0_TO_1, "share", "above 0, below 1"),
        (Probability, "share", "0 to 1"),
        (bool, "keep it; false: do not", ""),
        (bool, "keep it", "true, false"),
        (A_OR_B, "a: first", "a, b"),
        (A_OR_B, "a: first; b", ""),
        (Annotated[str, OneOf(["x", "y"])], "how", "x, y"),
        (str | list[str] | None, "", ""),
        (Any, "", ""),
    ],
)
def test_what_a_comment_leaves_unsaid(kind: Any, words: str, rest: str) -> None:
    assert unsaid(kind, words) == rest
