from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from dagrec_cli.data.composition import Composition, Context, Fault, Invalid
from dagrec_cli.data.invalid import summarise, valid, without_contexts
from dagrec_cli.errors import DataError

GOOD = Composition(("table_1", "service_2"), (False, True), ((0, 1),))
ONE = Invalid((Fault("compositions[1].links", "cycle a b -> c -> a b; must be acyclic"),))
TWO = Invalid(
    (
        Fault("compositions[2].links[0].source", "unknown node 'x;y'; use a node's id"),
        Fault("compositions[2].links[1]", "node '7' is linked to itself"),
    )
)
THREE = Invalid((Fault("compositions[3].links[0].target", 'unknown node "it\'s"; use an id'),))


def test_error_raises_the_first_fault_after_the_compositions_before_it() -> None:
    items = valid([GOOD, TWO, GOOD], "error", [])
    assert next(items) is GOOD
    with pytest.raises(DataError) as caught:
        next(items)
    message = str(caught.value)
    assert message.startswith("compositions[2].links[0].source: unknown node 'x;y'; ")
    assert "(1 more fault in this composition)" in message
    assert "data.on_invalid=skip" in message
    assert "dagrec data validate" in message
    assert "\n" not in message


def test_a_single_fault_is_not_said_to_have_company() -> None:
    with pytest.raises(DataError) as caught:
        list(valid([ONE], "error", []))
    assert "more fault" not in str(caught.value)


def test_skip_collects_and_goes_on() -> None:
    skipped: list[Invalid] = []
    assert list(valid([ONE, GOOD, TWO, GOOD], "skip", skipped)) == [GOOD, GOOD]
    assert skipped == [ONE, TWO]


def test_a_summary_counts_each_composition_once_by_kind() -> None:
    assert summarise([ONE, TWO, THREE]) == "3 compositions skipped: 2 x unknown node, 1 x cycle"
    assert summarise([ONE]) == "1 composition skipped: 1 x cycle"
    assert summarise([]) == ""


@dataclass
class Rules:
    """What a source says of its compositions."""

    max_paths: int
    context: Context
    on_invalid: str = "error"

    def read(self) -> Iterator[Composition | Invalid]:
        raise NotImplementedError

    def sha256(self) -> str:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("place", "told"),
    [("", "compositions[7]"), ("b.jsonl: compositions[0] (line 1)", "b.jsonl: compositions[0]")],
)
def test_too_many_paths_are_a_fault_with_a_place(place: str, told: str) -> None:
    rules = partial(Rules, context="path")
    diamond = Composition(("t", "a", "b", "c"), (False,) * 4, ((0, 1), (0, 2), (1, 3), (2, 3)))
    assert without_contexts(diamond, 7, rules(max_paths=2)) is None
    assert without_contexts(diamond, 7, Rules(max_paths=1, context="dag")) is None
    invalid = without_contexts(diamond._replace(place=place), 7, rules(max_paths=1))
    assert invalid is not None
    ((where, problem),) = invalid.faults
    assert where.startswith(told)
    assert problem.startswith("too many paths (2); data.max_paths is 1")
    assert summarise([invalid, invalid]) == "2 compositions skipped: 2 x too many paths"
