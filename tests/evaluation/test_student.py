import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nct
from scipy.stats import t as student_t

from dagrec_cli.evaluation import student
from dagrec_cli.evaluation.student import above, critical, two_sided

DF = st.floats(0.5, 1e6)


@given(t=st.floats(0, 200), df=DF)
def test_equals_scipy(t, df):
    assert two_sided(t, df) == pytest.approx(2 * student_t.sf(t, df), rel=1e-7, abs=1e-12)


@given(df=st.floats(1, 1e6), level=st.floats(0.5, 0.999))
def test_critical_value_equals_scipy(df, level):
    found = critical(lambda t: two_sided(t, df), 1 - level)
    assert found == pytest.approx(student_t.ppf((1 + level) / 2, df), rel=1e-7)


@given(df=st.floats(1, 1e4), shift=st.floats(0, 20), t=st.floats(1.9, 20))
def test_noncentral_t_equals_scipy(df, shift, t):
    assert above(t, shift, df) == pytest.approx(nct.sf(t, df, shift), abs=2e-3)


def test_no_distance_is_certain():
    assert two_sided(0, 3) == 1


def test_examples_in_docstrings():
    result = doctest.testmod(student)
    assert result.attempted > 0
    assert result.failed == 0
