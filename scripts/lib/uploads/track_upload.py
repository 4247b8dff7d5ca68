"""Upload the tracks of one media to Tator, after its boxes, and verify them."""

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.lib import train_ini as train
from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.files import sha256
from scripts.lib.record_files import as_content, read_record, write_record
from scripts.lib.records import DetectionRecord, MediaRecord, TrackUploadRecord, UploadRecord
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.server.api import Project
from scripts.lib.tracking.tracks import read_tracks
from scripts.lib.uploads.destinations import boxes_destination, tracks_destination
from scripts.lib.uploads.origin import Box, Destination, box_from_pixels
from scripts.lib.uploads.track_origin import TrackDestination, TrackToUpload
from scripts.lib.uploads.track_rounds import TrackReconciliation
from scripts.lib.uploads.upload import carried_out, in_iso, left_to_people

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackUploadOptions:
    """What holds for every media of a run.

    Attributes:
        destination: the record of prepare_upload.
        train_ini: the species' names.
        min_length: a track with fewer boxes in Tator is not uploaded.
        fill_gaps: whether the boxes that fill its gaps belong to a track in Tator.
    """

    destination: Path
    train_ini: Path
    min_length: int
    fill_gaps: bool

    @cached_property
    def where(self) -> TrackDestination:
        """The version and the state type that the tracks go into.

        Raises:
            ServerError: the record names no state type.
        """
        found = tracks_destination(self.destination)
        if found is None:
            raise ServerError(
                f"{self.destination}: no type of tracks; expected one, as upload.track_type_id asks for; "
                "make it again by the same command with --forcerun prepare_upload"
            )
        return found

    @cached_property
    def boxes_where(self) -> Destination:
        """The version and the box type that the boxes went into."""
        return boxes_destination(self.destination)

    @cached_property
    def species(self) -> list[str]:
        """The species' names."""
        return train.species(self.train_ini)

    @property
    def key(self) -> list[Any]:
        """What the tracks in Tator depend on."""
        return [asdict(self.where), asdict(self.boxes_where), self.species, self.min_length, self.fill_gaps]


@dataclass(frozen=True)
class MediaTracks:
    """One media of a job, by its files.

    Attributes:
        track_boxes: the CSV of its tracks.
        tracks: their record.
        outcome: the record of its detection.
        boxes: the record of the upload of its boxes.
        record: the record of resolve_media.
        upload: where the outcome goes.
    """

    track_boxes: Path
    tracks: Path
    outcome: Path
    boxes: Path
    record: Path
    upload: Path

    @property
    def media_id(self) -> int:
        """Its number."""
        return read_record(MediaRecord, self.record).media_id

    @property
    def kept(self) -> tuple[int, list[str], tuple[Path]]:
        """What Finished is told of it: the media, what its result depends on, and the file that the job leaves."""
        paths = (self.track_boxes, self.tracks, self.outcome, self.boxes, self.record)
        return self.media_id, [sha256(path) for path in paths], (self.upload,)


def upload_tracks_of(connect: Callable[[], Project], options: TrackUploadOptions, media: MediaTracks) -> None:
    """Bring one media's tracks in Tator to what the CSV says, by the rules of scripts/lib/uploads/track_plan.py.

    Args:
        connect: gives the project; called only if the media has tracks to bring about, or to remove.
        options: what holds for every media.
        media: its files.

    Raises:
        ServerError: Tator refuses, fails for long, or does not keep what it was sent.
    """
    result = TrackUploadRecord(media_id=media.media_id, state="not uploaded", reason=None)
    tracked, boxes = read_record(TracksRecord, media.tracks), read_record(UploadRecord, media.boxes)
    if tracked.state == "failed":
        result = replace(result, state="failed", reason=tracked.reason)
    elif tracked.state != "done":
        result = replace(result, reason=f"{tracked.state}: {tracked.reason}")
    elif boxes.state != "verified":
        result = replace(result, reason=f"its boxes are {boxes.state}: {boxes.reason}")
    else:
        try:
            result = _verified(result, connect(), options, _wanted(media, options, tracked))
        except MediaFault as fault:
            result = replace(result, state=fault.state, reason=fault.reason)
    shown = {key: value for key, value in as_content(result).items() if key != "people"}
    _log.info("media %d: %s", media.media_id, shown)
    write_record(media.upload, result)


def still_stand(connect: Callable[[], Project], options: TrackUploadOptions, upload: Path) -> bool:
    """Whether Tator holds as many tracks of a media as it did when an earlier job verified them.

    Args:
        connect: gives the project; called only if they were verified.
        options: what holds for every media.
        upload: what the earlier job wrote, for the same tracks.
    """
    result = read_record(TrackUploadRecord, upload)
    if result.state != "verified" or result.people is None:
        return False
    expected = result.tracks + len(result.people.edited) + len(result.people.added)
    return connect().count_states(result.media_id, options.where.type_id, options.where.version_id) == expected


def _verified(
    result: TrackUploadRecord, project: Project, options: TrackUploadOptions, tracks: list[TrackToUpload]
) -> TrackUploadRecord:
    work = TrackReconciliation(
        project, result.media_id, tracks, options.where, options.boxes_where, least=options.min_length
    )
    settled, changed_at = carried_out(work, project, result.media_id, options.where.version_id)
    return replace(
        result,
        state="verified",
        reason=None,
        verified_at=in_iso(datetime.now(UTC)),
        changed_at=in_iso(changed_at),
        tracks=len(settled.standing),
        too_short=settled.too_short,
        people=left_to_people(settled),
        note=settled.note,
    )


def _wanted(media: MediaTracks, options: TrackUploadOptions, tracked: TracksRecord) -> list[TrackToUpload]:
    found = read_record(DetectionRecord, media.outcome)
    boxes: dict[int, list[Box]] = defaultdict(list)
    for row in read_tracks(media.track_boxes):
        if options.fill_gaps or not row.interpolated:
            boxes[row.track].append(
                box_from_pixels(
                    media_id=found.media_id,
                    frame=row.frame,
                    xywh=row.xywh,
                    picture=(found.width, found.height),
                    species=options.species[row.species - 1],
                    score=row.score,
                )
            )
    return [
        TrackToUpload(found.media_id, tuple(boxes[one.track]), options.species[one.species - 1], one.confidence)
        for one in tracked.tracks
    ]
