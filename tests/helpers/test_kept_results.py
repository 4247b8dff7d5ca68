"""`make test-exporters` keeps results, and uses them again with the same code and versions."""

from pathlib import Path

import pytest

from tests.exporters import kept_results
from tests.exporters.families import NETWORKS, Exported

RESULT = {"name": "yolov8n", "compared": 3320, "within": True}


def test_a_result_is_kept_until_its_dependencies_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = kept_results.state_of("yolov8n")
    assert kept_results.kept(tmp_path, state) is None
    kept_results.keep(tmp_path, state, RESULT)
    assert kept_results.kept(tmp_path, kept_results.state_of("yolov8n")) == RESULT
    monkeypatch.setitem(NETWORKS, "yolov8n", Exported("ultralytics", ("yolov8s.yaml",)))
    assert kept_results.kept(tmp_path, kept_results.state_of("yolov8n")) is None


def test_each_network_has_another_state() -> None:
    assert kept_results.state_of("yolov8n") != kept_results.state_of("yolov9t")
