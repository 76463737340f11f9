"""What a search may choose, read from overrides as they stand on the command line."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dagrec_cli.errors import ConfigError
from dagrec_cli.jobs.search_space import SearchSpace

distributions = pytest.importorskip("optuna", reason="needs the extra 'search'").distributions
Float, Int = distributions.FloatDistribution, distributions.IntDistribution
Choice = distributions.CategoricalDistribution


def space_of(*words: str) -> SearchSpace:
    return SearchSpace.of(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("interval(0.5,5)", Float(0.5, 5.0)),
        ("tag(log,interval(1e-4,1e-2))", Float(1e-4, 1e-2, log=True)),
        ("int(interval(1,3))", Int(1, 3)),
        ("tag(log,int(interval(32,256)))", Int(32, 256, log=True)),
        ("range(32,257,32)", Int(32, 256, step=32)),
        ("range(3)", Int(0, 2)),
        ("range(0,1000000000000)", Int(0, 999_999_999_999)),
        ("choice(16,32)", Choice(("16", "32"))),
        ("gru4rec,dag_gnn", Choice(("gru4rec", "dag_gnn"))),
    ],
)
def test_a_range_is_read_as_hydra_writes_it(text: str, distribution: object) -> None:
    assert space_of(f"x={text}").ranges == {"x": distribution}


def test_the_later_of_two_overrides_counts() -> None:
    space = space_of("a=interval(0,1)", "b=1", "c=range(3)", "b=2", "a=0.5")
    assert space.fixed == {"a": "a=0.5", "b": "b=2"}
    assert list(space.ranges) == ["c"]
    assert space.overrides({"c": 2, "b": 3}) == ["a=0.5", "b=3", "c=2"]


def test_a_trial_has_four_digits() -> None:
    space = space_of("a=interval(0,1)", "b=range(9)")
    assert space.settings({"a": 0.123456, "b": 12345}) == {"a": 0.1235, "b": 12345}


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("interval(0,1)", 1.0, True),
        ("interval(0,1)", 1.1, False),
        ("range(32,257,32)", 64, True),
        ("range(32,257,32)", 65, False),
        ("choice(16,32)", 16, True),
        ("choice(16,32)", 17, False),
        ("interval(0,1)", None, False),
    ],
)
def test_settings_as_they_stand_are_tried_if_they_are_in_range(
    text: str, value: object, holds: bool
) -> None:
    standing = space_of(f"a.b={text}").standing(OmegaConf.create({"a": {"b": value}}))
    assert (standing is not None) == holds


def test_a_choice_of_too_many_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"a=range\(0\.0,2\.0,0\.0001\): 20,00\d values to choose"
    ):
        space_of("a=range(0.0,2.0,0.0001)")


@pytest.mark.parametrize("text", ["interval(2,1)", "tag(log,interval(0,1))"])
def test_an_impossible_interval_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="from its lowest number to its highest"):
        space_of(f"a={text}")
