"""Markers of what tests need, and skipping tests on machines that lack it."""

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
# Folders whose tests all need the same.
OF_FOLDERS = {
    "tests/kubernetes": ("service", "clusters", "sandbox"),
    "tests/slurm": ("service", "clusters", "slurm"),
}
# `make test-unit` does not run tests with one of these markers.
NOT_UNIT = {"service", "docker", "browser", "slurm", "clusters", "convert", "root", "sandbox"}
NOT_UNIT |= {"jobs", "networks", "videos", "tracks", "pages", "sweep"}


class Current:
    """The running test, whose markers `require` reads."""

    item: pytest.Item | None = None


def require(marker: str) -> None:
    """Fail if the running test does not have the marker."""
    item = Current.item
    if item is not None and item.get_closest_marker(marker) is None:
        pytest.fail(f"{item.nodeid} has no marker {marker!r}, which it needs: add @pytest.mark.{marker}")


def lacking(reason: str) -> NoReturn:
    """Fail in CI, where all needs must be met; elsewhere skip the test with the reason.

    A newcomer's `make test` needs only Python, make and git, without Docker, a browser or a cluster.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have what this test needs: {reason}")
    pytest.skip(reason)


def look_for_environments(item: pytest.Item) -> None:
    """Skip a test, or fail in CI, if an environment of its markers does not exist."""
    if item.get_closest_marker("convert") and not _CONVERT.exists():
        lacking("no .venv-convert: make setup-convert")
    if item.get_closest_marker("clusters") and not _CLUSTERS.exists():
        lacking("no .venv-clusters: make setup-clusters")


def convert_python() -> Path:
    """Return the interpreter of the environment for conversion and quantization."""
    require("convert")
    return _CONVERT
