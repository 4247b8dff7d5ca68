"""Write all boxes as tasks that Label Studio imports, with the boxes as predictions."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.lib.detections import Detection
from scripts.lib.files import replacing
from scripts.lib.graphs import train_ini as train
from scripts.lib.label_files.media_boxes import MediaBoxes, each_media
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.text.display_text import as_json
from scripts.lib.workflow.jobs import job

# The address of files in the folder LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT in Label Studio.
_LOCAL = "/data/local-files/?d="


def export_label_studio(
    *,
    records: list[Path],
    outcomes: list[Path],
    detections: list[Path],
    train_ini: Path,
    provenance: Path,
    label_studio: Path,
) -> None:
    """Write a task for each media that has a result; memory does not grow with the number of media.

    A picture is `data.image`, and its boxes are rectangles; a video is `data.video`, with its rate in `data.fps`, and
    each box is a region that is shown in one frame only. docs/folder.md has the labelling interface for both.

    Args:
        records: the records of resolve_media or list_media.
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
        train_ini: the species' names.
        provenance: the record of get_network.
        label_studio: the JSON file to write.
    """
    names = train.species(train_ini)
    network = read_record(ProvenanceRecord, provenance).reference
    with replacing(label_studio) as stream:
        stream.write("[")
        tasks = (media for media in each_media(records, outcomes, detections) if media.failure is None)
        for at, media in enumerate(tasks):
            stream.write(f"{',' if at else ''}\n{as_json(_task(media, names, network))}")
        stream.write("]\n")


def _task(media: MediaBoxes, names: list[str], network: str) -> dict[str, Any]:
    regions = _video_regions if media.is_video else _rectangles
    results, scores = [], []
    for number, (frame, row) in enumerate((frame, row) for frame, rows in media.boxes() for row in rows):
        results.append({"id": f"{media.media_id}_{number}", **regions(media, frame, row, names[row.species - 1])})
        scores.append(row.score)
    address = _LOCAL + quote(os.fsencode(media.path))
    # Label Studio plays a video at 24 frames a second unless the interface names its rate.
    files = {"video": address, "fps": media.rate} if media.is_video else {"image": address}
    data = {**files, "media_id": media.media_id}
    score = {"score": round(sum(scores) / len(scores), 6)} if scores else {}
    return {"data": data, "predictions": [{"model_version": network, **score, "result": results}]}


def _percent(media: MediaBoxes, row: Detection) -> dict[str, float]:
    keys = ("x", "y", "width", "height")
    return {key: round(100 * value, 4) for key, value in zip(keys, media.share(row), strict=True)}


def _rectangles(media: MediaBoxes, frame: int, row: Detection, name: str) -> dict[str, Any]:
    return {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": media.width,
        "original_height": media.height,
        "image_rotation": 0,
        "value": {**_percent(media, row), "rotation": 0, "rectanglelabels": [name]},
        "score": round(row.score, 6),
    }


def _video_regions(media: MediaBoxes, frame: int, row: Detection, name: str) -> dict[str, Any]:
    # Label Studio counts frames from 1.
    shown = {"frame": frame + 1, "enabled": False, "rotation": 0, "time": round(frame / media.rate, 4)}
    count = media.frames.numbers.stop
    return {
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "value": {
            "framesCount": count,
            "duration": round(count / media.rate, 3),
            "sequence": [{**shown, **_percent(media, row)}],
            "labels": [name],
        },
        "score": round(row.score, 6),
    }


if __name__ == "__main__":
    job.run(export_label_studio, snakemake)  # type: ignore[name-defined]
