"""Write the state of each media into one JSON file and one table."""

from pathlib import Path
from typing import Any

import pandas as pd

from scripts.lib.display_text import printable
from scripts.lib.files import read_json, replacing, write_json
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord, MediaRecord, TrackUploadRecord, UploadRecord, good_states
from scripts.lib.summary_words import left_to_people
from scripts.lib.workflow import job

COLUMNS = ("media", "name", "state", "frames", "boxes", "in Tator", "tracks in Tator", "people", "seconds", "why")
LONGEST_NAME, LONGEST_REASON = 40, 60


def summarize(
    *,
    records: list[Path],
    outcomes: list[Path],
    tracks: list[Path],
    provenance: Path,
    on_damaged: str,
    summary: Path,
    table: Path,
    uploads: list[Path] | None = None,
    track_uploads: list[Path] | None = None,
    marks: Path | None = None,
    destination: Path | None = None,
) -> None:
    """Write the state of each media (done, no detections, damaged, unreadable, unsupported, missing, skipped, failed).

    Args:
        records: what resolve_media found, a file a media.
        outcomes: what detect found, in the same order.
        tracks: what track found, in the same order; empty where nothing is tracked.
        provenance: where the network came from.
        on_damaged: `accept` when a damaged video's boxes count as a result.
        summary: the JSON file to write.
        table: the text file to write.
        uploads: what upload_detections did, in the same order; like the next three, None where nothing goes to Tator.
        track_uploads: what upload_tracks did, in the same order; None where tracks are not uploaded.
        marks: what mark_processed did.
        destination: where the boxes went.
    """
    marked = read_json(marks) if marks else {"media_ids": [], "missing": []}
    tracked: list[Path] | list[None] = tracks or [None] * len(records)
    uploaded: list[Path] | list[None] = uploads or [None] * len(records)
    with_tracks: list[Path] | list[None] = track_uploads or [None] * len(records)
    media = [
        _line(
            read_record(MediaRecord, record),
            read_record(DetectionRecord, outcome),
            upload=read_record(UploadRecord, upload) if upload else None,
            tracks=read_json(track) if track else None,
            track_upload=read_record(TrackUploadRecord, track_upload) if track_upload else None,
            marked=marked,
        )
        for record, outcome, upload, track, track_upload in zip(
            records, outcomes, uploaded, tracked, with_tracks, strict=True
        )
    ]
    failed = [line["media_id"] for line in media if line["state"] not in good_states(on_damaged)]
    counted = ("frames", "boxes", "boxes_in_tator", *(("tracks_in_tator",) if track_uploads else ()))
    totals = {key: sum(line[key] for line in media) for key in counted}
    write_json(
        summary,
        {
            "media": media,
            "totals": {"media": len(media), **totals},
            "failed": failed,
            "network": read_json(provenance),
            # Without what was seen of its attributes over time, which says nothing about this run.
            "destination": _lasting(read_json(destination)) if destination else None,
        },
    )
    with replacing(table) as stream:
        rows = pd.DataFrame([_row(line) for line in media], columns=COLUMNS)
        if not destination:
            rows = rows.drop(columns=["in Tator", "people"])
        if not track_uploads:
            rows = rows.drop(columns=["tracks in Tator"])
        stream.write(rows.to_markdown(index=False, tablefmt="simple", disable_numparse=True) + "\n")


def _line(
    record: MediaRecord,
    outcome: DetectionRecord,
    *,
    upload: UploadRecord | None,
    tracks: dict[str, Any] | None,
    track_upload: TrackUploadRecord | None,
    marked: dict[str, Any],
) -> dict[str, Any]:
    media_id = record.media_id
    state, reason = outcome.state, outcome.reason
    if tracks is not None and tracks["state"] == "failed":
        state, reason = tracks["state"], tracks["reason"]
    if upload is not None and upload.state in ("missing", "failed"):
        state, reason = upload.state, upload.reason
    elif track_upload is not None and track_upload.state in ("missing", "failed"):
        state, reason = track_upload.state, track_upload.reason
    elif media_id in marked["missing"]:
        state, reason = "missing", "it was deleted while the workflow ran"
    return {
        "media_id": media_id,
        "name": record.name,
        "state": state,
        "reason": reason or (upload.note if upload else None) or (track_upload.note if track_upload else None),
        "frames": outcome.frames.decoded,
        "boxes": outcome.boxes,
        "boxes_in_tator": upload.boxes if upload else 0,
        "people": {key: len(ids) for key, ids in upload.left_to_people.items()} if upload else {},
        "marked": media_id in marked["media_ids"],
        "seconds": outcome.seconds,
        **({} if tracks is None else {"tracks": len(tracks["tracks"])}),
        **(
            {}
            if track_upload is None
            else {
                "tracks_in_tator": track_upload.tracks,
                "people_tracks": {key: len(ids) for key, ids in track_upload.left_to_people.items()},
            }
        ),
    }


def _lasting(destination: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was seen of attributes over time, which says nothing about this run."""
    found = {key: value for key, value in destination.items() if key != "known"}
    return {key: _lasting(value) if key == "tracks" else value for key, value in found.items()}


def _row(line: dict[str, Any]) -> list[Any]:
    cut = {key: printable(line[key] or "") for key in ("name", "reason")}
    return [
        line["media_id"],
        cut["name"][:LONGEST_NAME],
        line["state"],
        line["frames"],
        line["boxes"],
        line["boxes_in_tator"],
        line.get("tracks_in_tator"),
        left_to_people(line),
        f"{line['seconds']:.1f}",
        cut["reason"] if len(cut["reason"]) <= LONGEST_REASON else cut["reason"][: LONGEST_REASON - 4] + " ...",
    ]


if __name__ == "__main__":
    job.run(summarize, snakemake)  # type: ignore[name-defined]
