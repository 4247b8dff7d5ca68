"""Records for tests, with default values for all fields that a test does not set."""

from typing import Any

from scripts.lib.records import (
    DestinationRecord,
    DetectionRecord,
    DownloadRecord,
    MediaRecord,
    People,
    StoredFile,
    TrackUploadRecord,
)
from scripts.lib.records.evaluation import Confusion, Curve, EvaluationRecord, Mistake
from scripts.lib.records.network import NetworkFile, ProvenanceRecord
from scripts.lib.records.network_changes import ConversionCheck
from scripts.lib.records.record_files import from_content
from scripts.lib.records.summary import MediaSummary
from scripts.lib.records.tracks import Track, TracksRecord

KNOWN = {"media_id": 1, "state": "ready", "reason": None, "name": None}


def media_record(**known: Any) -> MediaRecord:
    """Return a record of resolve_media."""
    return from_content(MediaRecord, KNOWN | known)


def download_record(**known: Any) -> DownloadRecord:
    """Return a record of download_media."""
    return from_content(DownloadRecord, KNOWN | known)


def stored_file(path: str, role: str = "archival", **known: Any) -> dict[str, Any]:
    """Return a file of a media record, as in JSON."""
    return {"role": role, "path": path, "size": None, "codec": None, "width": 640, "height": 360, **known}


def stored(path: str) -> StoredFile:
    """Return a file of a record."""
    return from_content(StoredFile, stored_file(path))


def detection_record(*, decoded: int = 0, **known: Any) -> DetectionRecord:
    """Return a record of detect for a media with `decoded` frames; other fields can be replaced."""
    found: dict[str, Any] = {
        "media_id": 1, "name": None, "kind": "video", "state": "done", "reason": None,
        "frames": {"decoded": decoded, "declared": None, "missing": 0, "skipped": 0, "used": decoded,
                   "numbers": decoded, "read_to_end": True, "errors": [], "error_count": 0},
        "numbering": None, "width": 640, "height": 360, "boxes": 0, "boxes_without_area": 0, "threshold": 0.3,
        "asked": {"frame_stride": 1, "frame_range": None, "max_frames": None}, "network": None, "engine": None,
        "seconds": 1.5, "stages": {}, "parts": 1,
    }  # fmt: skip
    return from_content(DetectionRecord, found | known)


def provenance(reference: str = "weights", **known: Any) -> ProvenanceRecord:
    """Return the record of a network's source."""
    files = {name: NetworkFile(sha256="a" * 64, size=1) for name in ("train.ini", "graph.pb")}
    return ProvenanceRecord(**{"source": "directory", "reference": reference, "digest": None, "files": files, **known})


def conversion_check(**known: Any) -> ConversionCheck:
    """Return the record of a conversion without differences."""
    compared = {"pictures": 4, "width": 640, "height": 480, "boxes": 100, "highest_score": 0.9}
    equal = {"box_difference": 0.0, "score_difference": 0.0, "box_tolerance": 0.05, "score_tolerance": 0.001}
    return ConversionCheck(**{**compared, **equal, **known})


def destination(**known: Any) -> DestinationRecord:
    """Return the record of the version and type of boxes."""
    named = {"species_attribute": "Species", "confidence_attribute": "Confidence", "defaults": {}}
    return DestinationRecord(**{"version_id": 43, "version": "v", "type_id": 31, **named, **known})


def tracks_record(*species: int, media_id: int = 1, **known: Any) -> TracksRecord:
    """Return a record of track, with a track of each of these species."""
    made: dict[str, Any] = {
        "confidence": 0.5,
        "first_frame": 0,
        "last_frame": 9,
        "best_frame": 3,
        "boxes": 10,
        "interpolated": 0,
    }
    tracks = [Track(**{"track": at, "species": one, **made}) for at, one in enumerate(species, start=1)]
    return TracksRecord(**{"media_id": media_id, "state": "done", "reason": None, "tracks": tracks, **known})


def track_upload_record(tracks: int, *, media_id: int = 1, **left: list[str]) -> TrackUploadRecord:
    """Return a record of upload_tracks, of tracks that were verified; `left` has the tracks left to people."""
    people = People(**{"edited": [], "added": [], "deleted": [], "withheld": [], **left})
    moment = "2026-11-28T11:31:41+00:00"
    return TrackUploadRecord(
        media_id=media_id, state="verified", reason=None, verified_at=moment, changed_at=moment, tracks=tracks,
        people=people,
    )  # fmt: skip


def media_summary(media_id: int, name: str | None, state: Any, reason: str) -> MediaSummary:
    """Return a media's line of a summary."""
    counts: dict[str, Any] = {"frames": 0, "boxes": 0, "boxes_in_tator": 0, "people": {}}
    return MediaSummary(media_id=media_id, name=name, state=state, reason=reason, marked=False, seconds=0.1, **counts)


def mistake(media_id: int, frame: int) -> Mistake:
    """Return a mistake of an evaluation."""
    return Mistake(
        media_id=media_id, name="a.mp4", frame=frame, species="cod", score=0.5, share=[0.1, 0.1, 0.2, 0.2], others=[]
    )


def evaluation_record(*, missed: list[Mistake], false_alarms: list[Mistake]) -> EvaluationRecord:
    """Return an evaluation of which only the mistakes matter."""
    counts: dict[str, Any] = {"frames": 0, "truth": 0, "found": 0, "double_counts": 0}
    figures: dict[str, Any] = {"ap50": None, "ap50_95": None, "best_f1": None, "species": {}, "thresholds": []}
    return EvaluationRecord(
        iou=0.5, threshold=0.5, only_frames_with_truth=False, media=[], **counts, **figures,
        curve=Curve(recall=[], precision=[], score=[]), confusion=Confusion(species=[], counts=[[0]]),
        missed=missed, false_alarms=false_alarms,
    )  # fmt: skip
