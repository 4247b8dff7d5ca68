"""Fixtures of the scripts' tests: the steps of a run, against the stand-in for Tator."""

import pytest

from tests.scripts.tator_steps import Steps


@pytest.fixture
def steps(tmp_path, tator_server, monkeypatch):
    """Return the steps of a run that talk to Tator, with the token in the environment."""
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Steps(folder, tator_server)


@pytest.fixture
def impatient(monkeypatch):
    """Give up after a second."""
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "1")
