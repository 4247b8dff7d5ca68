"""Write the state of each media into one JSON file and one table."""

from pathlib import Path
from typing import Any

import pandas as pd

from scripts.lib.display_text import printable
from scripts.lib.files import read_json, replacing, write_json
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord, MediaRecord, UploadRecord, good_states
from scripts.lib.workflow import job

COLUMNS = ("media", "name", "state", "frames", "boxes", "in Tator", "people", "seconds", "why")
LONGEST_NAME, LONGEST_REASON = 40, 60


def summarize(
    *,
    records: list[Path],
    outcomes: list[Path],
    uploads: list[Path],
    marks: Path,
    provenance: Path,
    destination: Path,
    on_damaged: str,
    summary: Path,
    table: Path,
) -> None:
    """Write the state of each media (done, no detections, damaged, unreadable, unsupported, missing, skipped, failed).

    Args:
        records: what resolve_media found, a file a media.
        outcomes: what detect found, in the same order.
        uploads: what upload_detections did, in the same order.
        marks: what mark_processed did.
        provenance: where the network came from.
        destination: where the boxes went.
        on_damaged: `accept` when a damaged video's boxes count as a result.
        summary: the JSON file to write.
        table: the text file to write.
    """
    marked = read_json(marks)
    media = [
        _line(
            read_record(MediaRecord, record),
            read_record(DetectionRecord, outcome),
            read_record(UploadRecord, upload),
            marked,
        )
        for record, outcome, upload in zip(records, outcomes, uploads, strict=True)
    ]
    failed = [line["media_id"] for line in media if line["state"] not in good_states(on_damaged)]
    totals = {key: sum(line[key] for line in media) for key in ("frames", "boxes", "boxes_in_tator")}
    write_json(
        summary,
        {
            "media": media,
            "totals": {"media": len(media), **totals},
            "failed": failed,
            "network": read_json(provenance),
            # Without what was seen of its attributes over time, which says nothing about this run.
            "destination": {key: value for key, value in read_json(destination).items() if key != "known"},
        },
    )
    with replacing(table) as stream:
        rows = pd.DataFrame([_row(line) for line in media], columns=COLUMNS)
        stream.write(rows.to_markdown(index=False, tablefmt="simple", disable_numparse=True) + "\n")


def _line(
    record: MediaRecord, outcome: DetectionRecord, upload: UploadRecord, marked: dict[str, Any]
) -> dict[str, Any]:
    media_id = record.media_id
    state, reason = outcome.state, outcome.reason
    if upload.state in ("missing", "failed"):
        state, reason = upload.state, upload.reason
    elif media_id in marked["missing"]:
        state, reason = "missing", "it was deleted while the workflow ran"
    return {
        "media_id": media_id,
        "name": record.name,
        "state": state,
        "reason": reason or upload.note,
        "frames": outcome.frames.decoded,
        "boxes": outcome.boxes,
        "boxes_in_tator": upload.boxes,
        "people": {key: len(ids) for key, ids in upload.left_to_people.items()},
        "marked": media_id in marked["media_ids"],
        "seconds": outcome.seconds,
    }


def _row(line: dict[str, Any]) -> list[Any]:
    cut = {key: printable(line[key] or "") for key in ("name", "reason")}
    return [
        line["media_id"],
        cut["name"][:LONGEST_NAME],
        line["state"],
        line["frames"],
        line["boxes"],
        line["boxes_in_tator"],
        ", ".join(f"{count} {key}" for key, count in line["people"].items() if count),
        f"{line['seconds']:.1f}",
        cut["reason"] if len(cut["reason"]) <= LONGEST_REASON else cut["reason"][: LONGEST_REASON - 4] + " ...",
    ]


if __name__ == "__main__":
    job.run(summarize, snakemake)  # type: ignore[name-defined]
