"""exp, cos and sin with the same bits on every processor.

numpy's own differ in the last place between processors (it has a kernel for each generation of vector
instructions), and so would the films of one seed. Addition, multiplication, division and rounding are fixed
by IEEE 754; these are built of nothing else.
"""

import numpy as np

LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440054690583e-4
"""ln 2 in two parts; the first has so few digits that its multiples are exact. Source: Cephes."""


def exp(x: np.ndarray) -> np.ndarray:
    """e to the x, to 1e-7 of it; the type of x is kept, and what is beyond -87 or 88 is taken for these."""
    x = np.clip(x, -87.0, 88.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    series = 1 + r / 7
    for n in range(6, 0, -1):
        series = 1 + r * series / n
    return np.ldexp(series, k.astype(np.int32))


def sin(x: np.ndarray) -> np.ndarray:
    """The sine of x in radians, to 1e-5 for |x| up to 80 in float32."""
    return cos(x - np.pi / 2)


def cos(x: np.ndarray) -> np.ndarray:
    """The cosine of x in radians, as `sin`."""
    half = (x - np.rint(x / (2 * np.pi)) * (2 * np.pi)) / 2
    square = half * half
    series = 1.0
    for n in range(13, 1, -2):
        series = 1 - square * series / (n * (n - 1))
    sine = half * series
    return 1 - 2 * sine * sine
