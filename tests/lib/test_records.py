"""Records are written and read by their models, and their schema is up to date."""

import json
from dataclasses import replace

import jsonschema
import pytest
import yaml

from scripts.lib.errors import PipelineError
from scripts.lib.records import (
    DownloadRecord,
    MarksRecord,
    MediaRecord,
    People,
    StoredFile,
    TracksDestination,
    TrackUploadRecord,
    UploadRecord,
    good_states,
    records_schema,
    uploaded_states,
)
from scripts.lib.records.detection import NetworkUsed
from scripts.lib.records.evaluation import (
    BestF1,
    Curve,
    MediaTrackAccuracy,
    NotTracked,
    SpeciesAccuracy,
    TrackEvaluationRecord,
    TrackScores,
)
from scripts.lib.records.match import MatchesRecord, MatchRecord
from scripts.lib.records.network_changes import (
    CalibrationFrames,
    ConversionRecord,
    KeptBoxes,
    QuantizationRecord,
    ScoreDifference,
)
from scripts.lib.records.record_files import as_content, read_record, write_record
from scripts.lib.records.summary import SummaryRecord, Totals
from tests.made_records import (
    conversion_check,
    destination,
    detection_record,
    evaluation_record,
    media_summary,
    mistake,
    provenance,
    track_upload_record,
    tracks_record,
)

USED = NetworkUsed(sha256="a" * 64, width=640, height=480, classes=["cod"], nms={"iou": 0.4}, source="weights")
ENGINE: dict[str, object] = {"name": "openvino", "version": "1", "device": "CPU", "precision": "f32", "threads": 2}
TRACKS_GO_TO = TracksDestination(
    type_id=32, species_attribute="Species", confidence_attribute="Confidence", length_attribute=None, defaults={}
)
MADE = {"from_sha256": "c" * 64, "nms": {"iou": 0.4}, "sandbox": "none", "versions": {"onnx": "1"}}
QUANTIZED = QuantizationRecord(
    media_ids=[1],
    frames=CalibrationFrames(of_each_media={"1": 9}, to_quantize=6, held_back=3),
    threshold=0.3,
    boxes=KeptBoxes(f32=10, int8=9, both=8),
    drift=0.15,
    score_difference=ScoreDifference(mean=None, largest=None),
    max_drift=0.2,
    graph_sha256="a" * 64,
    weights_sha256="b" * 64,
    **MADE,
)
CONVERTED = ConversionRecord(
    onnx_sha256="a" * 64,
    layout="openem",
    opset=17,
    checked=conversion_check(),
    **MADE,
)
ACCURACY = {"hota": 0.5, "deta": 0.5, "assa": 0.5, "idf1": 0.5, "mota": -0.1}
FILE = StoredFile(role="archival", path="1/2/a.mp4", size=10, codec=None, width=640, height=360)
RECORDS = [
    MediaRecord(media_id=1, state="missing", reason="it was deleted", name=None),
    MediaRecord(media_id=1, state="ready", reason=None, name="a.mp4", kind="video", type_id=3, fps=25.0, file=FILE),
    MediaRecord(media_id=1, state="ready", reason=None, name="a", kind="video", type_id=3, file=FILE, copy=FILE),
    DownloadRecord(media_id=1, state="failed", reason="the store answered 403"),
    DownloadRecord(media_id=1, state="ready", reason=None, bytes=0, md5_checked=False),
    DownloadRecord(
        media_id=1, state="ready", reason=None, bytes=9, md5_checked=True, role="streaming", role_reason="x"
    ),
    UploadRecord(media_id=1, type_id=None, state="not uploaded", reason="missing: it was deleted"),
    UploadRecord(
        media_id=1,
        type_id=3,
        state="verified",
        reason=None,
        verified_at="2026-11-28T11:31:41+00:00",
        changed_at="2026-11-28T11:31:41+00:00",
        boxes=2,
        people=People(edited=["x"], added=[], deleted=[], withheld=[]),
    ),
    UploadRecord(media_id=1, type_id=3, tator_id=7, state="missing", reason="it was deleted"),
    MatchesRecord(
        matches=[
            MatchRecord(media_id=1, state="missing", reason="no image in Tator has its name"),
            MatchRecord(media_id=2, state="matched", reason=None, by="md5", tator_id=7, type_id=3, kind="image"),
        ]
    ),
    MarksRecord(attribute="Processed", media_ids=[1], missing=[], failed={"2": "its mark was refused"}),
    provenance(),
    provenance(source="archive", size=[640, 480]),
    provenance(source="data_image", fetched_by="registry", description={"family": "yolo"}),
    destination(),
    destination(known={"Species": ["2026-11-28T11:31:41.000+00:00", "No"]}),
    destination(tracks=TRACKS_GO_TO),
    destination(tracks=replace(TRACKS_GO_TO, length_attribute="Length", known={"Species": ["2026-11-28", "No"]})),
    TrackUploadRecord(media_id=1, state="not uploaded", reason="not tracked: it is a picture"),
    track_upload_record(2, edited=["x"]),
    replace(detection_record(), network=USED),
    replace(
        detection_record(), network=replace(USED, weights_sha256="b" * 64, int8=as_content(QUANTIZED)), engine=ENGINE
    ),
    QUANTIZED,
    CONVERTED,
    TrackEvaluationRecord(media=[], not_tracked=[], mean=None, with_filled_gaps=False),
    TrackEvaluationRecord(
        media=[
            MediaTrackAccuracy(
                media_id=1,
                frames=9,
                switches=0,
                fragments=1,
                true_tracks=2,
                found_tracks=2,
                true_boxes=9,
                found_boxes=8,
                **ACCURACY,
            )
        ],
        not_tracked=[NotTracked(media_id=2, reason="its job was killed")],
        mean=TrackScores(**ACCURACY),
        with_filled_gaps=True,
    ),
    tracks_record(1, 2, boxes_without_track=3),
    tracks_record(state="not tracked", reason="it is a picture"),
    SummaryRecord(
        media=[
            media_summary(1, None, "missing", "it was deleted"),
            replace(media_summary(2, "a", "done", ""), tracks=3),
        ],
        totals=Totals(media=2, frames=0, boxes=0, boxes_in_tator=0),
        failed=[1],
        network=provenance(),
        destination=None,
    ),
    SummaryRecord(
        media=[replace(media_summary(1, "a", "done", ""), tracks=3, tracks_in_tator=2, people_tracks={"edited": 1})],
        totals=Totals(media=1, frames=0, boxes=0, boxes_in_tator=0, tracks_in_tator=2),
        failed=[],
        network=provenance(),
        destination=destination(tracks=TRACKS_GO_TO),
    ),
    evaluation_record(missed=[mistake(1, 3)], false_alarms=[]),
    replace(
        evaluation_record(missed=[], false_alarms=[]),
        best_f1=BestF1(threshold=0.5, f1=1.0, precision=1.0, recall=1.0),
        species={
            "cod": SpeciesAccuracy(
                truth=1,
                found=1,
                ap50=1.0,
                ap50_95=0.9,
                best_f1=None,
                curve=Curve(recall=[1], precision=[1], score=[0.5]),
            )
        },
    ),
]


@pytest.fixture(scope="module")
def schema():
    """Return the schema of all records, after a check that it is valid."""
    found = yaml.safe_load(records_schema.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return found


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_written_records_are_read_and_are_valid_by_the_schema(record, schema, tmp_path):
    path = tmp_path / "record.json"
    write_record(path, record)
    assert read_record(type(record), path) == record
    [name] = [name for name, model in records_schema.MODELS.items() if model is type(record)]
    jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"}).validate(json.loads(path.read_text()))


def test_keys_that_do_not_apply_are_not_written(tmp_path):
    path = tmp_path / "record.json"
    found = []
    for record in RECORDS[:8]:
        write_record(path, record)
        found.append(list(json.loads(path.read_text())))
    ready = ["media_id", "state", "reason", "kind", "type_id", "name", "width", "height", "fps", "num_frames", "md5",
             "file", "copy", "file_reason"]  # fmt: skip
    download, upload = ["media_id", "state", "reason"], ["media_id", "type_id", "state", "reason"]
    assert found == [
        ["media_id", "state", "reason", "name"], ready, ready,
        download, [*download, "bytes", "md5_checked"], [*download, "bytes", "md5_checked", "role", "role_reason"],
        upload, [*upload, "verified_at", "changed_at", "boxes", "people", "note"],
    ]  # fmt: skip


def test_missing_keys_are_reported_and_unknown_ones_are_ignored(tmp_path):
    path = tmp_path / "1.json"
    path.write_text('{"media_id": 1, "reason": null}')
    with pytest.raises(PipelineError, match=r"1\.json: the key state is missing .* by the same command"):
        read_record(DownloadRecord, path)
    path.write_text('{"media_id": 1, "state": "skipped", "reason": "x", "of_a_later_version": 1}')
    assert read_record(DownloadRecord, path) == DownloadRecord(media_id=1, state="skipped", reason="x")


def test_keys_are_written_in_the_order_of_the_model():
    content = as_content(replace(detection_record(), network=replace(USED, weights_sha256="b", converted={})))
    assert list(content["network"]) == [
        "sha256", "weights_sha256", "width", "height", "classes", "nms", "source", "converted",
    ]  # fmt: skip
    assert list(as_content(provenance())) == ["source", "reference", "fetched_by", "digest", "image_id", "files"]


def test_a_media_that_is_not_ready_has_no_file():
    with pytest.raises(ValueError, match="media 1: its record names no file"):
        _ = RECORDS[0].chosen_file
    with pytest.raises(ValueError, match="media 1: its record names no kind"):
        _ = RECORDS[0].file_kind
    assert (RECORDS[1].chosen_file, RECORDS[1].file_kind) == (FILE, "video")


def test_accepted_states():
    assert uploaded_states("fail") == ("done", "no detections")
    assert uploaded_states("accept") == ("done", "no detections", "damaged")
    assert good_states("fail") == ("done", "no detections", "skipped")


def test_the_schema_is_up_to_date():
    """If this fails, run `make settings`."""
    text = records_schema.SCHEMA.read_text()
    assert records_schema.with_models(text) == text
    broken = text.replace("How the download of a media ended.", "?").replace("\n      bytes:\n", "\n      octets:\n")
    assert broken != text
    assert records_schema.with_models(broken) == text
    with pytest.raises(ValueError, match="0 parts 'record'"):
        records_schema.with_models("x: 1\n")
