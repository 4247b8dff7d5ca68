"""Fixtures: the modules of deploy, which are not in a package."""

import pytest

from tests.workflow import CLUSTERS, ROOT

DEPLOY = ROOT / "deploy"


@pytest.fixture(autouse=True)
def _modules_of_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (CLUSTERS, DEPLOY / "executor", DEPLOY):
        monkeypatch.syspath_prepend(str(folder))
