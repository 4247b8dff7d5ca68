"""What a test does where the machine lacks something that it needs, and the markers that say what each test needs."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_CONVERT = _ROOT / ".venv-convert" / "bin" / "python"
_CLUSTERS = _ROOT / ".venv-clusters"

# Fixtures that start something, and the markers of the tests that use them.
OF_FIXTURES = {
    "tator_server": ("service",),
    "docker_engine": ("service", "docker"),
    "registry": ("service", "docker"),
    "oracle": ("convert",),
    "sample_onnx": ("convert",),
    "sboms": ("convert",),
    "disk": ("root",),
}
# Folders, all tests of which need the same.
OF_FOLDERS = {
    "tests/kubernetes": ("service", "clusters", "sandbox"),
    "tests/slurm": ("service", "clusters", "slurm"),
}
# A test that has one of these is none of `make test-unit`.
NOT_UNIT = {"service", "docker", "browser", "slurm", "clusters", "convert", "root", "sandbox"}
NOT_UNIT |= {"jobs", "networks", "videos", "tracks", "pages", "sweep"}


class Current:
    """The test that runs now, of which `require` reads the markers."""

    item: pytest.Item | None = None


def require(marker: str) -> None:
    """Fail if the running test has no marker for what it is about to use."""
    item = Current.item
    if item is not None and item.get_closest_marker(marker) is None:
        pytest.fail(f"{item.nodeid} has no marker {marker!r}, which it needs: add @pytest.mark.{marker}")


def lacking(reason: str) -> NoReturn:
    """Fail in CI, which has to have all that the tests need; elsewhere skip the test, and pytest's last lines say why.

    A newcomer's `make test` asks for Python, make and git alone, and installs no Docker, browser or cluster.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have what this test needs: {reason}")
    pytest.skip(reason)


def look_for_environments(item: pytest.Item) -> None:
    """Skip a test, or fail in CI, whose markers name an environment that is not here."""
    if item.get_closest_marker("convert") and not _CONVERT.exists():
        lacking("no .venv-convert: make setup-convert")
    if item.get_closest_marker("clusters") and not _CLUSTERS.exists():
        lacking("no .venv-clusters: make setup-clusters")


def convert_python() -> Path:
    """Return the interpreter of the environment for conversion and quantization."""
    require("convert")
    return _CONVERT
