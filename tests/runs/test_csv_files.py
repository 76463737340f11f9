import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.runs.csv_files import csv_text


def test_header_rows_and_empty_cells() -> None:
    assert csv_text(["a", "b"], [[1, None], ["x,y", 'say "it"']]) == (
        'a,b\n1,\n"x,y","say ""it"""\n'
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_name_is_no_formula(name: str) -> None:
    (row,) = list(csv.reader(io.StringIO(csv_text(["a"], [[name]]), newline="")))[1:]
    assert row == [f"'{name}"]


def test_numbers_are_no_formulas() -> None:
    assert csv_text(["a"], [[-1], [-0.5]]) == "a\n-1\n-0.5\n"


@given(st.floats(allow_nan=False))
def test_floats_read_back_the_same(number: float) -> None:
    assert float(csv_text(["a"], [[number]]).splitlines()[1]) == number
