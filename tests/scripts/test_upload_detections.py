"""Boxes in Tator equal the CSV, however often the upload runs; boxes that people changed are left alone."""

import pytest

from scripts.lib.errors import PipelineError, ServerError
from scripts.lib.files import read_json

ROWS = ["0,10.000,20.000,64.000,36.000,0.900000:0.100000,1", "3,320.000,180.000,320.000,180.000,0.200000:0.600000,2"]


@pytest.fixture
def ready(steps):
    steps.resolve(1, 2)
    steps.prepare()
    steps.detected(1, ROWS)
    return steps


def writes(steps):
    return len(steps.server.requests("CreateLocalizationList")) + len(steps.server.requests("DeleteLocalizationList"))


def test_boxes_in_tator_equal_the_csv(ready):
    done = ready.upload(1)
    assert (done["state"], done["boxes"]) == ("verified", 2)
    first, second = ready.boxes()
    assert (first["media"], first["frame"], first["type"]) == (1, 0, ready.server.localization_type_id)
    assert [first[key] for key in ("x", "y", "width", "height")] == [0.015625, 0.05555556, 0.1, 0.1]
    assert first["attributes"] == {"Species": "cod", "Confidence": 0.9}
    assert [second[key] for key in ("x", "y", "width", "height")] == [0.5, 0.5, 0.5, 0.5]
    assert second["attributes"] == {"Species": "crab", "Confidence": 0.6}
    assert {first["mark"], second["mark"]} == {0}


def test_second_run_reads_once_and_writes_nothing(ready):
    ready.upload(1)
    before = ready.boxes()
    ready.server.clear_requests()
    ready.upload(1)
    assert ready.boxes() == before
    assert writes(ready) == 0


def test_stale_boxes_are_removed(ready):
    ready.upload(1)
    ready.detected(1, [ROWS[1]])
    ready.upload(1)
    assert [box["frame"] for box in ready.boxes(show_deleted=1)] == [3]


def test_boxes_are_not_removed_for_a_csv_that_was_cut(ready):
    ready.detected(1, ROWS)
    ready.upload(1)
    path = ready.folder / "found_1.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(PipelineError, match=r"found_1\.csv: it has \d+ rows, expected \d+, .*; remove the file"):
        ready.upload(1)


def test_a_media_without_detections_is_verified(ready):
    ready.upload(1)
    ready.detected(1, [])
    assert ready.upload(1)["state"] == "verified"
    assert ready.boxes(show_deleted=1) == []


def test_boxes_below_the_upload_threshold_are_removed(ready):
    assert ready.upload(1, threshold=0.7)["boxes"] == 1
    assert ready.upload(1)["boxes"] == 2
    assert ready.upload(1, threshold=0.7)["boxes"] == 1


def test_other_media_and_versions_are_not_touched(ready):
    ready.detected(2, ROWS)
    ready.upload(1)
    ready.upload(2)
    spec = {
        "type": ready.server.localization_type_id,
        "media_id": 1,
        "frame": 0,
        "x": 0,
        "y": 0,
        "width": 1,
        "height": 1,
    }
    ready.api.create_localization_list(ready.server.project_id, [{**spec, "version": ready.server.version_id}])
    ready.detected(1, [])
    ready.upload(1)
    assert [box["media"] for box in ready.boxes()] == [2, 2]
    assert len(ready.api.get_localization_list(ready.server.project_id, version=ready.server.version_id)) == 1


def test_many_boxes_are_uploaded_in_several_requests(ready, monkeypatch, caplog):
    monkeypatch.setattr("scripts.lib.progress.SECONDS", 0.0)
    caplog.set_level("INFO")
    ready.detected(1, [f"{at},1.000,1.000,9.000,9.000,0.5:0.1,1" for at in range(1203)])
    assert ready.upload(1)["boxes"] == 1203
    assert len(ready.server.requests("CreateLocalizationList")) == 3
    assert "media 1: 500 of 1203 boxes (41 %), " in caplog.text
    ready.detected(1, [])
    ready.upload(1)
    assert ready.boxes(show_deleted=1) == []


def test_boxes_at_the_edge_are_within_the_frame(ready):
    ready.detected(1, ["0,0.001,0.001,639.999,359.999,0.9:0.1,1", "1,213.333,119.999,426.667,240.001,0.9:0.1,1"])
    ready.upload(1)
    for box in ready.boxes():
        assert box["x"] + box["width"] <= 1
        assert box["y"] + box["height"] <= 1


@pytest.mark.parametrize("kind", ["drop_answer", "reset", "throttle", "status", "html"])
@pytest.mark.parametrize("operation", ["CreateLocalizationList", "GetLocalizationList"])
def test_faults_leave_each_box_once_and_unmarked(ready, kind, operation):
    ready.server.fault(kind, operation=operation)
    ready.upload(1)
    assert [(box["frame"], box["mark"]) for box in ready.boxes(show_deleted=1)] == [(0, 0), (3, 0)]
    assert ready.server.faults()["pending"] == []


@pytest.mark.parametrize("kind", ["drop_answer", "reset", "throttle"])
def test_temporary_faults_while_boxes_are_removed(ready, kind):
    ready.upload(1)
    ready.detected(1, [ROWS[1]])
    ready.server.fault(kind, operation="DeleteLocalizationList")
    ready.upload(1)
    assert [(box["frame"], box["mark"]) for box in ready.boxes(show_deleted=1)] == [(3, 0)]


def test_after_a_lasting_fault_there_is_no_record(ready, impatient):
    ready.server.fault("status", status=500, times=None, operation="CreateLocalizationList")
    with pytest.raises(ServerError, match=r"answered 500"):
        ready.upload(1)
    assert not (ready.folder / "upload_1.json").exists()


def test_edited_box_stays_as_the_person_left_it(ready):
    ready.upload(1)
    ready.api.update_localization(ready.boxes()[0]["id"], {"x": 0.3})
    edited = ready.boxes()[0]
    for rows in (ROWS, [], ROWS):
        ready.detected(1, rows)
        people = ready.upload(1)["people"]
        assert edited["elemental_id"] in people["edited"]
        assert [box for box in ready.boxes() if box["elemental_id"] == edited["elemental_id"]] == [edited]


def test_deleted_box_is_not_made_again(ready):
    ready.upload(1)
    gone = ready.boxes()[0]
    ready.api.delete_localization(gone["id"], {})
    for _ in range(2):
        done = ready.upload(1)
        assert (done["boxes"], done["people"]["deleted"]) == (1, [gone["elemental_id"]])
        assert [box["frame"] for box in ready.boxes()] == [3]


def test_a_drawn_box_is_kept_and_replaces_the_workflow_s_box(ready):
    where = read_json(ready.folder / "destination.json")
    spec = {"type": where["type_id"], "version": where["version_id"], "media_id": 1, "frame": 0}
    spec |= {"x": 0.016, "y": 0.056, "width": 0.1, "height": 0.1, "attributes": {"Species": "eel"}}
    ready.api.create_localization_list(ready.server.project_id, [spec])
    drawn = ready.boxes()
    done = ready.upload(1)
    assert done["boxes"] == 1
    assert (len(done["people"]["added"]), len(done["people"]["withheld"])) == (1, 1)
    assert [box for box in ready.boxes() if box["frame"] == 0] == drawn


@pytest.mark.parametrize(("state", "accept"), [("unreadable", False), ("missing", True), ("skipped", True)])
def test_boxes_of_a_media_without_a_result_are_left_alone(ready, state, accept):
    ready.upload(1)
    ready.detected(1, [], state, "a reason")
    ready.server.clear_requests()
    done = ready.upload(1, on_damaged="accept" if accept else "fail")
    assert (done["state"], done["reason"]) == ("not uploaded", f"{state}: a reason")
    assert ready.server.requests() == []


def test_boxes_of_a_damaged_media_are_uploaded_if_wanted(ready):
    ready.detected(1, ROWS, "damaged", "2 errors")
    assert ready.upload(1, on_damaged="accept")["boxes"] == 2


def test_a_media_deleted_during_its_upload_is_missing(ready):
    ready.api.delete_media(1)
    ready.server.fault("status", status=400, operation="CreateLocalizationList")
    assert ready.upload(1)["state"] == "missing"


def test_a_deleted_version_is_an_error_with_a_remedy(ready):
    ready.api.delete_version(read_json(ready.folder / "destination.json")["version_id"])
    with pytest.raises(ServerError, match=r"was deleted.*--forcerun prepare_upload"):
        ready.upload(1)


def test_no_right_to_write(ready, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", ready.server.tokens["viewer"])
    with pytest.raises(ServerError, match=r"403.*Can Edit"):
        ready.upload(1)


def test_after_an_invalid_token_the_upload_is_continued(ready):
    ready.server.fault("revoke_token", operation="CreateLocalizationList")
    with pytest.raises(ServerError, match=r"set TATOR_AUTH_TOKEN"):
        ready.upload(1)
    ready.server.clear_faults()
    assert ready.upload(1)["boxes"] == 2
