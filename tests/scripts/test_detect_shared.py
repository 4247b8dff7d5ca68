"""Several media in a job: pictures stay in memory, videos are downloaded and removed, nothing is done twice."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scripts.detect import detect
from scripts.lib.detection import download_ahead, job_media, local_source
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions, DownloadOptions
from scripts.lib.files import read_json
from scripts.lib.folder_source.listing import list_folder
from scripts.lib.folder_source.local_media import check
from scripts.lib.folder_source.run_listing import write_listing
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.planning.batches import SharedJob
from scripts.list_media import list_media
from tests.made_records import provenance
from tests.scripts.tator_steps import Steps

pytestmark = pytest.mark.networks

SYNTHETIC = Path(__file__).parents[1] / "data/synthetic"


class Job:
    """A job of a video and three pictures on a site; `on_disk` has the media that were downloaded to a file."""

    def __init__(self, steps: Steps, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps, self.on_disk = steps, list[int]()
        video = cv2.VideoCapture(str(SYNTHETIC / "clip_910001.mp4"))
        self.pictures = []
        for number in range(3):
            _, picture = video.read()
            path = folder / f"{number}.png"
            cv2.imwrite(str(path), picture)
            self.pictures.append(steps.server.add_media(path.name, dtype="image", files={"image": [path]}))
        self.media_ids = [1, *self.pictures]
        write_record(steps.folder / "provenance.json", provenance("a folder"))
        fetch_media = download_ahead.fetch_media

        def recording(wanted: MediaRecord, *args: Any, **named: Any) -> dict[str, Any]:
            self.on_disk.append(wanted.media_id)
            return fetch_media(wanted, *args, **named)

        monkeypatch.setattr(download_ahead, "fetch_media", recording)

    def __call__(self, *, keep_files: bool = False, prefetch_mb: int = 100) -> dict[int, str]:
        """Run the job; return the state of each media."""
        self.steps.resolve(*self.media_ids)
        return detect_together(
            self.steps.folder,
            self.media_ids,
            records=[self.steps.folder / f"record_{number}.json" for number in self.media_ids],
            media=[self.steps.folder / f"media/{number}" for number in self.media_ids],
            ahead=DownloadOptions(**self.steps.where, keep_files=keep_files, prefetch_mb=prefetch_mb),
        )

    @property
    def files(self) -> list[int]:
        """Return the media whose files exist."""
        return sorted(int(path.name) for path in (self.steps.folder / "media").glob("*"))

    def found(self) -> list[str]:
        """Return the CSV of each media."""
        return [(self.steps.folder / f"{number}.csv").read_text() for number in self.media_ids]


def detect_together(folder: Path, media_ids: list[int], **source: Any) -> dict[int, str]:
    """Detect in media in one job; return the state of each.

    Args:
        folder: the folder with the record of the network, for all files that are written.
        media_ids: the media.
        source: the records, and where the media are.
    """
    options = DetectOptions(
        threads=2, img_max_side=320, img_min_side=180, keep_threshold=0.05, batch_size=4,
        engine="openvino", precision="f32", engines=folder / "engines",
        frame_stride=1, frame_range=None, max_frames=4, nms=None, pixels=None, first_label=None,
    )  # fmt: skip
    detect(
        **{
            name: [folder / pattern.format(number) for number in media_ids]
            for name, pattern in {"detections": "{}.csv", "outcomes": "{}.json", "previews": "{}.zip"}.items()
        },
        network_files=NetworkFiles(SYNTHETIC / "graph.pb", SYNTHETIC / "train.ini", folder / "provenance.json", []),
        shared=SharedJob(folder / "batch.json", folder / "finished", "1"),
        options=options,
        **source,
    )
    return {number: read_json(folder / f"{number}.json")["state"] for number in media_ids}


@pytest.fixture
def job(steps, tmp_path, monkeypatch):
    return Job(steps, tmp_path, monkeypatch)


def test_pictures_stay_in_memory_and_downloaded_videos_are_removed(job):
    assert set(job().values()) == {"done"}
    assert (job.on_disk, job.files) == ([1], [])
    assert read_json(job.steps.folder / "batch.json").keys() >= {"run/1.csv", f"run/{job.pictures[0]}.zip"}


def test_large_pictures_are_written_to_disk_and_have_the_same_boxes(job, monkeypatch):
    job()
    boxes = job.found()
    monkeypatch.setattr(job_media, "IN_MEMORY", 1)
    write_record(job.steps.folder / "provenance.json", provenance("another folder"))  # so that nothing is restored
    job()
    assert (sorted(job.on_disk), job.files) == ([1, 1, *job.pictures], [])
    assert job.found() == boxes


def test_files_are_kept_if_they_are_wanted(job):
    job(keep_files=True)
    assert sorted(job.on_disk) == job.files == job.media_ids


def test_finished_media_whose_files_are_kept_are_not_done_again(job):
    job(keep_files=True)
    job.on_disk.clear()
    assert set(job(keep_files=True).values()) == {"done"}
    assert job.on_disk == []
    (job.steps.folder / "media" / "1").unlink()
    job(keep_files=True)
    assert (job.on_disk, job.files) == ([1], job.media_ids)


def test_partial_files_that_no_job_will_continue_are_removed(job):
    folder = job.steps.folder / "media"
    folder.mkdir()
    job()
    names = [read_json(job.steps.folder / f"record_{number}.json")["file"]["path"] for number in job.media_ids]
    # Of a finished media, of a picture that stays in memory, and of a media of another job.
    for media_id, name in (1, names[0]), (job.pictures[0], names[1]), (99999, "a.mp4"):
        (folder / f".{media_id}.{name.rpartition('/')[2]}.unfinished").write_bytes(b"x")
    job()
    assert [path.name for path in folder.iterdir()] == [".99999.a.mp4.unfinished"]


def test_an_interrupted_download_is_continued(job, monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    job.steps.server.fault("cut_download", after_bytes=30_000, media=1)
    job.steps.server.fault("status", status=500, operation="Download", media=1, nth=2, times=None)
    assert [state for media_id, state in job().items() if media_id != 1] == ["done"] * 3
    record = read_json(job.steps.folder / "1.json")
    assert record["state"] == "failed"
    assert re.search(r"media 1: .*run again to continue from byte", record["reason"])
    job.steps.server.clear_faults()
    job.steps.server.clear_requests()
    assert set(job().values()) == {"done"}
    assert [request["status"] for request in job.steps.server.requests("Download")] == [206]


@pytest.mark.parametrize("memory", [1, 10**6])
def test_memory_for_one_picture_is_enough_and_no_disk_space_is_needed(job, monkeypatch, memory):
    monkeypatch.setattr(download_ahead, "ALL_IN_MEMORY", memory)
    assert set(job(prefetch_mb=0).values()) == {"done"}


def test_a_deleted_or_refused_picture_is_recorded_and_does_not_stop_the_others(job, monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "1")
    gone, refused, whole = job.pictures
    job.steps.resolve(*job.media_ids)
    job.steps.server.fault("status", status=403, operation="Download", times=None, media=refused)
    assert job() == {1: "done", gone: "done", refused: "failed", whole: "done"}
    assert "answered 403" in read_json(job.steps.folder / f"{refused}.json")["reason"]
    job.steps.server.clear_faults()
    job.steps.server.clear_requests()
    job.steps.api.delete_media(gone)
    assert job() == {1: "done", gone: "missing", refused: "done", whole: "done"}
    assert len(job.steps.server.requests("Download")) == 1


def test_a_file_that_changes_while_it_is_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the change comes directly after the check; the other files of the job are not affected."""
    monkeypatch.chdir(tmp_path)
    survey, listing = tmp_path / "survey", tmp_path / "listing"
    survey.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(survey / name), np.full((180, 320, 3), 90, np.uint8))
    shutil.copy(SYNTHETIC / "clip_910001.mp4", survey / "c.mp4")
    files = list_folder(survey)
    write_listing(listing, files)
    ids = {file.path: file.media_id for file in files.files}
    records = [tmp_path / "records" / f"{number}.json" for number in ids.values()]
    records[0].parent.mkdir()
    list_media(listing=listing, kind="any", changed_by="time", records=records)
    write_record(tmp_path / "provenance.json", provenance("a folder"))

    def check_before_a_change(record: MediaRecord, path: Path) -> DownloadRecord:
        found = check(record, path)
        if path.name != "a.png":
            os.utime(path, ns=(1, 1))
        return found

    monkeypatch.setattr(local_source, "check", check_before_a_change)
    states = detect_together(tmp_path, list(ids.values()), records=records, listing=listing)
    assert states == {ids["a.png"]: "no detections", ids["b.png"]: "failed", ids["c.mp4"]: "failed"}
    reason = read_json(tmp_path / f"{ids['c.mp4']}.json")["reason"]
    assert reason == "its file was changed since the run was planned; run again"
    assert len(list(Path("resources/failed").iterdir())) == 2  # so that the next run tries again
