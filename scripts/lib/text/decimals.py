"""Write many numbers as text."""

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats

_MILLION = 1_000_000
_ABOVE_ALL = 10  # numbers below it have one digit before the point
_THREE_DIGITS = np.array([list(f"{number:03}".encode()) for number in range(1000)], np.uint8)


def joined_decimals(values: Floats) -> list[str]:
    """Return the numbers of each row with six decimals, as `%.6f` rounds them, joined by colons.

    Numbers from 0 to 10 are written digit by digit in NumPy, which is faster than `%`.

    Args:
        values: (n, m), m at least 1.
    """
    count, columns = values.shape
    # Exact, as a float32 has 24 binary digits and a million needs 14 more.
    millionths = np.rint(values.astype(np.float64) * _MILLION)
    if not ((millionths >= 0) & (millionths < _ABOVE_ALL * _MILLION)).all():
        row = ":".join(["%.6f"] * columns)
        return [row % tuple(numbers) for numbers in values.tolist()]
    whole, decimals = np.divmod(millionths.astype(np.int64), _MILLION)
    text: npt.NDArray[np.uint8] = np.empty((count, columns, 9), np.uint8)
    text[..., 0] = whole + ord("0")
    text[..., 1] = ord(".")
    text[..., 2:5] = _THREE_DIGITS[decimals // 1000]
    text[..., 5:8] = _THREE_DIGITS[decimals % 1000]
    text[..., 8] = ord(":")
    joined, width = text.tobytes().decode("ascii"), 9 * columns
    return [joined[start : start + width - 1] for start in range(0, count * width, width)]
