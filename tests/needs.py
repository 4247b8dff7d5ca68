"""What a test does where the machine lacks something that it needs."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

_CONVERT = Path(__file__).resolve().parents[1] / ".venv-convert" / "bin" / "python"


def lacking(reason: str) -> NoReturn:
    """Fail in CI, which has to have all that the tests need; elsewhere skip the test, and pytest's last lines say why.

    A newcomer's `make test` asks for Python, make and git alone, and installs no Docker, browser or cluster.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have what this test needs: {reason}")
    pytest.skip(reason)


def convert_python() -> Path:
    """Return the interpreter of the environment for conversion and quantization."""
    if not _CONVERT.exists():
        lacking("no .venv-convert: make setup-convert")
    return _CONVERT
