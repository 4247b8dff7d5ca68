"""What a test does where the machine lacks something that it needs."""

import os
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Fail in CI, which has to have all that the tests need; elsewhere skip the test, and pytest's last lines say why.

    A newcomer's `make test` asks for Python, make and git alone, and installs no Docker, browser or cluster.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have what this test needs: {reason}")
    pytest.skip(reason)
