"""Student's t distribution, central and not; the package does without SciPy."""

import math
from collections.abc import Callable

TINY = 1e-300  # instead of a zero to divide by
PRECISION = 1e-15  # relative, of a fraction
NEARNESS = 1e-10  # relative, of the chance at a critical value
MOST_STEPS = 60  # to that; rounding may leave it out of reach
MOST_TERMS = 10_000
STEPS, REACH = 400, 9.0  # of a sum over standard deviations, from 0 to 1 + REACH / √df


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


def above(t: float, shift: float, df: float) -> float:
    """Return the chance that ``(z + shift) / s`` is above ``t``: noncentral t, ``df`` of 1 or more.

    ``z`` is normal, ``df · s²`` chi-square. Given ``s``, the chance is that of ``z > t s - shift``.

    >>> round(above(2.776445, 0, 4), 4)
    0.025
    """
    width = (1 + REACH / math.sqrt(df)) / STEPS
    log_factor = math.log(2 * width) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    total = 0.0
    for k in range(STEPS):
        s = (k + 0.5) * width
        weight = math.exp(log_factor + (df - 1) * math.log(s) - df * s * s / 2)
        total += weight * math.erfc((t * s - shift) / math.sqrt(2)) / 2
    return total


def critical(chance: Callable[[float], float], alpha: float) -> float:
    """Return the t at which a falling ``chance`` is ``alpha``: the Illinois false position.

    The next t is where a line through both ends is 0; an end that stays is drawn nearer to 0, or
    it would stay for ever where the chance is curved.

    Source: Dowell and Jarratt, "A Modified Regula Falsi Method for Computing the Root of an
    Equation", 1971.
    """
    low, high = 0.0, 1.0
    over, under = chance(low) - alpha, chance(high) - alpha
    while under > 0:
        low, high, over = high, 2 * high, under
        under = chance(high) - alpha
    t, off, moved = high, under, ""
    for _ in range(MOST_STEPS):
        if abs(off) <= NEARNESS * alpha:
            break
        t = high - under * (high - low) / (under - over)
        off = chance(t) - alpha
        if off > 0:
            low, over, under = t, off, under / 2 if moved == "low" else under
            moved = "low"
        else:
            high, under, over = t, off, over / 2 if moved == "high" else over
            moved = "high"
    return t


def _front(a: float, b: float, x: float, rest: float) -> float:
    beta = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(beta + a * math.log(x) + b * math.log(rest))


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or TINY)
    value = d
    for m in range(1, MOST_TERMS):
        before = value
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d or TINY)
            c = 1 + term / c or TINY
            value *= c * d
        if abs(value - before) <= PRECISION * abs(value):
            break
    return value
