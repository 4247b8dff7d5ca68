"""Look up the requested media in Tator: which exist, belong to the project, and have a usable file."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.lib.downloads.references import fault_of_address, is_address, recorded_path
from scripts.lib.errors import MediaFault, PipelineError, of_one_media
from scripts.lib.records import MediaRecord, Role, StoredFile, UploadRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.server import project_needs, rows
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Unusable
from scripts.lib.server.media_record import TatorMedia, tator_media
from scripts.lib.server.processed import is_marked
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.jobs.failures import as_fault, note
from scripts.lib.workflow.planning.batches import write_hashes

_log = logging.getLogger(__name__)


class _Final(MediaFault):
    """A media is not processed because of what it is, or of a setting: the next run does not read its record again."""


class _Excluded(_Final):
    """A setting excludes the media, so that its boxes of an earlier run are removed."""


def resolve_media(
    *,
    host: str,
    project_id: int,
    media_ids: list[int],
    kind: str,
    skip_processed: bool,
    mark_attribute: str,
    records: list[Path],
    file: str = "auto",
    batch: Path | None = None,
    count_attributes: Sequence[str] = (),
    uploads: list[Path] | None = None,
) -> None:
    """Write a record for each media, whatever its state.

    A record's `state` is `ready`, or says why this media is not processed (`missing`, `unsupported`, `skipped`,
    `failed`), with the reason in `reason`. Media whose record may be corrected in Tator are read again by the next
    run. Fields that change in Tator without changing the media (times, marks) are
    not in it, so that the same media gives the same record.

    Args:
        host: Tator's address.
        project_id: the project.
        media_ids: the requested media.
        kind: `video` or `image` to accept only those, or `any`.
        skip_processed: whether media that have the mark are skipped, except those that this run marked.
        mark_attribute: the attribute that marks a media as processed.
        records: the files to write, one for each of `media_ids` and in the same order.
        file: which file of a video to read: `archival`, `streaming`, or `auto`; see config/README.md.
        batch: the file to write the records' hashes to, for the job that processes these media.
        count_attributes: the numeric attributes that counts of animals are written into.
        uploads: the records of upload_detections, in the same order, as far as they exist: a media that is verified
            in its record has the mark from this run.

    Raises:
        ServerError: a media type has no such attribute, or Tator fails.
    """
    project = Project(host, project_id)
    types = project.media_types()
    needs = [project_needs.of_media(mark_attribute), *project_needs.of_counts(count_attributes)]
    # One call's media at a time, as Tator's record of each needs some kB of memory.
    for at in range(0, len(media_ids), IDS_PER_CALL):
        some = media_ids[at : at + IDS_PER_CALL]
        answers = project.media(some)
        found = _usable(answers, types, needs)
        for number, (media_id, path) in enumerate(zip(some, records[at : at + IDS_PER_CALL], strict=True), at):
            try:
                record = _resolve(project, media_id, found.get(media_id), types, file)
                if kind not in ("any", record.kind):
                    raise _Excluded("unsupported", f"it is of the kind {record.kind}, and media.kind is {kind}")
                skips = skip_processed and not (uploads and _is_verified(uploads[number]))
                if skips and is_marked(answers[media_id], types[answers[media_id]["type"]], mark_attribute):
                    raise _Final("skipped", f"it is marked as processed ({mark_attribute})")
            except Exception as error:
                if not of_one_media(error):
                    raise
                fault = as_fault(error)
                foreseen = isinstance(error, PipelineError)
                _log.warning("media %d: %s", media_id, fault, exc_info=None if foreseen else error)
                media = found.get(media_id)
                name = media.name if isinstance(media, TatorMedia) else None
                excluded = True if isinstance(error, _Excluded) else None
                record = MediaRecord(
                    media_id=media_id, state=fault.state, reason=fault.reason, name=name, excluded=excluded
                )
                if not isinstance(error, _Final):
                    note(media_id, [path])
            write_record(path, record)
    if batch is not None:
        write_hashes(batch, records)
    _log.info("%d media resolved", len(media_ids))


def _is_verified(upload: Path) -> bool:
    """Return whether this run has uploaded and verified the boxes of the media with this record."""
    return upload.is_file() and read_record(UploadRecord, upload).state == "verified"


def _usable(
    answers: dict[int, dict[str, Any]], types: dict[int, dict[str, Any]], needs: Sequence[project_needs.Need]
) -> dict[int, TatorMedia | MediaFault]:
    """Return the media in Tator's answers, or what is wrong with its records of them or of their types.

    Raises:
        ServerError: a media type lacks a required attribute.
    """
    found = {media_id: _checked(answer) for media_id, answer in answers.items()}
    used = {media.type_id for media in found.values() if isinstance(media, TatorMedia)}
    odd_types = {type_id: fault for type_id in used & types.keys() if (fault := _fault_of(types[type_id]))}
    project_needs.check_media_types(types, (used & types.keys()) - odd_types.keys(), needs)
    return {
        media_id: odd_types.get(media.type_id, media) if isinstance(media, TatorMedia) else media
        for media_id, media in found.items()
    }


def _checked(answer: Any) -> TatorMedia | MediaFault:
    """Return a media, or what is wrong with Tator's record of it."""
    if isinstance(answer, dict) and "unreadable" in answer:
        return MediaFault("unsupported", str(answer["unreadable"]))
    try:
        return tator_media(answer)
    except MediaFault as fault:
        return fault


def _fault_of(media_type: dict[str, Any]) -> MediaFault | None:
    """Return what is wrong with Tator's record of a media type."""
    try:
        rows.require_type("media type", media_type)
        rows.encodes_originals(media_type)
    except Unusable as odd:
        return MediaFault("unsupported", str(odd))
    return None


def _resolve(
    project: Project,
    media_id: int,
    media: TatorMedia | MediaFault | None,
    types: dict[int, dict[str, Any]],
    wanted_file: str,
) -> MediaRecord:
    """Return the record of a media that can be processed.

    Raises:
        MediaFault: the media cannot be processed.
    """
    if media is None:
        raise _absent(project, media_id)
    if isinstance(media, MediaFault):
        raise media
    if media.type_id not in types:
        raise MediaFault("unsupported", f"its media type {media.type_id} is not in the project; correct it in Tator")
    return _record(media, types[media.type_id], wanted_file)


def _absent(project: Project, media_id: int) -> MediaFault:
    elsewhere = project.media_anywhere(media_id)
    if elsewhere is not None and elsewhere.get("project") != project.id:
        return _Final("missing", f"it belongs to project {elsewhere.get('project')}, not to {project.id}")
    if elsewhere is not None:
        return MediaFault("unsupported", f"Tator lists it without its id {media_id}; correct it in Tator")
    return _Final("missing", f"project {project.id} has no media {media_id}; it was deleted or never existed")


def _record(media: TatorMedia, media_type: dict[str, Any], wanted_file: str) -> MediaRecord:
    encoded_again = rows.encodes_originals(media_type)
    kind = media_type["dtype"]
    file, copy, reason = _choose_file(media, kind, wanted_file, encoded_again=encoded_again)
    return MediaRecord(
        media_id=media.media_id,
        state="ready",
        reason=None,
        kind=kind,
        type_id=media.type_id,
        name=media.name,
        width=media.width,
        height=media.height,
        fps=media.fps,
        num_frames=media.num_frames,
        md5=None if encoded_again else media.md5,
        file=file,
        copy=copy,
        file_reason=reason,
    )


def _choose_file(
    media: TatorMedia, dtype: str, wanted_file: str, *, encoded_again: bool
) -> tuple[StoredFile, StoredFile | None, str | None]:
    """Choose the file to read: the tallest of the wanted kind.

    Args:
        media: the media as Tator describes it.
        dtype: the kind of its media type.
        wanted_file: `auto`, `archival` or `streaming`; if a video has only one kind of file, that kind is used.
        encoded_again: whether Tator encoded the original again. It turned the pictures then, but not those of the copy.

    Returns:
        The file; if it is an original, Tator's streaming copy of it, if there is one; and the reason why this file is
        read, None if that is decided after the download.

    Raises:
        MediaFault: the media has no single file that could be decoded.
    """
    if dtype not in ("video", "image"):
        raise _Final("unsupported", f"it is a media of the kind {dtype}; expected video or image")
    if media.archive_state != "live":
        raise MediaFault("unsupported", f"it is archived ({media.archive_state}); restore it in Tator first")
    roles: tuple[Role, ...] = ("archival", "streaming") if dtype == "video" else ("image",)
    largest = {role: _largest(media, role) for role in roles if media.files[role]}
    if not largest:
        raise MediaFault("unsupported", f"it has no {dtype} file (a live, multi-view, or not yet transcoded media)")
    if dtype == "image":
        return largest["image"], None, None
    if "streaming" in largest and not any((media.fps, media.num_frames, media.width, media.height)):
        raise MediaFault("unsupported", "Tator's transcoder has not finished it; run again later")
    if len(largest) == 1:
        [(role, file)] = largest.items()
        return file, None, f"the media has only {'an original' if role == 'archival' else 'streaming copies'}"
    if wanted_file == "streaming":
        return largest["streaming"], None, "media.file is streaming"
    if wanted_file == "auto" and encoded_again:
        return largest["streaming"], None, "Tator encoded the original again (archive_config of its media type)"
    reason = None if wanted_file == "auto" else f"media.file is {wanted_file}"
    return largest["archival"], largest["streaming"], reason


def _largest(media: TatorMedia, role: Role) -> StoredFile:
    """Return the file of a role with the greatest height.

    Raises:
        MediaFault: the file's address is not allowed.
    """
    best = max(media.files[role], key=lambda file: file.height)
    if is_address(best.path) and (fault := fault_of_address(best.path)):
        raise MediaFault("unsupported", fault)
    return StoredFile(
        role=role,
        path=recorded_path(best.path),
        size=best.size,
        codec=best.codec,
        width=best.width,
        height=best.height,
    )


if __name__ == "__main__":
    job.run(resolve_media, snakemake)  # type: ignore[name-defined]
