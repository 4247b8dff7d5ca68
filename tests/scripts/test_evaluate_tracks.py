"""Tracks compared with true tracks: each format of a file, what is refused, and known figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.evaluate_tracks import evaluate_tracks
from scripts.get_true_tracks import get_true_tracks
from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import read_json
from scripts.lib.records.record_files import write_record
from scripts.track import _write_failure as fail_track
from scripts.track import track
from tests.drawn_scenes import SCENES, as_csv, as_mot
from tests.made_records import detection_record, media_record
from tests.scripts.test_track import OPTIONS

pytestmark = pytest.mark.tracks

SCENE = SCENES["crossing"]


@pytest.fixture
def evaluated(tmp_path: Path) -> Any:
    def evaluate(
        truth: str,
        media: tuple[int, ...] = (1,),
        fill_gaps: bool = False,
        lost: list[list[int]] | None = None,
        failed: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        for media_id in media:
            outcome = detection_record(decoded=SCENE.frames, media_id=media_id, name=f"scene {media_id}.mp4")
            outcome = replace(outcome, frames=replace(outcome.frames, lost=lost))
            write_record(tmp_path / f"{media_id}.json", outcome)
            write_record(
                tmp_path / f"{media_id}_r.json", media_record(media_id=media_id, name=outcome.name, kind="video")
            )
            (tmp_path / f"{media_id}.csv").write_text(as_csv(SCENE.detections(), f"{media_id}_scene"))
        ends = {"detections": ".csv", "outcomes": ".json", "track_boxes": "_t.csv", "tracks": "_t.json"}
        files = {key: [tmp_path / f"{one}{end}" for one in media] for key, end in ends.items()}
        track(**files, options=OPTIONS)
        for media_id in failed:
            boxes, record = (tmp_path / f"{media_id}{ends[key]}" for key in ("track_boxes", "tracks"))
            fail_track(MediaFault("failed", "its job was killed"), media_id, boxes, record)
        (tmp_path / "truth.csv").write_text(truth)
        get_true_tracks(
            track_truth_file=[tmp_path / "truth.csv"],
            records=[tmp_path / f"{one}_r.json" for one in media],
            true_tracks=tmp_path / "true_tracks.csv",
        )
        evaluate_tracks(
            outcomes=files["outcomes"],
            tracks=files["tracks"],
            track_boxes=files["track_boxes"],
            true_tracks=tmp_path / "true_tracks.csv",
            fill_gaps=fill_gaps,
            evaluation=tmp_path / "evaluation.json",
        )
        return dict(read_json(tmp_path / "evaluation.json"))

    return evaluate


def rows(before: str = "") -> str:
    return "".join(
        f"{before}{one.frame},{one.identity},{','.join(str(value) for value in one.xywh)}\n" for one in SCENE.truth()
    )


def test_each_format_of_true_tracks_has_the_same_figures(evaluated: Any) -> None:
    mot = evaluated(as_mot(SCENE.truth()))
    assert mot["media"][0]["idf1"] > 0.95
    assert mot["media"][0]["hota"] > 0.8
    assert mot["mean"]["idf1"] == mot["media"][0]["idf1"]
    assert mot["media"][0]["true_tracks"] == len({one.identity for one in SCENE.truth()})
    assert evaluated("frame,track,x,y,w,h\n" + rows()) == mot
    assert evaluated("frame,id,bb_left,bb_top,bb_width,bb_height\n" + rows()) == mot
    assert evaluated("frame,track,x,y,w,h\n" + rows().replace("\n", "\n\n")) == mot
    many = evaluated("video_id,frame,track_id,x,y,width,height\n" + rows("2_scene 2,") + rows("7_other,"), media=(1, 2))
    assert [one["media_id"] for one in many["media"]] == [2]
    assert many["mean"] == mot["mean"]


def test_a_video_without_a_true_track_in_its_analysed_frames_is_left_out(evaluated: Any) -> None:
    head = "video_id,frame,track,x,y,w,h\n"
    both = evaluated(head + rows("1_scene 1,") + "2_scene_2,999,1,10,10,20,20\n", media=(1, 2))
    assert [one["media_id"] for one in both["media"]] == [1]
    assert both["mean"] == evaluated(head + rows("1_scene 1,"))["mean"]


def test_a_media_whose_tracking_failed_does_not_count(evaluated: Any) -> None:
    truth = "video_id,frame,track,x,y,w,h\n" + rows("1_scene 1,") + rows("2_scene 2,")
    found = evaluated(truth, media=(1, 2), failed=(2,))
    assert [one["media_id"] for one in found["media"]] == [1]
    assert found["mean"]["hota"] == found["media"][0]["hota"] > 0.8
    assert found["not_tracked"] == [{"media_id": 2, "reason": "its job was killed"}]


def test_mot_counts_pixels_from_1(evaluated: Any, tmp_path: Path) -> None:
    """As its site says: all frame numbers, target ids and bounding boxes are 1-based."""
    evaluated("1,4,1,11,8,9,1,1,1\n")
    assert (tmp_path / "true_tracks.csv").read_text().splitlines()[1] == "1,0,4,0.000,10.000,8.000,9.000,,"


def test_frames_that_were_lost_do_not_count(evaluated: Any) -> None:
    truth = "frame,track,x,y,w,h\n" + rows()
    [whole] = evaluated(truth)["media"]
    [found] = evaluated(truth, lost=[[0, 9], [20, 24]])["media"]
    assert found["frames"] == whole["frames"] - 15


def test_tracks_compared_with_themselves_are_perfect(evaluated: Any, tmp_path: Path) -> None:
    evaluated("frame,track,x,y,w,h\n" + rows())
    own = (tmp_path / "1_t.csv").read_text()
    found = evaluated(own, fill_gaps=True)["mean"]
    assert found == {"hota": 1.0, "deta": 1.0, "assa": 1.0, "idf1": 1.0, "mota": 1.0}
    assert evaluated(own)["mean"]["deta"] < 1.0  # without the boxes that fill gaps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("frame,x,y,w,h\n0,1,1,2,2\n", "no column track"),
        ("frame,track,x,y,w,h\n0,1,1,1,0,2\n", "truth.csv:2: a box of 0 x 2 pixels"),
        ("frame,track,x,y,w,h\n0,1,1,1,0.0004,2\n", "truth.csv:2: a box of 0.0004 x 2 pixels"),
        ("frame,track,x,y,w,h\n0,1,1,1,nan,2\n", "truth.csv:2: a box of nan x 2"),
        ("frame,track,x,y,w,h\n0,one,1,1,2,2\n", "truth.csv:2: invalid literal"),
        ("frame,track,x,y,w,h\n0,1,1,1,2\n", "truth.csv:2: too few fields, no h"),
        ("frame,track,x,y,w,h\n0,1,1,1,2,2\n0,1,5,5,2,2\n", "track 1 has two boxes in frame 0"),
        ("0,1,1,1,2,2\n", "truth.csv:1: frame 0"),
        ("media_id,frame,track,x,y,w,h\n9,0,1,1,1,2,2\n", "has no true track in this run's media: it names 9;"),
        ("frame,track,x,y,w,h\n0,1,83,61,219,01,527,21\n", "truth.csv:2: 8 fields, expected 6; write decimals"),
        ("frame,track,x,y,w,h\n" + "9" * 30 + ",1,1,1,2,2\n", "truth.csv:2: frame 99999"),
        ("\n\n", "it is empty"),
        ("media_id,frame,track,x,y,w,h\nx,0,1,1,1,2,2\n", "media_id is 'x'"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_message(evaluated: Any, text: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        evaluated(text)
    assert message in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_file_without_media_in_a_run_of_two_is_refused(evaluated: Any) -> None:
    with pytest.raises(PipelineError, match="which media"):
        evaluated("frame,track,x,y,w,h\n" + rows(), media=(1, 2))


@pytest.mark.service
def test_true_tracks_of_a_version_are_its_current_tracks(steps: Any, tmp_path: Path) -> None:
    """Their boxes are current: edited boxes at their new place, and no deleted boxes."""
    api, server = steps.api, steps.server
    track_type = steps.add_track_type()
    box = {"media_id": 1, "type": server.localization_type_id, "version": server.version_id, "x": 0.25, "y": 0.5,
           "width": 0.125, "height": 0.25, "attributes": {"Species": "cod"}}  # fmt: skip
    ids = api.create_localization_list(server.project_id, [box | {"frame": frame} for frame in range(6)]).id
    spec = {"type": track_type, "version": server.version_id, "media_ids": [1], "frame": 0, "attributes": {}}
    [click] = api.create_localization_list(server.project_id, [box | {"frame": 9, "height": 0.0}]).id
    boxes_of_tracks = [[*ids[:3], click], ids[3:], ids[:2]]
    specs = [{**spec, "localization_ids": some} for some in boxes_of_tracks]
    states = api.create_state_list(server.project_id, specs).id
    api.delete_state(states[2], {})
    api.update_localization(ids[1], {"x": 0.5})
    api.delete_localization(ids[4], {})
    steps.resolve(1, 2)
    arguments = {
        "track_truth_file": [], "records": [steps.folder / f"record_{number}.json" for number in (1, 2)],
        "true_tracks": tmp_path / "true_tracks.csv", **steps.where,
        "localization_type_id": server.localization_type_id,
    }  # fmt: skip
    get_true_tracks(**arguments, track_truth_version=server.version_id)
    assert (tmp_path / "true_tracks.csv").read_text().splitlines() == [
        "media_id,frame,track,x,y,w,h,of_width,of_height",
        *(f"1,{frame},1,{left}.000,180.000,80.000,90.000,640,360" for frame, left in ((0, 160), (1, 320), (2, 160))),
        *(f"1,{frame},2,160.000,180.000,80.000,90.000,640,360" for frame in (3, 5)),
    ]
    with pytest.raises(PipelineError, match="version 99999: it has no track"):
        get_true_tracks(**arguments, track_truth_version=99999)


@pytest.mark.service
def test_true_tracks_of_a_version_include_its_bases(steps: Any, tmp_path: Path, caplog: Any) -> None:
    """A track of the version replaces the one that it was made from, and refers to its boxes in the base."""
    api, server, project = steps.api, steps.server, steps.server.project_id
    kind = steps.add_track_type()
    base = api.create_version(project, {"name": "Machine", "description": ""}).id
    own = api.create_version(project, {"name": "Corrected", "description": "", "bases": [base]}).id

    def boxes(version: int, x: float) -> list[int]:
        box = {"media_id": 1, "type": server.localization_type_id, "version": version, "x": x, "y": 0.1, "width": 0.1,
               "height": 0.1, "attributes": {"Species": "cod"}}  # fmt: skip
        return list(api.create_localization_list(project, [box | {"frame": frame} for frame in range(3)]).id)

    def track(version: int, rows: list[int], **more: Any) -> None:
        spec = {"type": kind, "media_ids": [1], "version": version, "localization_ids": rows, "attributes": {}}
        api.create_state_list(project, [spec | more])

    for x in (0.1, 0.3):
        track(base, boxes(base, x))
    corrected = api.get_state_list(project, version=[base])[0]
    track(own, corrected["localizations"], parent=corrected["id"], elemental_id=corrected["elemental_id"])
    track(own, boxes(own, 0.5))
    edited = api.get_localization_list(project, version=[base])[0]
    clone = {key: edited[key] for key in ("type", "frame", "y", "width", "height", "elemental_id")}
    new = {"media_id": 1, "version": own, "x": 0.7, "parent": edited["id"], "attributes": {}}
    api.create_localization_list(project, [clone | new])
    steps.resolve(1)
    get_true_tracks(
        track_truth_file=[], records=[steps.folder / "record_1.json"], true_tracks=tmp_path / "true.csv", **steps.where,
        localization_type_id=server.localization_type_id, track_truth_version=own,
    )  # fmt: skip
    lefts: dict[str, list[float]] = {}
    for line in (tmp_path / "true.csv").read_text().splitlines()[1:]:
        _, _, number, left, *_ = line.split(",")
        lefts.setdefault(number, []).append(float(left))
    assert sorted(lefts.values()) == [[192.0] * 3, [320.0] * 3, [448.0, 64.0, 64.0]]
    assert "left out" not in caplog.text
