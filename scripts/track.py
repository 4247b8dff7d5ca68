"""Join the boxes of each video into tracks, one for each animal while it is in sight."""

import logging
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

from scripts.lib.detections import read_detections
from scripts.lib.errors import MediaFault, PipelineError, of_one_media
from scripts.lib.files import replacing
from scripts.lib.frames.source import frames_used
from scripts.lib.records import DetectionRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.records.states import WITH_RESULT
from scripts.lib.records.tracks import Track, TracksRecord
from scripts.lib.tracking.assign import assign
from scripts.lib.tracking.trackers import TrackOptions
from scripts.lib.tracking.tracks import NO_TRACK, Assignment, write_tracks
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.jobs.failures import as_fault, note
from scripts.lib.workflow.planning.batches import write_hashes

_log = logging.getLogger(__name__)


def track(
    *,
    detections: list[Path],
    outcomes: list[Path],
    options: TrackOptions,
    track_boxes: list[Path],
    tracks: list[Path],
    batch: Path | None = None,
) -> None:
    """Write the tracks of each media, and a record of them; pictures, and media without a result, have none.

    All boxes of the CSV that score the low threshold or more are used, also if they are not uploaded. A fault of one
    media is that media's state.

    Args:
        detections: the CSV files of detect, a file for each media.
        outcomes: the records of detect, in the same order.
        options: the options of tracking.
        track_boxes: the CSV files to write, in the same order.
        tracks: the records to write, in the same order.
        batch: the file to write the outputs' hashes to, for the jobs that process all media.
    """
    for csv, outcome_file, boxes, record in zip(detections, outcomes, track_boxes, tracks, strict=True):
        outcome = read_record(DetectionRecord, outcome_file)
        try:
            _track_one(csv, outcome, options, boxes, record)
        except Exception as error:
            if not of_one_media(error):
                raise
            foreseen = isinstance(error, PipelineError)
            _log.warning("media %d: %s", outcome.media_id, error, exc_info=None if foreseen else error)
            _write_failure(as_fault(error), outcome.media_id, boxes, record)
    if batch is not None:
        write_hashes(batch, [*track_boxes, *tracks])


def record_failure(
    fault: MediaFault,
    *,
    outcomes: list[Path],
    track_boxes: list[Path],
    tracks: list[Path],
    batch: Path | None = None,
    **_: object,
) -> None:
    """Write the outputs of track after the whole job failed; the arguments are those of track."""
    for outcome, boxes, record in zip(outcomes, track_boxes, tracks, strict=True):
        _write_failure(fault, read_record(DetectionRecord, outcome).media_id, boxes, record)
    if batch is not None:
        write_hashes(batch, [*track_boxes, *tracks])


def _write_failure(fault: MediaFault, media_id: int, boxes: Path, record: Path) -> None:
    note(media_id, [record, boxes])
    with replacing(boxes) as stream:
        write_tracks(stream, (), Assignment.empty(), 0, range(0))
    write_record(record, TracksRecord(media_id=media_id, state="failed", reason=fault.reason, tracks=[]))


def _track_one(csv: Path, outcome: DetectionRecord, options: TrackOptions, boxes: Path, record: Path) -> None:
    reason = _why_not(outcome)
    frames, assigned = range(0), Assignment.empty()
    if reason is None:
        frames = frames_used(outcome.asked, outcome.frames.numbers)
        assigned = assign(partial(read_detections, csv), frames, options)
    with replacing(boxes) as stream:
        rows = read_detections(csv) if reason is None else iter(())
        filled = write_tracks(stream, rows, assigned, options.max_gap, frames)
    found = [
        Track(
            track=number,
            species=one.species,
            confidence=one.confidence,
            first_frame=one.first_frame,
            last_frame=one.last_frame,
            best_frame=one.best[0],
            boxes=one.boxes,
            interpolated=filled.get(number, 0),
        )
        for number, one in sorted(assigned.tracks.items())
    ]
    _log.info("media %d: %d tracks", outcome.media_id, len(found))
    write_record(
        record,
        TracksRecord(
            media_id=outcome.media_id,
            state="done" if reason is None else "not tracked",
            reason=reason,
            tracks=found,
            boxes_without_track=sum(number == NO_TRACK for number in assigned.numbers),
            tracker={"library": f"trackers {version('trackers')}", **asdict(options)},
        ),
    )


def _why_not(outcome: DetectionRecord) -> str | None:
    """Return why a media is not tracked, or None if it is."""
    if outcome.state not in (*WITH_RESULT, "damaged"):
        return f"{outcome.state}: {outcome.reason}"
    return None if outcome.kind == "video" else "it is a picture"


if __name__ == "__main__":
    job.run(track, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
