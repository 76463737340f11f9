from collections.abc import Callable
from functools import partial
from math import inf, nan

import pytest

from dagrec_cli.config.limits import check_choice, check_count, check_positive, check_share
from dagrec_cli.errors import ConfigError

Check = Callable[[str, object], None]

from_0 = partial(check_count, least=0)
or_zero = partial(check_positive, or_zero=True)
one_of = partial(check_choice, choices=("a", "b"))


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (check_count, [1, 10**9]),
        (from_0, [0, 1]),
        (check_share, [0, 0.0, 0.999]),
        (check_positive, [1e-9, 1, 1e9]),
        (or_zero, [0, 0.0, 3]),
        (one_of, ["a", "b"]),
    ],
)
def test_allowed_values_pass(check: Check, values: list[object]) -> None:
    for value in values:
        check("x", value)


@pytest.mark.parametrize(
    ("check", "values", "rule"),
    [
        (check_count, [0, -1, 1.0, True, "1", None, nan], "a whole number of 1 or more"),
        (from_0, [-1, 0.0, False], "a whole number of 0 or more"),
        (check_share, [1, 1.0, -0.1, nan, inf, "0.5", None, True], "not including, 1"),
        (check_positive, [0, 0.0, -1, nan, inf, "1", None, True], "a number above 0"),
        (or_zero, [-1e-9, nan, inf, "1", False], "a number of 0 or more"),
        (one_of, ["c", "", None, 1], "use one of a, b"),
    ],
)
def test_other_values_are_named_with_the_rule(
    check: Check, values: list[object], rule: str
) -> None:
    for value in values:
        with pytest.raises(ConfigError) as caught:
            check("model.x", value)
        assert str(caught.value).startswith(f"model.x is {value!r}; use ")
        assert rule in str(caught.value)
