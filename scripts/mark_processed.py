"""Mark the media whose boxes were verified in Tator."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from scripts.lib.records import MarksRecord, TrackUploadRecord, UploadRecord
from scripts.lib.records.counts import CountsInTator
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.server.api import Project
from scripts.lib.uploads.media_attributes import Outcome, Task, attributes_of, set_attributes
from scripts.lib.uploads.taken_back import TakenBack
from scripts.lib.uploads.written_values import WrittenValues
from scripts.lib.workflow.jobs import job


def mark_processed(
    *,
    uploads: list[Path],
    host: str,
    project_id: int,
    attribute: str,
    marks: Path,
    memory: Path,
    tracks: list[Path] | None = None,
    track_uploads: list[Path] | None = None,
    counts: list[Path] | None = None,
) -> None:
    """Set the attribute to the current time for each verified media whose boxes changed since it was last marked.

    With tracking, a media whose tracking job failed does not count as verified. If tracks are uploaded, its tracks have
    to be verified too, unless it has none to upload.
    If counts become attributes of the media, they must be in Tator too.

    A mark that a run in this folder has set is taken back if the settings exclude the media by now.

    There is one call for each media type (Tator refuses a mixture) and 1,000 media, then one to verify it; see
    set_attributes. If Tator refuses one media, the record has the reason, and the next run tries that media again.

    Args:
        uploads: the records of upload_detections.
        host: Tator's address.
        project_id: the project.
        attribute: the string attribute that marks a media as processed.
        marks: the JSON file to write: the attribute, the media that have the mark, those that were deleted, and those
            that could not be marked, with the reason.
        memory: the file of the marks that were set; it is kept from run to run.
        tracks: the records of track, in the same order; None without tracking, and if tracks are uploaded.
        track_uploads: the records of upload_tracks, in the same order; None if tracks are not uploaded.
        counts: the record of write_counts; None if counts do not become attributes.

    Raises:
        ServerError: Tator fails until the retries end, or refuses the token; with a storage such as S3 also if Tator
            refused one media, after the others are marked.
    """
    failed = {media_id for path in counts or [] for media_id in map(int, read_record(CountsInTator, path).failed)}

    def verified() -> Iterator[tuple[int, str]]:
        return (each for each in _verified(uploads, tracks, track_uploads) if each[0] not in failed)

    def mark_verified(written: WrittenValues) -> Outcome:
        # Records are read twice: keeping those of very many media would need much memory.
        mark = {attribute: _mark_time(moment for _, moment in verified())}
        changed: dict[int, str] = {}

        def media_ids() -> Iterator[int]:
            for media_id, moment in verified():
                changed[media_id] = moment
                yield media_id

        def is_marked(media: dict[str, Any]) -> bool:
            return _marked_since(media, attribute, changed[media["id"]])

        task = Task(
            action="mark media",
            refused="its mark",
            missing="mark",
            not_kept="the mark",
            due=lambda media: {} if is_marked(media) else mark,
            is_set=lambda media, _: is_marked(media),
            before=written.begin,
            after=written.end,
            on_success=lambda media: changed.pop(media["id"], None),
        )
        return set_attributes(Project(host, project_id), media_ids(), task, marks)

    outcome = removed = Outcome()
    with closing(WrittenValues(memory, host, project_id)) as written:
        if any(True for _ in verified()):
            outcome = mark_verified(written)
        earlier_marks = TakenBack(partial(_excluded, uploads), [attribute], written, "mark")
        if any(True for _ in earlier_marks.media_ids()):
            removed = earlier_marks.run(Project(host, project_id), marks)
    record = MarksRecord(
        attribute=attribute,
        media_ids=outcome.done,
        missing=outcome.missing,
        failed=outcome.reasons | removed.reasons,
    )
    write_record(marks, record)


def _verified(
    uploads: list[Path], tracks: list[Path] | None, track_uploads: list[Path] | None
) -> Iterator[tuple[int, str]]:
    """Yield each verified media, and when its boxes or tracks last changed in Tator."""
    none = [None] * len(uploads)
    for path, found, of_tracks in zip(uploads, tracks or none, track_uploads or none, strict=True):
        boxes = read_record(UploadRecord, path)
        if boxes.state != "verified" or (found and read_record(TracksRecord, found).state == "failed"):
            continue
        uploaded = None if of_tracks is None else read_record(TrackUploadRecord, of_tracks)
        if uploaded is None or uploaded.state in ("verified", "not uploaded"):
            moment = boxes.changed_at or ""
            if uploaded is not None and uploaded.state == "verified":
                moment = _later(moment, uploaded.changed_at or "")
            yield boxes.id_in_tator, moment


def _excluded(uploads: list[Path]) -> Iterator[int]:
    """Yield the media that the settings exclude."""
    return (one.id_in_tator for one in (read_record(UploadRecord, path) for path in uploads) if one.excluded)


def _later(one: str, other: str) -> str:
    """Return the later of two times; an empty text is earlier than any time."""
    return max(filter(None, (one, other)), key=datetime.fromisoformat, default="")


def _mark_time(changed: Iterable[str]) -> str:
    """Return the current time, or that of the newest change if the clock of Tator or of another machine is ahead."""
    now = datetime.now(UTC).replace(microsecond=0)
    newest = max((datetime.fromisoformat(moment) for moment in changed if moment), default=now)
    return max(now, (newest + timedelta(seconds=1)).replace(microsecond=0) if newest > now else now).isoformat()


def _marked_since(media: dict[str, Any], attribute: str, moment: str) -> bool:
    value = str(attributes_of(media).get(attribute) or "")
    try:
        return datetime.fromisoformat(value) >= datetime.fromisoformat(moment)
    except (ValueError, TypeError):  # a default such as "No", somebody else's text, a time without a zone
        return False


if __name__ == "__main__":
    job.run(mark_processed, snakemake)  # type: ignore[name-defined]
