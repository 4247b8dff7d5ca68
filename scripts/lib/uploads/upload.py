"""Upload the boxes of one media to Tator, and verify them."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.lib import train_ini as train
from scripts.lib.detections import read_detections
from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.files import read_json
from scripts.lib.record_files import as_content, read_record, write_record
from scripts.lib.records import DetectionRecord, MediaRecord, People, UploadRecord, uploaded_states
from scripts.lib.server.api import Project
from scripts.lib.server.faults import LostAnswer, Refused, ServerUnavailable
from scripts.lib.uploads.reconcile import Box, Destination, ReconcilePlan, box_from_pixels
from scripts.lib.uploads.rounds import Reconciliation

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadOptions:
    """What holds for every media of a run.

    Attributes:
        destination: the record of prepare_upload.
        train_ini: the species' names.
        threshold: boxes with a lower score are not uploaded.
        overlap_limit: IoU with a person's box above which a new box is not added.
        on_damaged: `accept` uploads the boxes of a damaged video, `fail` does not.
    """

    destination: Path
    train_ini: Path
    threshold: float
    overlap_limit: float
    on_damaged: str

    @cached_property
    def where(self) -> Destination:
        """The version and the box type that the boxes go into."""
        return Destination(**{key: value for key, value in read_json(self.destination).items() if key != "version"})

    @cached_property
    def species(self) -> list[str]:
        """The species' names."""
        return train.species(self.train_ini)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The states of a media whose boxes are uploaded."""
        return uploaded_states(self.on_damaged)

    @property
    def key(self) -> list[Any]:
        """What the boxes in Tator depend on."""
        return [asdict(self.where), self.species, self.threshold, self.overlap_limit, self.on_damaged]


def upload_media(
    connect: Callable[[], Project], terms: UploadOptions, *, detections: Path, outcome: Path, record: Path, upload: Path
) -> None:
    """Bring one media's boxes in Tator to what the CSV says, by the rules of scripts/lib/uploads/reconcile.py.

    Looks at what stands, writes what differs, and looks again, until nothing differs; see rounds.py. So a crash at any
    point, or a second run, ends in the same boxes.

    Args:
        connect: gives the project; called only if the media has a result.
        terms: what holds for every media.
        detections: the CSV of the media.
        outcome: the record of its detection.
        record: the record of resolve_media.
        upload: where the outcome goes: state, boxes standing, and what was left alone because of a person.

    Raises:
        ServerError: Tator refuses, fails for long, or does not keep what it was sent.
    """
    found, media = read_record(DetectionRecord, outcome), read_record(MediaRecord, record)
    result = UploadRecord(
        media_id=media.media_id,
        type_id=media.type_id,
        state="not uploaded",
        reason=f"{found.state}: {found.reason}",
    )
    if found.state in terms.accepted:
        boxes = _wanted(detections, found, terms)
        try:
            settled, changed_at = _bring_about(connect(), media.media_id, boxes, terms)
            result = replace(
                result,
                state="verified",
                reason=None,
                verified_at=_text(datetime.now(UTC)),
                changed_at=_text(changed_at),
                boxes=len(settled.standing),
                people=_people(settled),
                note=settled.note,
            )
        except MediaFault as fault:
            result = replace(result, state=fault.state, reason=fault.reason)
    shown = {key: value for key, value in as_content(result).items() if key != "people"}
    _log.info("media %d: %s", media.media_id, shown)
    write_record(upload, result)


def still_stands(connect: Callable[[], Project], where: Destination, upload: Path) -> bool:
    """Whether Tator holds as many boxes of a media as it did when an earlier job verified them.

    That a box was edited, or deleted by a person, makes no difference to what a run would do.

    Args:
        connect: gives the project; called only if they were verified.
        where: the boxes' version and type.
        upload: what the earlier job wrote, for the same boxes.
    """
    result = read_record(UploadRecord, upload)
    if result.state != "verified" or result.people is None:
        return False
    expected = result.boxes + len(result.people.edited) + len(result.people.added)
    return connect().count_boxes(result.media_id, where.type_id, where.version_id) == expected


def _wanted(detections: Path, found: DetectionRecord, terms: UploadOptions) -> list[Box]:
    return [
        box_from_pixels(
            media_id=found.media_id,
            frame=row.frame,
            xywh=(row.x, row.y, row.w, row.h),
            picture=(found.width, found.height),
            species=terms.species[row.species - 1],
            score=row.score,
        )
        for row in read_detections(detections)
        if row.score >= terms.threshold
    ]


def _bring_about(
    project: Project, media_id: int, boxes: list[Box], terms: UploadOptions
) -> tuple[ReconcilePlan, datetime]:
    """Look and write in turn until Tator holds the boxes; return the last look, and when they last changed."""
    work = Reconciliation(project, media_id, boxes, terms.where, terms.overlap_limit)
    try:
        settled = work.done()
        return settled, work.changed_at(settled)
    except LostAnswer as lost:
        raise ServerUnavailable(f"{lost}; run again later") from None
    except Refused as refusal:
        if media_id not in project.media([media_id]):
            raise MediaFault("missing", "it was deleted while the workflow ran") from None
        if terms.where.version_id not in {version["id"] for version in project.versions()}:
            raise ServerError(
                f"version {terms.where.version_id} was deleted while the workflow ran; "
                "choose or make one by the same command with --forcerun prepare_upload"
            ) from None
        raise refusal from None


def _people(settled: ReconcilePlan) -> People:
    return People(
        edited=sorted(settled.edited),
        added=sorted(settled.added),
        deleted=sorted(settled.deleted),
        withheld=sorted(settled.withheld),
    )


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
