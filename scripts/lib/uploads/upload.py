"""Upload the boxes of one media to Tator, and verify them."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from scripts.lib.detections import Detection, check_count, read_detections
from scripts.lib.errors import STORE_VARIABLE, MediaFault, ServerError
from scripts.lib.records import DetectionRecord, MediaRecord, People, UploadRecord, uploaded_states
from scripts.lib.records.record_files import as_content, read_record, write_record
from scripts.lib.server import project_needs
from scripts.lib.server.api import Project
from scripts.lib.server.equal_versions import in_one_version
from scripts.lib.server.faults import LostAnswer, Refused, ServerUnavailable
from scripts.lib.server.unanswered import Notes, UnansweredWrites
from scripts.lib.text.display_text import as_json
from scripts.lib.tracking.tracks import TrackBox, filled_gaps, read_tracks
from scripts.lib.uploads.box_rounds import Reconciliation
from scripts.lib.uploads.earlier_uploads import EarlierUploads
from scripts.lib.uploads.failed_upload import record_failed_upload
from scripts.lib.uploads.matched import Matched
from scripts.lib.uploads.options import CommonOptions
from scripts.lib.uploads.reconcile import Box, Changes, ReconcilePlan, box_from_pixels, plan
from scripts.lib.uploads.rounds import Rounds
from scripts.lib.uploads.track_rounds import rows_in_use
from scripts.lib.uploads.upload_job import MediaFiles, UploadJob
from scripts.lib.workflow.jobs.failures import note

_Plan = TypeVar("_Plan", bound=Changes[Any])

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadOptions(CommonOptions):
    """The options for all media of a run.

    Attributes:
        threshold: the least score of a box to upload.
        overlap_limit: IoU with a person's box above which a new box is not added.
        on_damaged: `accept` uploads the boxes of damaged media, `fail` does not.
    """

    WHAT = "boxes"

    threshold: float
    overlap_limit: float
    on_damaged: str

    @property
    def accepted(self) -> tuple[str, ...]:
        """The states of a media whose boxes are uploaded."""
        return uploaded_states(self.on_damaged)

    def excludes(self, found: DetectionRecord, media: MediaRecord) -> bool:
        """Return whether the settings exclude the media, so that no box of an earlier run is to stay in Tator.

        Other media without a result keep them: their file may be readable again in the next run, or they are skipped
        because their boxes are there.
        """
        return found.state not in self.accepted and (found.state == "damaged" or bool(media.excluded))

    def _check_type(self, project: Project) -> None:
        where = self.boxes_where
        box_type = project_needs.box_type(project.localization_types(), where.type_id)
        needs = project_needs.of_boxes(where.species_attribute, where.confidence_attribute)
        project_needs.check_attributes(box_type, needs, self.species, "box")

    @property
    def key(self) -> list[Any]:
        """The options that the boxes in Tator depend on."""
        tracks = [asdict(self.tracks_where)] if self.tracks_where else []
        return [asdict(self.boxes_where), self.species, self.threshold, self.overlap_limit, self.on_damaged, *tracks]


@dataclass(frozen=True)
class MediaBoxes(MediaFiles):
    """The files of one media of the job.

    Attributes:
        detections: the CSV file of the media's boxes.
        outcome: the record of the detection.
        track_boxes: the CSV file of the media's tracks, if their interpolated boxes are uploaded too.
        matched: the match of the media in Tator, in a run on a folder. A media without a match is tried again in the
            next run.
    """

    detections: Path
    outcome: Path
    track_boxes: Path | None = None
    matched: Matched | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the media's boxes in Tator depend on."""
        paths = (self.detections, self.outcome, self.record, self.track_boxes)
        return tuple(path for path in paths if path is not None)

    @property
    def other_inputs(self) -> tuple[str, ...]:
        """The match, as JSON."""
        return () if self.matched is None else (as_json(as_content(self.matched.record)),)


class BoxUploads(UploadJob[MediaBoxes]):
    """The uploads of the boxes of one job's media."""

    def __init__(self, options: UploadOptions, work: Sequence[MediaBoxes], *where: Any, **more: Any) -> None:
        """Prepare; the arguments are those of UploadJob."""
        super().__init__(options, work, *where, **more)
        self._options = options

    def needs_server(self, media: MediaBoxes) -> bool:
        """Return whether the media's boxes are to be uploaded, or those of an earlier run to be removed."""
        found = read_record(DetectionRecord, media.outcome)
        if found.state in self._options.accepted:
            return True
        if not self._options.excludes(found, read_record(MediaRecord, media.record)):
            return False
        return bool(os.environ.get(STORE_VARIABLE)) or bool(self._earlier.of(media.media_id))

    @cached_property
    def _earlier(self) -> EarlierUploads:
        return self._options.earlier(self._options.boxes_where.type_id, self._host, self._project_id)

    def upload(self, media: MediaBoxes) -> None:
        """See upload_boxes_of."""
        upload_boxes_of(self.connect, self._options, media, self._earlier)

    def read_upload(self, media: MediaBoxes) -> UploadRecord:
        """Return the record of the upload of the media's boxes."""
        return read_record(UploadRecord, media.upload)

    def count(self, project: Project, media: MediaBoxes) -> int:
        """Return the number of the media's boxes in Tator."""
        where = self._options.boxes_where
        return project.count_boxes(self.read_upload(media).id_in_tator, where.type_id, where.version_id)

    def record_failed(self, fault: MediaFault, media: MediaBoxes) -> None:
        """See record_failed_upload."""
        record_failed_upload(fault, media.record, media.upload, self._earlier)


def upload_boxes_of(
    connect: Callable[[], Project], options: UploadOptions, files: MediaBoxes, earlier: EarlierUploads
) -> None:
    """Make one media's boxes in Tator equal to those of the CSV, by the rules of scripts/lib/uploads/reconcile.py.

    The boxes in Tator are listed, differences are written, and the boxes are listed again, until nothing differs; see
    rounds.py. So the boxes are the same after a crash at any point, or a second run. The record has the number of
    boxes, and those not changed because of a person.

    If the settings exclude the media, the boxes that an earlier run in this folder has uploaded are removed.

    Args:
        connect: function that returns the project; called only if boxes are to be uploaded or removed.
        options: the options for all media.
        files: the media's files.
        earlier: the memory of the earlier uploads.

    Raises:
        ServerError: Tator refuses, fails for long, or does not keep what it was sent.
    """
    found, media = read_record(DetectionRecord, files.outcome), read_record(MediaRecord, files.record)
    result = UploadRecord(
        media_id=media.media_id,
        type_id=media.type_id,
        state="not uploaded",
        reason=f"{found.state}: {found.reason}",
    )
    if found.state in options.accepted:
        try:
            if files.matched is not None:
                match = files.matched.target(found)
                result = replace(result, type_id=match.type_id, tator_id=match.tator_id)
            boxes = _wanted(result.id_in_tator, files.detections, files.track_boxes, found, options)
            notes = options.notes(media.media_id, files.upload)
            if boxes:
                earlier.begin(media.media_id, result.id_in_tator)
            settled, changed_at = _reconcile(connect(), result.id_in_tator, boxes, options, notes)
            earlier.end(media.media_id, result.id_in_tator, len(settled.present))
            result = replace(
                result,
                state="verified",
                reason=None,
                verified_at=in_iso(datetime.now(UTC)),
                changed_at=in_iso(changed_at),
                boxes=len(settled.present),
                people=kept_for_people(settled),
                note=settled.note,
            )
        except MediaFault as fault:
            if files.matched is not None:
                note(media.media_id, [files.upload, files.matched.file])
            result = replace(result, state=fault.state, reason=fault.reason)
    elif options.excludes(found, media):
        tator_id = files.matched.record.tator_id if files.matched is not None else None
        result = replace(result, excluded=True, tator_id=tator_id)
        _remove_earlier(connect, options, files, earlier)
    else:
        UnansweredWrites(options.notes(media.media_id, files.upload)).forget()  # the record has no data from Tator
    gone = "missing" in (found.state, result.state)  # its boxes were deleted with it
    besides = result.id_in_tator if result.state == "verified" or gone else None
    left = earlier.left(media.media_id, besides=besides)
    if result.excluded and os.environ.get(STORE_VARIABLE) and files.matched is None:
        left = _count_own(connect(), media.media_id, options)
    result = replace(result, earlier_boxes=left or None)
    shown = {key: value for key, value in as_content(result).items() if key != "people"}
    _log.info("media %d: %s", media.media_id, shown)
    write_record(files.upload, result)


def _remove_earlier(
    connect: Callable[[], Project], options: UploadOptions, files: MediaBoxes, earlier: EarlierUploads
) -> None:
    """Remove the boxes of earlier runs in this folder, unless their media in Tator may be another file's by now."""
    media_id, notes = files.media_id, options.notes(files.media_id, files.upload)
    targets = [one for one in earlier.of(media_id) if files.matched is None or files.matched.record.tator_id == one]
    for tator_id in targets:
        try:
            _reconcile(connect(), tator_id, [], options, notes)
        except MediaFault as fault:
            if fault.state != "missing":
                raise
            # It was deleted in Tator, with its boxes.
            _log.info("media %d: media %d in Tator was deleted", media_id, tator_id)
        earlier.end(media_id, tator_id, 0)
    if not targets:
        UnansweredWrites(notes).forget()


def _count_own(project: Project, media_id: int, options: UploadOptions) -> int:
    """Return the number of the workflow's boxes in Tator, also of other folders, as a storage keeps no memory."""
    where = options.boxes_where
    on_server = list(project.boxes(media_id, where.type_id, where.version_id))
    return len(plan([], on_server, where, overlap_limit=options.overlap_limit).remove)


def _wanted(
    media_id: int, detections: Path, track_boxes: Path | None, found: DetectionRecord, options: UploadOptions
) -> list[Box]:
    def box(row: Detection | TrackBox, xywh: tuple[float, float, float, float]) -> Box:
        return box_from_pixels(
            media_id=media_id,
            frame=row.frame,
            xywh=xywh,
            picture=(found.width, found.height),
            species=options.species[row.species - 1],
            score=row.score,
        )

    tracked = read_tracks(track_boxes) if track_boxes is not None else ()
    rows, boxes = 0, []
    for rows, row in enumerate(read_detections(detections), 1):  # noqa: B007 - the number of rows
        if row.score >= options.threshold:
            boxes.append(box(row, (row.x, row.y, row.w, row.h)))
    check_count(detections, rows, found.boxes)
    return [*boxes, *(box(row, row.xywh) for row in filled_gaps(tracked, options.threshold))]


def _reconcile(
    project: Project, media_id: int, boxes: list[Box], options: UploadOptions, notes: Notes
) -> tuple[ReconcilePlan, datetime]:
    """Compare and write in turn until Tator holds the boxes; return the last comparison, and when they last changed."""

    def reconcile(version_id: int, wanted: list[Box]) -> tuple[ReconcilePlan, datetime]:
        where = replace(options.boxes_where, version_id=version_id)
        tracks = replace(options.tracks_where, version_id=version_id) if options.tracks_where else None
        in_use = partial(rows_in_use, project, media_id, where, tracks)
        rounds = Reconciliation(
            project,
            media_id,
            wanted,
            where,
            options.overlap_limit,
            rows_in_use=in_use,
            check_type=partial(options.check_type, project),
            notes=notes,
        )
        return run_rounds(rounds, project, media_id, version_id)

    return in_one_version(
        partial(options.versions, project), partial(reconcile, wanted=boxes), partial(reconcile, wanted=[])
    )


def run_rounds(rounds: Rounds[_Plan], project: Project, media_id: int, version_id: int) -> tuple[_Plan, datetime]:
    """Run the rounds of one media; return the last comparison, and when the boxes or tracks last changed.

    Raises:
        MediaFault: the media was deleted.
        ServerError: Tator refuses, fails for long, or does not keep what it was sent.
    """
    try:
        settled = rounds.run()
        return settled, rounds.changed_at(settled)
    except LostAnswer as lost:
        raise ServerUnavailable(f"{lost}; run again later") from None
    except Refused as refusal:
        if media_id not in project.media([media_id]):
            raise MediaFault("missing", "it was deleted while the workflow ran") from None
        if version_id not in {version["id"] for version in project.versions()}:
            raise ServerError(
                f"version {version_id} was deleted while the workflow ran; "
                "choose or make one by the same command with --forcerun prepare_upload"
            ) from None
        raise refusal from None


def kept_for_people(settled: Changes[Any]) -> People:
    """Return the boxes or tracks not changed because of a person."""
    return People(
        edited=sorted(settled.edited),
        added=sorted(settled.added),
        deleted=sorted(settled.deleted),
        withheld=sorted(settled.withheld),
    )


def in_iso(time: datetime) -> str:
    """Return a time as text for records."""
    return time.isoformat(timespec="seconds")
