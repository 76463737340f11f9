"""Student's t distribution, and mixtures of two of them; the package does without SciPy."""

import math
from collections.abc import Callable

TINY = 1e-300  # instead of a zero to divide by
PRECISION = 1e-15
PRECISION = 1e-9  # of a critical value
MOST_TERMS = 10_000


def two_sided(t: float, df: float) -> float:
    """Return the chance that a t variable of ``df`` degrees of freedom is ``|t|`` or more away.

    It is the regularised incomplete beta function ``I_x(df / 2, 1 / 2)`` at ``x = df / (df + t²)``.

    >>> round(two_sided(2.776445, 4), 6)  # the table's 95 % quantile
    0.05

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.5.8 and 26.7.1.
    """
    x, rest = df / (df + t * t), t * t / (df + t * t)
    a, b = df / 2, 0.5
    if not (x and rest):
        return float(rest == 0)
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast
        return _front(a, b, x, rest) * _fraction(a, b, x) / a
    return 1 - _front(b, a, rest, x) * _fraction(b, a, rest) / b


def critical(chance: Callable[[float], float], alpha: float) -> float:
    """Return the t at which a falling ``chance`` is ``alpha``, by bisection."""
    low, high = 0.0, 1.0
    while chance(high) > alpha:
        low, high = high, 2 * high
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > alpha else (low, middle)
    return high


def _front(a: float, b: float, x: float, rest: float) -> float:
    beta = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(beta + a * math.log(x) + b * math.log(rest))


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, _inverse(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, MOST_TERMS):
        before = value
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = _inverse(1 + term * d)
            c = 1 + term / c or TINY
            value *= c * d
        if abs(value - before) <= PRECISION * abs(value):
            break
    return value


def _inverse(number: float) -> float:
    return 1 / (number or TINY)
