"""Test that files downloaded ahead of detection are kept until they are released."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.lib.detection import download_ahead
from scripts.lib.detection.download_ahead import DownloadAhead
from scripts.lib.detection.job_media import Fetched, MediaInJob
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.errors import MediaFault
from scripts.lib.records import DownloadRecord, MediaRecord
from tests.made_records import download_record, media_record, stored_file

SIZE = 100


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[MediaInJob]:
    """Return four media, of which the second cannot be downloaded."""

    def fetch(wanted: MediaRecord, path: Path, *_: object, **__: object) -> DownloadRecord:
        if wanted.media_id == 2:
            raise MediaFault("unreadable", "it is gone")
        path.write_bytes(bytes(SIZE))
        return download_record(media_id=wanted.media_id)

    monkeypatch.setattr(download_ahead, "fetch_media", fetch)
    outputs = DetectionOutputs(tmp_path / "boxes.csv", tmp_path / "outcome.json", tmp_path / "previews.zip")
    return [
        MediaInJob(
            media_record(media_id=number, kind="video", file=stored_file("a.mp4", size=SIZE)),
            tmp_path / str(number),
            outputs,
        )
        for number in range(1, 5)
    ]


def source(budget: int, *, keep_files: bool = False) -> DownloadAhead:
    connection: Any = SimpleNamespace(project=None, prefetch_addresses=lambda _: None)
    return DownloadAhead(connection, keep_files=keep_files, budget=budget)


def release(fetched: Fetched) -> None:
    assert fetched.release is not None
    fetched.release()


@pytest.mark.parametrize("keep_files", [False, True])
def test_a_file_is_kept_until_it_is_released(work: list[MediaInJob], *, keep_files: bool) -> None:
    files = source(10 * SIZE, keep_files=keep_files).files(work)
    downloaded = list(files)
    assert [each.media_id for each, _ in downloaded] == [1, 2, 3, 4]
    assert [fetched.record.state for _, fetched in downloaded] == ["ready", "unreadable", "ready", "ready"]
    for each, fetched in downloaded:
        assert each.media.exists() == (each.media_id != 2)
        release(fetched)
        release(fetched)
        assert each.media.exists() == (keep_files and each.media_id != 2)


def test_another_thread_can_wait_for_the_next_media(work: list[MediaInJob]) -> None:
    files = source(SIZE).files(work[2:])
    _, first = next(files)
    downloaded: list[Fetched] = []
    thread = threading.Thread(target=lambda: downloaded.append(next(files)[1]), daemon=True)
    thread.start()
    thread.join(timeout=0.2)
    assert not downloaded
    assert not work[3].media.exists()
    release(first)
    thread.join(timeout=30)
    assert [fetched.media for fetched in downloaded] == [work[3].media]
    assert not work[2].media.exists()
