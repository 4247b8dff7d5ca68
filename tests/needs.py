"""What a test does where the machine lacks something that it needs."""

import os
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip the test with a reason; but fail in CI, which has to have all that the tests need."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have what this test needs: {reason}")
    pytest.skip(reason)
