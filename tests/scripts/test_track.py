"""The step track: files of each media, faults of one media, pictures, and strides."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import read_json
from scripts.lib.records.record_files import write_record
from scripts.lib.tracking import assign
from scripts.lib.tracking.trackers import TrackOptions
from scripts.lib.tracking.tracks import COLUMNS, read_tracks
from scripts.track import record_failure, track
from tests.drawn_scenes import SCENES, Scene, as_csv
from tests.made_records import detection_record

OPTIONS = TrackOptions("bytetrack", 0.1, 0.4, 0.1, 3, 30)
ASKED = {"frame_stride": 1, "frame_range": None, "max_frames": None}


class Media:
    """Results of detect for media in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ids = folder, list[int]()

    def add(self, scene: Scene, *, kind: str | None = "video", state: str = "done", **asked: Any) -> None:
        """Add a media with a scene's boxes in the selected frames."""
        media_id = len(self.ids) + 1
        self.ids.append(media_id)
        outcome = detection_record(
            media_id=media_id, state=state, reason=None if state == "done" else "why", kind=kind,
            decoded=scene.frames, asked=ASKED | asked,
        )  # fmt: skip
        write_record(self.folder / f"{media_id}.json", outcome)
        chosen = range(scene.frames)[:: outcome.asked.frame_stride]
        found = [one for one in scene.detections() if one.frame in chosen]
        (self.folder / f"{media_id}.csv").write_text(as_csv(found, f"{media_id}_x"))

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the step's arguments for files."""
        names = {"detections": "{}.csv", "outcomes": "{}.json", "track_boxes": "t{}.csv", "tracks": "t{}.json"}
        return {key: [self.folder / name.format(one) for one in self.ids] for key, name in names.items()}

    def track(self, **changes: Any) -> list[dict[str, Any]]:
        """Run the step; return its records."""
        track(**self.arguments, **{"options": OPTIONS, **changes})
        return [read_json(path) for path in self.arguments["tracks"]]


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Media:
    monkeypatch.chdir(tmp_path)
    return Media(tmp_path)


def test_a_record_and_a_file_of_each_media(media: Media) -> None:
    media.add(SCENES["calm"])
    media.add(SCENES["calm"], kind="image")
    media.add(SCENES["calm"], kind=None, state="unreadable")
    first, picture, unreadable = media.track(batch=media.folder / "batch.json")
    assert first["state"] == "done"
    assert [one["track"] for one in first["tracks"]] == list(range(1, len(first["tracks"]) + 1))
    boxes = list(read_tracks(media.arguments["track_boxes"][0]))
    for one in first["tracks"]:
        track_boxes = [box for box in boxes if box.track == one["track"]]
        assert (track_boxes[0].frame, track_boxes[-1].frame) == (one["first_frame"], one["last_frame"])
        assert sum(not box.interpolated for box in track_boxes) == one["boxes"]
        assert sum(box.interpolated for box in track_boxes) == one["interpolated"]
        assert one["best_frame"] == max(track_boxes, key=lambda box: box.score).frame
    rows = len(media.arguments["detections"][0].read_text().splitlines()) - 1
    assert sum(one["boxes"] for one in first["tracks"]) + first["boxes_without_track"] == rows
    assert (picture["state"], picture["reason"], picture["tracks"]) == ("not tracked", "it is a picture", [])
    assert (unreadable["state"], unreadable["reason"]) == ("not tracked", "unreadable: why")
    assert media.arguments["track_boxes"][1].read_text() == ",".join(COLUMNS) + "\n"
    assert len(read_json(media.folder / "batch.json")) == 6


def test_a_second_run_gives_the_same_files(media: Media) -> None:
    media.add(SCENES["crossing"])
    media.track()
    before = [path.read_bytes() for key in ("track_boxes", "tracks") for path in media.arguments[key]]
    media.track()
    assert [path.read_bytes() for key in ("track_boxes", "tracks") for path in media.arguments[key]] == before


def test_tracks_of_a_stride_have_frame_numbers_of_the_media(media: Media) -> None:
    media.add(SCENES["calm"], frame_stride=3)
    [found] = media.track()
    assert found["tracks"]
    frames = {box.frame for box in read_tracks(media.arguments["track_boxes"][0])}
    assert all(frame % 3 == 0 for frame in frames)


def test_an_error_with_one_media_does_not_stop_the_others(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    media.add(SCENES["calm"])
    media.add(SCENES["calm"])
    make, made = assign.Tracker, list[Any]()

    def fails_first(*arguments: Any) -> Any:
        made.append(arguments)
        return make(*arguments) if len(made) > 1 else 1 / 0

    monkeypatch.setattr(assign, "Tracker", fails_first)
    failed, fine = media.track()
    assert failed["state"] == "failed"
    assert "ZeroDivisionError" in failed["reason"]
    assert failed["tracks"] == []
    assert fine["state"] == "done"
    removed = read_json(next(Path("resources/failed").glob("1.*.json")))
    assert removed == ["t1.json", "t1.csv"]


def test_a_damaged_csv_fails_the_job(media: Media) -> None:
    media.add(SCENES["calm"])
    broken = media.arguments["detections"][0]
    broken.write_text(broken.read_text().replace(":", ";", 1))
    with pytest.raises(PipelineError, match="det_conf is"):
        media.track()


def test_a_killed_job_has_a_record_of_each_media(media: Media) -> None:
    media.add(SCENES["calm"])
    record_failure(MediaFault("failed", "it was killed"), **media.arguments, options=OPTIONS)
    assert read_json(media.arguments["tracks"][0])["reason"] == "it was killed"
    assert list(read_tracks(media.arguments["track_boxes"][0])) == []
