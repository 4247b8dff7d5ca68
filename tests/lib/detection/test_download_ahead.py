"""Files that are downloaded ahead of detection stay until they were read, and no longer."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.lib.detection import download_ahead
from scripts.lib.detection.download_ahead import DownloadAhead
from scripts.lib.detection.job_media import Fetched, MediaInJob
from scripts.lib.detection.media_detection import DetectionOutputs
from scripts.lib.errors import MediaFault
from scripts.lib.records import DownloadRecord, MediaRecord
from tests.made_records import download_record, media_record, stored_file

SIZE = 100


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[MediaInJob]:
    """Return four media, the second of which is not there."""

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


def given_back(fetched: Fetched) -> None:
    assert fetched.release is not None
    fetched.release()


@pytest.mark.parametrize("keep_files", [False, True])
def test_a_file_stays_until_it_is_released(work: list[MediaInJob], *, keep_files: bool) -> None:
    files = source(10 * SIZE, keep_files=keep_files).files(work)
    came = list(files)
    assert [each.media_id for each, _ in came] == [1, 2, 3, 4]
    assert [fetched.record.state for _, fetched in came] == ["ready", "unreadable", "ready", "ready"]
    for each, fetched in came:
        assert each.media.exists() == (each.media_id != 2)
        given_back(fetched)
        given_back(fetched)
        assert each.media.exists() == (keep_files and each.media_id != 2)


def test_the_next_may_be_asked_for_by_another_thread_before_there_is_room_for_it(work: list[MediaInJob]) -> None:
    files = source(SIZE).files(work[2:])
    _, first = next(files)
    came: list[Fetched] = []
    thread = threading.Thread(target=lambda: came.append(next(files)[1]), daemon=True)
    thread.start()
    thread.join(timeout=0.2)
    assert not came
    assert not work[3].media.exists()
    given_back(first)
    thread.join(timeout=30)
    assert [fetched.media for fetched in came] == [work[3].media]
    assert not work[2].media.exists()
