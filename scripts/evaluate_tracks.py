"""Compare the tracks that were found with true ones."""

import logging
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from scripts.lib.evaluation.track_accuracy import compare_tracks
from scripts.lib.evaluation.true_tracks import TrackedBox, read_true_tracks
from scripts.lib.evaluation.truth import scaled, sizes_in
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.records import DetectionRecord
from scripts.lib.records.evaluation import MediaTrackAccuracy, NotTracked, TrackEvaluationRecord, TrackScores
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.tracking.tracks import read_tracks
from scripts.lib.workflow.jobs import job

_log = logging.getLogger(__name__)


def evaluate_tracks(
    *,
    outcomes: list[Path],
    tracks: list[Path],
    track_boxes: list[Path],
    true_tracks: Path,
    fill_gaps: bool,
    evaluation: Path,
) -> None:
    """Write HOTA, IDF1 and MOTA of each video that has a true track, and their means.

    Frames that did not go through the network, and media without a true track in the others, are left out; so are media
    that were not tracked, for example because their job failed, which the record names.

    Args:
        outcomes: the records of detect, a file for each media.
        tracks: the records of track, in the same order.
        track_boxes: the tracks' boxes, in the same order.
        true_tracks: the file of get_true_tracks.
        fill_gaps: whether interpolated boxes count as found.
        evaluation: the JSON file to write.
    """
    truth = read_true_tracks(true_tracks, (read_record(DetectionRecord, path) for path in outcomes))
    records = {
        outcome.media_id: (outcome, record, boxes)
        for outcome, record, boxes in zip(
            (read_record(DetectionRecord, path) for path in outcomes), tracks, track_boxes, strict=True
        )
        if outcome.media_id in truth  # a small share of a large run
    }
    sizes = sizes_in(true_tracks)
    found: list[MediaTrackAccuracy] = []
    not_tracked: list[NotTracked] = []
    for media_id, true_boxes in truth.items():
        outcome, record, path = records[media_id]
        tracked = read_record(TracksRecord, record)
        if tracked.state != "done":
            not_tracked.append(NotTracked(media_id=media_id, reason=tracked.reason))
            _log.warning("media %d has true tracks but was not tracked: %s", media_id, tracked.reason)
            continue
        frames = UsedFrames.of(outcome) if outcome.kind == "video" else UsedFrames(range(0))
        boxes = [
            TrackedBox(box.frame, box.track, box.xywh) for box in read_tracks(path) if fill_gaps or not box.interpolated
        ]
        size = outcome.width, outcome.height
        analysed = [
            replace(box, xywh=scaled(box.xywh, sizes.get(media_id), size)) for box in true_boxes if box.frame in frames
        ]
        if analysed:
            accuracy = compare_tracks(analysed, boxes, frames)
            found.append(MediaTrackAccuracy(media_id=media_id, frames=len(frames), **vars(accuracy)))
    write_record(
        evaluation,
        TrackEvaluationRecord(
            media=found,
            not_tracked=not_tracked,
            mean=_mean(found) if found else None,
            with_filled_gaps=fill_gaps,
        ),
    )


def _mean(found: list[MediaTrackAccuracy]) -> TrackScores:
    names = [key.name for key in fields(TrackScores)]
    return TrackScores(**{name: round(float(np.mean([getattr(each, name) for each in found])), 6) for name in names})


if __name__ == "__main__":
    job.run(evaluate_tracks, snakemake)  # type: ignore[name-defined]
