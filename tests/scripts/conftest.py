"""Fixtures of the scripts' tests: a real Docker engine and a real registry, and the steps against the stand-in."""

import pytest

from tests.docker_engine import docker_engine, registry
from tests.scripts.tator_steps import Steps

__all__ = ["docker_engine", "registry"]


@pytest.fixture
def steps(tmp_path, tator_server, monkeypatch):
    """Return the steps of a run that talk to Tator, with the token in the environment."""
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    folder = tmp_path / "run"
    folder.mkdir()
    return Steps(folder, tator_server)


@pytest.fixture
def impatient(monkeypatch):
    """Give up after a second."""
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "1")
