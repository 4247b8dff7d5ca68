"""Find out what the files of the user's folder are: pictures or videos, by their content."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.lib.errors import MediaFault, PipelineError, file_fault, of_one_media
from scripts.lib.files import sha256, sync
from scripts.lib.folder_source.content import HEAD_BYTES, kind_by_content, kind_by_suffix
from scripts.lib.folder_source.listing import ListedFile, shown_path
from scripts.lib.folder_source.local_media import listed_folder
from scripts.lib.folder_source.run_listing import read_part
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.video import VideoFrames
from scripts.lib.records import Kind, LocalFile, MediaRecord
from scripts.lib.records.record_files import write_record
from scripts.lib.server.tator_md5 import TatorMd5, tator_md5
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.jobs.failures import as_fault, note
from scripts.lib.workflow.jobs.job_progress import JobProgress
from scripts.lib.workflow.planning.batches import write_hashes

_log = logging.getLogger(__name__)

Noted = Callable[[], AbstractContextManager[None]]  # to be entered while FFmpeg has a media open


def list_media(
    *, listing: Path, kind: str, changed_by: str, records: list[Path], md5: bool = False, batch: Path | None = None
) -> None:
    """Write a record for each media, whatever its state; an unexpected error with one file is that media's state.

    A file with the same size and date gives the same record, so it is not processed again.

    Args:
        listing: the run's listing.
        kind: `video` or `image` to accept only those, or `any`.
        changed_by: what shows that a file has changed: `time` or `content`.
        records: the files to write; each is named by the media's number.
        md5: whether to store Tator's md5 of each file.
        batch: the file to write the records' hashes to, for the job that processes these media.

    Raises:
        PipelineError: the listing has no such media.
    """
    progress = _progress(records)
    progress.clear()
    _list(listing, kind, changed_by, records, progress, md5=md5, batch=batch)


def resume(fault: MediaFault, *, records: list[Path], **arguments: Any) -> None:
    """Continue list_media after one of the media has killed the job; the arguments are those of list_media.

    Raises:
        MediaFault: no media was open when the job was killed.
    """
    progress = _progress(records)
    progress.after_kill(fault)
    _list(records=records, progress=progress, **arguments)


def record_failure(
    fault: MediaFault, *, listing: Path, records: list[Path], batch: Path | None = None, **_: object
) -> None:
    """Write the outputs of list_media after the whole job failed; the arguments are those of list_media."""
    files = read_part(listing, [int(path.stem) for path in records])
    for path, file in zip(records, files, strict=True):
        write_record(path, _failed(file, fault, path))
    if batch is not None:
        write_hashes(batch, records)


def _progress(records: list[Path]) -> JobProgress:
    return JobProgress(records[0].with_suffix(".progress"))


def _list(
    listing: Path,
    kind: str,
    changed_by: str,
    records: list[Path],
    progress: JobProgress,
    *,
    md5: bool = False,
    batch: Path | None = None,
) -> None:
    folder = listed_folder(listing)
    files = read_part(listing, [int(path.stem) for path in records])
    for path, file in zip(records, files, strict=True):
        if (reason := progress.fatal.get(file.media_id)) is not None:
            record = _failed(file, MediaFault("failed", reason), path)
        else:
            record = _recorded(Path(folder, file.path), file, path, progress, kind=kind, changed_by=changed_by, md5=md5)
        write_record(path, record, synced=False)
    sync(records)
    if batch is not None:
        write_hashes(batch, records)
    progress.clear()
    _log.info("%d media listed", len(records))


def _recorded(
    path: Path, file: ListedFile, record: Path, progress: JobProgress, *, kind: str, changed_by: str, md5: bool
) -> MediaRecord:
    """Return the record of a file, whatever is wrong with it; `progress` names a file that kills this job."""

    @contextmanager
    def noted() -> Iterator[None]:
        progress.begin(file.media_id)
        try:
            yield
        finally:
            progress.end(file.media_id)

    try:
        return _record(path, file, kind, changed_by, noted, md5=md5)
    except Exception as error:
        if not of_one_media(error):
            raise
        fault = as_fault(error)
        foreseen = isinstance(error, PipelineError)
        _log.warning("media %d: %s", file.media_id, fault, exc_info=None if foreseen else error)
        return _failed(file, fault, record)


def _failed(file: ListedFile, fault: MediaFault, record: Path) -> MediaRecord:
    local = LocalFile(path=file.path, size=file.size, modified_ns=file.modified_ns)
    if fault.state == "failed":
        note(file.media_id, [record])
    return _without_result(file, fault, local)


def _without_result(file: ListedFile, fault: MediaFault, local: LocalFile) -> MediaRecord:
    return MediaRecord(
        media_id=file.media_id, state=fault.state, reason=fault.reason, name=shown_path(file.path), local=local
    )


def _record(path: Path, file: ListedFile, wanted: str, changed_by: str, noted: Noted, *, md5: bool) -> MediaRecord:
    """Return the record of a file.

    Raises:
        MediaFault: the file cannot be read, or is of the wrong kind.
    """
    try:
        found = _kind(path, noted)
        hashed = sha256(path) if changed_by == "content" else None
        summed = _tator_md5(path) if md5 else None
        imported = summed.imported if summed and summed.imported != summed.uploaded else None
        rate, length = _rate_and_length(path, noted) if found == "video" and wanted != "image" else (None, None)
    except OSError as error:
        raise file_fault(error) from None
    local = LocalFile(
        path=file.path,
        size=file.size,
        modified_ns=None if hashed else file.modified_ns,
        sha256=hashed,
        imported_md5=imported,
    )
    if wanted not in ("any", found):
        reason = f"it is of the kind {found}, and media.kind is {wanted}"
        return replace(_without_result(file, MediaFault("unsupported", reason), local), excluded=True)
    return MediaRecord(
        media_id=file.media_id,
        state="ready",
        reason=None,
        kind=found,
        name=shown_path(file.path),
        fps=rate,
        num_frames=length,
        md5=summed.uploaded if summed else None,
        local=local,
    )


def _tator_md5(path: Path) -> TatorMd5:
    with path.open("rb") as stream:
        return tator_md5(stream)


def _kind(path: Path, noted: Noted) -> Kind:
    """Return the kind of a file, by its first bytes, by opening it with FFmpeg, or by its name, in this order.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        known = kind_by_content(stream.read(HEAD_BYTES), path.name)
    if known is not None:
        return known
    try:
        with noted(), ffmpeg.open_media(path) as container:
            return "image" if ffmpeg.is_still(container) else "video"
    except MediaFault:  # detection will say what is wrong with it
        return "video" if kind_by_suffix(path.name) == "video" else "image"


def _rate_and_length(path: Path, noted: Noted) -> tuple[float | None, int | None]:
    """Return a video's frames per second and number of frames, as far as its container states them."""
    try:
        with noted(), VideoFrames(path) as video:
            return video.summary.rate or None, video.summary.expected
    except MediaFault:  # detection will say what is wrong with it
        return None, None


if __name__ == "__main__":
    job.run(list_media, snakemake, record_failure=record_failure, resume=resume)  # type: ignore[name-defined]
