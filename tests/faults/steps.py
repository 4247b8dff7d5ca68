"""What several of these modules need."""

import time
from collections.abc import Callable


def until(happened: Callable[[], object], seconds: float = 60) -> None:
    """Look again and again, until something has happened; fail if it does not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(0.02)
