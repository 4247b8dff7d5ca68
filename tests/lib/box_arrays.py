"""Arrays of boxes for the tests of geometry and suppression."""

import numpy as np


def boxes_of(*rows: tuple[float, ...]) -> np.ndarray:
    """Return boxes (n, 4) as float32, also of no rows."""
    return np.array(rows, np.float32).reshape(-1, 4)
