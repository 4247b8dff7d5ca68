"""Bring the boxes of a media to Tator: what one job for each media, and one for many, have in common."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from scripts.lib import train_ini as train
from scripts.lib.detections import read_detections
from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.files import read_json, write_json
from scripts.lib.progress import Progress
from scripts.lib.server.api import Project
from scripts.lib.server.faults import LostAnswer, Refused, Unwell
from scripts.lib.server.patience import patiently
from scripts.lib.uploads.reconcile import Box, Destination, Plan, box_from_pixels, plan

# Tator refuses more in one request.
BOXES_PER_CALL = 500
# One round writes and the next finds nothing to do; more only while somebody else works on the same boxes.
ROUNDS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terms:
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
    def key(self) -> list[Any]:
        """What the boxes in Tator depend on."""
        return [asdict(self.where), self.species, self.threshold, self.overlap_limit, self.on_damaged]


def upload_media(
    connect: Callable[[], Project], terms: Terms, *, detections: Path, outcome: Path, record: Path, upload: Path
) -> None:
    """Bring one media's boxes in Tator to what the CSV says, by the rules of scripts/lib/uploads/reconcile.py.

    Looks at what stands, writes what differs, and looks again, until nothing differs. A write whose answer was
    lost is never simply repeated: the next look says whether it was carried out. So a crash at any point, or a
    second run, ends in the same boxes.

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
    found, media = read_json(outcome), read_json(record)
    result: dict[str, Any] = {"media_id": media["media_id"], "type_id": media.get("type_id")}
    accepted = ("done", "no detections", "damaged") if terms.on_damaged == "accept" else ("done", "no detections")
    if found["state"] in accepted:
        boxes = _wanted(detections, found, terms)
        try:
            settled = _bring_about(connect(), media["media_id"], boxes, terms)
            result |= {"state": "verified", "reason": None, "verified_at": _now(), **_account(settled)}
        except MediaFault as fault:
            result |= {"state": fault.state, "reason": fault.reason}
    else:
        result |= {"state": "not uploaded", "reason": f"{found['state']}: {found['reason']}"}
    _log.info("media %d: %s", media["media_id"], {key: value for key, value in result.items() if key != "people"})
    write_json(upload, result)


def still_stands(project: Project, where: Destination, upload: Path) -> bool:
    """Whether Tator holds as many boxes of a media as it did when an earlier job verified them.

    That a box was edited, or deleted by a person, makes no difference to what a run would do.

    Args:
        project: Tator.
        where: the boxes' version and type.
        upload: what the earlier job wrote, for the same boxes.
    """
    result = read_json(upload)
    if result["state"] != "verified":
        return False
    expected: int = result["boxes"] + len(result["people"]["edited"]) + len(result["people"]["added"])
    return project.count_boxes(result["media_id"], where.type_id, where.version_id) == expected


def _wanted(detections: Path, found: dict[str, Any], terms: Terms) -> list[Box]:
    return [
        box_from_pixels(
            media_id=found["media_id"],
            frame=row.frame,
            xywh=(row.x, row.y, row.w, row.h),
            picture=(found["width"], found["height"]),
            species=terms.species[row.species - 1],
            score=row.score,
        )
        for row in read_detections(detections)
        if row.score >= terms.threshold
    ]


def _bring_about(project: Project, media_id: int, boxes: list[Box], terms: Terms) -> Plan:
    """Look and write in turn until Tator holds the boxes; return the last look."""
    where = terms.where

    def look(**more: int) -> Iterator[dict[str, Any]]:
        return project.boxes(media_id, where.type_id, where.version_id, **more)

    def one_round() -> Plan:
        todo = plan(boxes, look(), where, overlap_limit=terms.overlap_limit)
        if todo.unclear:
            todo = plan(boxes, look(), where, overlap_limit=terms.overlap_limit, all_marks=look(show_all_marks=1))
        counts = len(todo.create), len(todo.remove), len(todo.standing)
        _log.info("media %d: to make %d, to remove %d, standing %d", media_id, *counts)
        new = iter(todo.create.values())
        progress, made = Progress("boxes", what=f"media {media_id}: "), 0
        while specs := [box.spec(where) for box in islice(new, BOXES_PER_CALL)]:
            project.create_boxes(specs)
            made += len(specs)
            progress.report(made, len(todo.create))
        for at in range(0, len(todo.remove), BOXES_PER_CALL):
            stale = todo.remove[at : at + BOXES_PER_CALL]
            project.prune_boxes(media_id, where.version_id, {identity: todo.marks[identity] for identity in stale})
        return todo

    try:
        for _ in range(ROUNDS):
            done = patiently(LostAnswer)(one_round)
            if done.settled:
                return done
    except LostAnswer as lost:
        raise Unwell(f"{lost}; run again when Tator is well") from None
    except Refused as refusal:
        if media_id not in project.media([media_id]):
            raise MediaFault("missing", "it was deleted while the workflow ran") from None
        if where.version_id not in {version["id"] for version in project.versions()}:
            raise ServerError(
                f"version {where.version_id} was deleted while the workflow ran; "
                "choose or make one by the same command with --forcerun prepare_upload"
            ) from None
        raise refusal from None
    raise ServerError(
        f"media {media_id}: after {ROUNDS} rounds Tator still does not hold what it was sent ({len(done.create)} boxes "
        f"missing, {len(done.remove)} too many); is another run at work on the same version?"
    )


def _account(settled: Plan) -> dict[str, Any]:
    people = {key: sorted(getattr(settled, key)) for key in ("edited", "added", "deleted", "withheld")}
    return {"boxes": len(settled.standing), "people": people}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
