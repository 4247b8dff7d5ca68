"""Compare the tracks that were found with true ones."""

from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.track_accuracy import TrackedBox, compare_tracks
from scripts.lib.evaluation.true_tracks import read_true_tracks
from scripts.lib.files import write_json
from scripts.lib.frames.source import frames_used
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord
from scripts.lib.tracking.tracks import read_tracks
from scripts.lib.workflow import job

_MEANS = ("hota", "deta", "assa", "idf1", "mota")


def evaluate_tracks(
    *, outcomes: list[Path], track_boxes: list[Path], track_truth_file: Path, fill_gaps: bool, evaluation: Path
) -> None:
    """Write HOTA, IDF1 and MOTA of each video that has a true track, and their means.

    Frames that did not go through the network are left out; so are media without a true track.

    Args:
        outcomes: the records of detection, a file a media.
        track_boxes: the tracks' boxes, in the same order.
        track_truth_file: true tracks; see scripts/lib/evaluation/true_tracks.py.
        fill_gaps: whether boxes that fill gaps count as found.
        evaluation: the JSON file to write.

    Raises:
        PipelineError: the file cannot be used, or names no media of the run.
    """
    found_in = [read_record(DetectionRecord, path) for path in outcomes]
    records = {outcome.media_id: (outcome, boxes) for outcome, boxes in zip(found_in, track_boxes, strict=True)}
    truth = read_true_tracks(track_truth_file, found_in)
    if not truth:
        raise PipelineError(f"{track_truth_file}: it has no track of a media of this run; expected one at least")
    found: list[dict[str, Any]] = []
    for media_id, true_boxes in truth.items():
        outcome, path = records[media_id]
        frames = frames_used(outcome.asked, outcome.frames.numbers) if outcome.kind == "video" else range(0)
        boxes = [
            TrackedBox(box.frame, box.track, box.xywh) for box in read_tracks(path) if fill_gaps or not box.interpolated
        ]
        if frames:
            found.append({"media_id": media_id, "frames": len(frames), **compare_tracks(true_boxes, boxes, frames)})
    write_json(
        evaluation,
        {
            "media": found,
            "mean": {key: round(float(np.mean([each[key] for each in found])), 6) for key in _MEANS} if found else None,
            "with_filled_gaps": fill_gaps,
        },
    )


if __name__ == "__main__":
    job.run(evaluate_tracks, snakemake)  # type: ignore[name-defined]
