"""Tracks in other formats, each read by a reader of that format."""

import contextlib
import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from trackers import load_mot_file

from scripts.export_tracks import export_tracks
from scripts.lib.records.record_files import write_record
from scripts.lib.tracking.tracks import TrackBox, read_tracks
from scripts.track import track
from tests.drawn_scenes import HEIGHT, SCENES, WIDTH, as_csv
from tests.made_records import detection_record, media_record
from tests.scripts.test_track import ASKED, OPTIONS

pytestmark = pytest.mark.tracks


@pytest.fixture
def exported(tmp_path: Path) -> Any:
    def export(*, fill_gaps: bool = False) -> tuple[Path, list[TrackBox]]:
        ids = (1, 2, 3)
        for media_id, name in zip(ids, ("calm", "crossing", "calm"), strict=True):
            drawn = SCENES[name]
            kind = "image" if media_id == 3 else "video"
            known = {"media_id": media_id, "name": 'a, "b"\n.mp4', "kind": kind, "width": WIDTH, "height": HEIGHT}
            outcome = detection_record(decoded=drawn.frames, asked=ASKED, **known)
            write_record(tmp_path / f"{media_id}.json", outcome)
            record = media_record(media_id=media_id, fps=25.0 if media_id == 1 else None)
            write_record(tmp_path / f"{media_id}_record.json", record)
            (tmp_path / f"{media_id}.csv").write_text(as_csv(drawn.detections(), f"{media_id}_scene"))
        files = {
            key: [tmp_path / f"{one}{end}" for one in ids]
            for key, end in (("outcomes", ".json"), ("track_boxes", "_t.csv"), ("tracks", "_t.json"))
        }
        track(detections=[tmp_path / f"{one}.csv" for one in ids], **files, options=OPTIONS)
        (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,flat fish,(c) rab\n")
        export_tracks(
            records=[tmp_path / f"{one}_record.json" for one in ids],
            **files,
            train_ini=tmp_path / "train.ini",
            fill_gaps=fill_gaps,
            mot=tmp_path / "mot",
            viame=tmp_path / "viame",
            coco=tmp_path / "coco.json",
        )
        boxes = [box for box in read_tracks(tmp_path / "1_t.csv") if fill_gaps or not box.interpolated]
        return tmp_path, boxes

    return export


@pytest.mark.parametrize("fill_gaps", [False, True])
def test_mot_is_read_by_the_trackers_package(exported: Any, fill_gaps: bool) -> None:
    folder, boxes = exported(fill_gaps=fill_gaps)
    assert sorted(path.name for path in (folder / "mot").iterdir()) == ["1.txt", "2.txt"]
    frames = load_mot_file(folder / "mot" / "1.txt")
    assert sum(len(frame.ids) for frame in frames.values()) == len(boxes)
    assert min(frames) == min(box.frame for box in boxes) + 1
    # MOT's pixels count from 1 too, see motchallenge.net/instructions.
    places = {(box.frame, box.track): [box.xywh[0] + 1, box.xywh[1] + 1, *box.xywh[2:]] for box in boxes}
    for line in (folder / "mot" / "1.txt").read_text().splitlines():
        number, identity, *place = line.split(",")[:6]
        assert [float(value) for value in place] == pytest.approx(places[int(number) - 1, int(identity)], abs=1e-9)
    for number, frame in frames.items():
        assert sorted(frame.ids.tolist()) == sorted(box.track for box in boxes if box.frame == number - 1)


def test_coco_is_read_by_pycocotools(exported: Any) -> None:
    folder, boxes = exported()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(folder / "coco.json")
    annotations = [one for one in coco.dataset["annotations"] if one["video_id"] == 1]
    assert len(annotations) == len(boxes)
    assert [one["id"] for one in coco.dataset["videos"]] == [1, 2]
    tracks = {one["id"]: one for one in coco.dataset["tracks"]}
    for one in coco.dataset["annotations"]:
        assert coco.imgs[one["image_id"]]["video_id"] == one["video_id"] == tracks[one["track_id"]]["video_id"]
        assert one["category_id"] == tracks[one["track_id"]]["category_id"]
    assert len({(one["image_id"], one["track_id"]) for one in coco.dataset["annotations"]}) == len(coco.anns)


def test_viame_has_its_eleven_columns_and_a_track_s_boxes_together(exported: Any) -> None:
    folder, boxes = exported(fill_gaps=True)
    with (folder / "viame" / "1.csv").open(newline="") as stream:
        header, metadata, *rows = csv.reader(stream)
    assert header[0] == "# 1: Detection or Track-id"
    assert metadata == ["# metadata", "Fps: 25"]
    assert [(int(row[0]), int(row[2])) for row in rows] == sorted((box.track, box.frame) for box in boxes)
    by_key = {(box.track, box.frame): box for box in boxes}
    for row in rows:
        box = by_key[int(row[0]), int(row[2])]
        x1, y1, x2, y2 = map(float, row[3:7])
        assert (x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)) == pytest.approx(box.xywh, abs=0.0011)
        assert row[9] in ("cod", "flat fish", "[c) rab")
        assert 0 <= float(row[10]) <= 1
        attributes = dict(found.groups() for cell in row[11:] if (found := re.match(r"^\(atr\) (.*?)\s(.+)", cell)))
        assert attributes == ({"interpolated": "true"} if box.interpolated else {}), "as DIVE reads attributes of a box"
        assert bool(row[11:]) == box.interpolated
    assert any(box.interpolated for box in boxes)
    assert rows[0][1].startswith("0:00:0")
    with (folder / "viame" / "2.csv").open(newline="") as stream:
        _, *rows = csv.reader(stream)
    assert not any(row[0].startswith("#") for row in rows), "DIVE fails on a row of metadata without any"
    assert {row[1] for row in rows} == {""}
