"""Fixtures of the tests that inject faults into whole runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.site import Site, new_site
from tests.scripts.conftest import impatient, steps

__all__ = ["impatient", "steps"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Yield a new site for the test."""
    with new_site(tmp_path / "site") as new:
        yield new
