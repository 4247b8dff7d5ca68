"""The metrics file, read by Prometheus's parser."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.lib import metrics


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "new" / "tator.prom"
    monkeypatch.setenv(metrics.VARIABLE, str(path))
    return path


def samples(path):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_counters_increase_with_each_media(file):
    metrics.count_media("done", 100, 7, 2.5)
    metrics.count_media("done", 50, 0, 1.0)
    metrics.count_media("no detections", 1, 0, 0.5)
    metrics.count_failure('a "rule"\n')
    found = samples(file)
    assert found.pop(("tator_detection_last_change_timestamp_seconds",)) > 1.7e9
    assert found == {
        ("tator_detection_media_total", "done"): 2,
        ("tator_detection_media_total", "no detections"): 1,
        ("tator_detection_frames_total",): 151,
        ("tator_detection_boxes_total",): 7,
        ("tator_detection_seconds_total",): 4.0,
        ("tator_detection_failed_jobs_total", 'a "rule"\n'): 1,
    }


def test_no_counts_of_jobs_that_end_at_the_same_time_are_lost(file):
    code = "from scripts.lib.metrics import count_media\nfor _ in range(20): count_media('done', 1, 1, 1.0)"
    root = Path(__file__).parents[2]
    jobs = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(4)]
    assert [job.wait() for job in jobs] == [0] * 4
    assert samples(file)["tator_detection_frames_total",] == 80


@pytest.mark.parametrize("content", [b'{"a": 1}\n', b"\xff\xfe\x00", b'tator_detection_media_total{state="do', None])
def test_a_file_that_cannot_be_read_is_a_warning_and_stays(file, content, caplog):
    file.parent.mkdir()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    metrics.count_media("done", 1, 1, 1.0)
    [warning] = caplog.messages
    assert warning.startswith(f"TATOR_METRICS_FILE: {file}: ")
    assert warning.endswith("; correct the file or its rights; this media is not counted")
    assert file.is_dir() if content is None else file.read_bytes() == content


@pytest.mark.parametrize("blocks", ["folder", "lock"])
def test_a_file_that_cannot_be_written_is_a_warning(file, blocks, caplog):
    if blocks == "folder":
        file.parent.touch()
    else:  # also for root, who may write anywhere
        file.with_name(f".{file.name}.lock").mkdir(parents=True)
    metrics.count_failure("detect")
    [warning] = caplog.messages
    assert warning.startswith(f"TATOR_METRICS_FILE: {file}: ")
    assert warning.endswith("; this failed job is not counted")


def test_no_file_without_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv(metrics.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    metrics.count_media("done", 1, 1, 1.0)
    assert list(tmp_path.iterdir()) == []
