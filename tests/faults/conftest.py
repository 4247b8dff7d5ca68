"""Fixtures of the tests that inject faults into whole runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.site import Site, State, new_site
from tests.scripts.conftest import impatient, steps

__all__ = ["impatient", "steps"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Yield a site of this test's own."""
    with new_site(tmp_path / "site") as new:
        yield new


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> State:
    """Return what a run leaves that nothing happened to."""
    with new_site(tmp_path_factory.mktemp("undisturbed")) as site:
        site.goes_well()
        return site.state()
