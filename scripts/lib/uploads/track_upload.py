"""Upload the tracks of one media to Tator, after its boxes, and verify them."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.records import DetectionRecord, MediaRecord, TrackUploadRecord, UploadRecord
from scripts.lib.records.record_files import as_content, read_record, write_record
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.server import project_needs
from scripts.lib.server.api import Project
from scripts.lib.server.equal_versions import in_one_version
from scripts.lib.server.unanswered import UnansweredWrites
from scripts.lib.tracking.tracks import read_tracks
from scripts.lib.uploads.earlier_uploads import EarlierUploads
from scripts.lib.uploads.failed_upload import record_failed_tracks
from scripts.lib.uploads.options import CommonOptions
from scripts.lib.uploads.origin import Box, box_from_pixels
from scripts.lib.uploads.track_origin import TrackDestination, TrackToUpload
from scripts.lib.uploads.track_plan import TrackPlan
from scripts.lib.uploads.track_rounds import TrackReconciliation
from scripts.lib.uploads.upload import in_iso, kept_for_people, run_rounds
from scripts.lib.uploads.upload_job import MediaFiles, UploadJob

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackUploadOptions(CommonOptions):
    """The options for all media of a run.

    Attributes:
        min_length: the least number of boxes in Tator of a track; shorter tracks are not uploaded.
        fill_gaps: whether interpolated boxes are part of a track in Tator.
    """

    WHAT = "tracks"

    min_length: int
    fill_gaps: bool

    @property
    def where(self) -> TrackDestination:
        """The version and the state type of the tracks.

        Raises:
            ServerError: the record names no state type.
        """
        if self.tracks_where is None:
            raise ServerError(
                f"{self.destination}: no type of tracks; expected one, as upload.track_type_id is set; "
                "make it again by the same command with --forcerun prepare_upload"
            )
        return self.tracks_where

    def _check_type(self, project: Project) -> None:
        where = self.where
        track_type = project_needs.track_type(project.state_types(), where.type_id)
        needs = project_needs.of_tracks(where.species_attribute, where.confidence_attribute, where.length_attribute)
        project_needs.check_attributes(track_type, needs, self.species, "track")

    @property
    def key(self) -> list[Any]:
        """The options that the tracks in Tator depend on."""
        return [asdict(self.where), asdict(self.boxes_where), self.species, self.min_length, self.fill_gaps]


@dataclass(frozen=True)
class MediaTracks(MediaFiles):
    """The files of one media of a job.

    Attributes:
        track_boxes: the CSV file of the media's tracks.
        tracks: the record of the tracks.
        outcome: the record of the detection.
        boxes: the record of the upload of the boxes.
    """

    track_boxes: Path
    tracks: Path
    outcome: Path
    boxes: Path

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the media's tracks in Tator depend on."""
        return (self.track_boxes, self.tracks, self.outcome, self.boxes, self.record)


class TrackUploads(UploadJob[MediaTracks]):
    """The uploads of the tracks of one job's media."""

    def __init__(self, options: TrackUploadOptions, work: Sequence[MediaTracks], *where: Any, **more: Any) -> None:
        """Prepare; the arguments are those of UploadJob."""
        super().__init__(options, work, *where, **more)
        self._options = options

    def needs_server(self, media: MediaTracks) -> bool:
        """Return whether the media has boxes in Tator, to which its tracks refer, or tracks that are to be removed."""
        boxes = read_record(UploadRecord, media.boxes)
        return boxes.state == "verified" or bool(boxes.excluded and self._earlier.of(media.media_id))

    @cached_property
    def _earlier(self) -> EarlierUploads:
        return self._options.earlier(self._options.where.type_id, self._host, self._project_id)

    def upload(self, media: MediaTracks) -> None:
        """See upload_tracks_of."""
        upload_tracks_of(self.connect, self._options, media, self._earlier)

    def read_upload(self, media: MediaTracks) -> TrackUploadRecord:
        """Return the record of the upload of the media's tracks."""
        return read_record(TrackUploadRecord, media.upload)

    def count(self, project: Project, media: MediaTracks) -> int:
        """Return the number of the media's tracks in Tator."""
        where = self._options.where
        return project.count_states(media.media_id, where.type_id, where.version_id)

    def record_failed(self, fault: MediaFault, media: MediaTracks) -> None:
        """See record_failed_tracks."""
        record_failed_tracks(fault, media.record, media.upload, self._earlier)


def upload_tracks_of(
    connect: Callable[[], Project], options: TrackUploadOptions, media: MediaTracks, earlier: EarlierUploads
) -> None:
    """Make one media's tracks in Tator equal to those of the CSV, by the rules of scripts/lib/uploads/track_plan.py.

    If the settings exclude the media, the tracks that an earlier run in this folder has uploaded are removed.

    Args:
        connect: function that returns the project; called only if tracks are to be uploaded or removed.
        options: the options for all media.
        media: the media's files.
        earlier: the memory of the earlier uploads.

    Raises:
        ServerError: Tator refuses, fails until the retries end, or does not keep what it was sent.
    """
    result = TrackUploadRecord(media_id=media.media_id, state="not uploaded", reason=None)
    tracked, boxes = read_record(TracksRecord, media.tracks), read_record(UploadRecord, media.boxes)
    removes = bool(boxes.excluded and earlier.of(media.media_id))
    if removes:
        try:
            _verified(result, connect(), options, media, [])
        except MediaFault as fault:
            if fault.state != "missing":
                raise
            # It was deleted in Tator, with its tracks.
            _log.info("media %d was deleted in Tator", media.media_id)
        earlier.end(media.media_id, media.media_id, 0)
    if tracked.state == "failed":
        result = replace(result, state="failed", reason=tracked.reason)
    elif tracked.state != "done":
        result = replace(result, reason=f"{tracked.state}: {tracked.reason}")
    elif boxes.state != "verified":
        result = replace(result, reason=f"its boxes are {boxes.state}: {boxes.reason}")
    else:
        try:
            if tracks := _wanted(media, options, tracked):
                earlier.begin(media.media_id, media.media_id)
            result = _verified(result, connect(), options, media, tracks)
            earlier.end(media.media_id, media.media_id, result.tracks)
        except MediaFault as fault:
            result = replace(result, state=fault.state, reason=fault.reason)
    gone = "missing" in (read_record(MediaRecord, media.record).state, result.state)  # with its tracks
    if result.state != "verified" and not gone:
        result = replace(result, earlier_tracks=earlier.left(media.media_id) or None)
    if result.state == "not uploaded" and not removes:  # the record has no data from Tator
        UnansweredWrites(options.notes(media.media_id, media.upload)).forget()
    shown = {key: value for key, value in as_content(result).items() if key != "people"}
    _log.info("media %d: %s", media.media_id, shown)
    write_record(media.upload, result)


def _verified(
    result: TrackUploadRecord,
    project: Project,
    options: TrackUploadOptions,
    media: MediaTracks,
    tracks: list[TrackToUpload],
) -> TrackUploadRecord:
    def reconcile(version_id: int, wanted: list[TrackToUpload]) -> tuple[TrackPlan, datetime]:
        rounds = TrackReconciliation(
            project,
            result.media_id,
            wanted,
            replace(options.where, version_id=version_id),
            replace(options.boxes_where, version_id=version_id),
            least=options.min_length,
            check_type=partial(options.check_type, project),
            notes=options.notes(media.media_id, media.upload),
        )
        return run_rounds(rounds, project, result.media_id, version_id)

    settled, changed_at = in_one_version(
        partial(options.versions, project), partial(reconcile, wanted=tracks), partial(reconcile, wanted=[])
    )
    return replace(
        result,
        state="verified",
        reason=None,
        verified_at=in_iso(datetime.now(UTC)),
        changed_at=in_iso(changed_at),
        tracks=len(settled.present),
        too_short=settled.too_short,
        people=kept_for_people(settled),
        note=settled.note,
    )


def _wanted(media: MediaTracks, options: TrackUploadOptions, tracked: TracksRecord) -> list[TrackToUpload]:
    found = read_record(DetectionRecord, media.outcome)
    boxes: dict[int, list[Box]] = defaultdict(list)
    interpolated: dict[int, list[Box]] = defaultdict(list)
    for row in read_tracks(media.track_boxes):
        box = box_from_pixels(
            media_id=found.media_id,
            frame=row.frame,
            xywh=row.xywh,
            picture=(found.width, found.height),
            species=options.species[row.species - 1],
            score=row.score,
        )
        if row.interpolated:
            interpolated[row.track].append(box)
        if options.fill_gaps or not row.interpolated:
            boxes[row.track].append(box)
    return [
        TrackToUpload(
            found.media_id,
            tuple(boxes[one.track]),
            options.species[one.species - 1],
            one.confidence,
            tuple(interpolated[one.track]),
        )
        for one in tracked.tracks
    ]
