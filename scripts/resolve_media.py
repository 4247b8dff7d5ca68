"""Find out what the asked media are: which exist, belong to the project, and have a file to work on."""

import logging
from pathlib import Path
from typing import Any

from scripts.lib import job
from scripts.lib.batches import write_hashes
from scripts.lib.downloads.references import fault_of_address, is_address, recorded_path
from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.files import write_json
from scripts.lib.marks import is_marked
from scripts.lib.server.api import Project

_log = logging.getLogger(__name__)


def resolve_media(
    *,
    host: str,
    project_id: int,
    media_ids: list[int],
    kind: str,
    skip_processed: bool,
    mark_attribute: str,
    records: list[Path],
    batch: Path | None = None,
) -> None:
    """Write a record for each media, whatever its state.

    A record's `state` is `ready`, or says why this media is not worked on (`missing`, `unsupported`, `skipped`) with
    the reason beside it. What changes in Tator without changing the media (times, marks) is not in it, so that
    the same media gives the same record.

    Args:
        host: Tator's address.
        project_id: the project.
        media_ids: the media asked for.
        kind: `video` or `image` to take only those, or `any`.
        skip_processed: whether media that carry the mark are skipped.
        mark_attribute: the attribute that marks a media as processed.
        records: where to write, one for each of `media_ids` and in the same order.
        batch: where the hashes of the records go, for the job that takes these media.

    Raises:
        ServerError: the project has no such media type attribute, or Tator fails.
    """
    project = Project(host, project_id)
    types = project.media_types()
    found = project.media(media_ids)
    _check_mark(types, {media["type"] for media in found.values()}, mark_attribute)
    for media_id, path in zip(media_ids, records, strict=True):
        try:
            if media_id not in found:
                raise _absent(project, media_id)
            record = _record(found[media_id], types[found[media_id]["type"]])
            if kind not in ("any", record["kind"]):
                raise MediaFault("unsupported", f"it is of the kind {record['kind']}, and media.kind is {kind}")
            if skip_processed and is_marked(found[media_id], types[found[media_id]["type"]], mark_attribute):
                raise MediaFault("skipped", f"it is marked as processed ({mark_attribute})")
        except MediaFault as fault:
            _log.warning("media %d: %s", media_id, fault)
            name = found.get(media_id, {}).get("name")
            record = {"media_id": media_id, "state": fault.state, "reason": fault.reason, "name": name}
        write_json(path, record)
    if batch is not None:
        write_hashes(batch, records)
    _log.info("%d media resolved", len(media_ids))


def _check_mark(types: dict[int, dict[str, Any]], used: set[int], mark_attribute: str) -> None:
    """Find out before hours of work, not after, that a media cannot be marked."""
    for type_id in sorted(used):
        attributes = {attribute["name"]: attribute["dtype"] for attribute in types[type_id]["attribute_types"]}
        if types[type_id]["dtype"] in ("video", "image") and attributes.get(mark_attribute) != "string":
            there = ", ".join(f"{name} ({kind})" for name, kind in attributes.items()) or "none"
            raise ServerError(
                f"mark.attribute: media type {types[type_id]['name']!r} ({type_id}) has no string attribute "
                f"{mark_attribute!r}; it has {there}; add it in the project's settings or name another one"
            )


def _absent(project: Project, media_id: int) -> MediaFault:
    elsewhere = project.media_anywhere(media_id)
    if elsewhere is not None and elsewhere["project"] != project.id:
        return MediaFault("missing", f"it belongs to project {elsewhere['project']}, not to {project.id}")
    return MediaFault("missing", f"project {project.id} has no media {media_id}; it was deleted or never existed")


def _record(media: dict[str, Any], media_type: dict[str, Any]) -> dict[str, Any]:
    file = _choose_file(media, media_type["dtype"])
    fields = ("name", "width", "height", "fps", "num_frames", "md5")
    return {
        "media_id": media["id"],
        "state": "ready",
        "reason": None,
        "kind": media_type["dtype"],
        "type_id": media["type"],
        **{field: media.get(field) for field in fields},
        "file": file,
    }


def _choose_file(media: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Choose as Tator's own client does: the archival copy, else the largest streaming file; images have their own.

    Raises:
        MediaFault: the media has no single file that could be decoded.
    """
    if dtype not in ("video", "image"):
        raise MediaFault("unsupported", f"it is a media of the kind {dtype}; expected video or image")
    if media.get("archive_state", "live") != "live":
        raise MediaFault("unsupported", f"it is archived ({media['archive_state']}); restore it in Tator first")
    files = media.get("media_files") or {}
    for role in ("archival", "streaming") if dtype == "video" else ("image",):
        choice = [file for file in files.get(role) or [] if file.get("path") and _is_usable(file)]
        if choice:
            best = max(choice, key=lambda file: file["resolution"][0])
            if is_address(best["path"]) and (fault := fault_of_address(best["path"])):
                raise MediaFault("unsupported", fault)
            height, width = best["resolution"][:2]
            return {
                "role": role,
                "path": recorded_path(best["path"]),
                "size": best.get("size"),
                "codec": best.get("codec") or best.get("mime"),
                "width": width,
                "height": height,
            }
    raise MediaFault("unsupported", f"it has no {dtype} file (a live, multi-view, or not yet transcoded media)")


def _is_usable(file: dict[str, Any]) -> bool:
    """Whether a file can be downloaded: one that is only referred to needs its address as path."""
    return is_address(file["path"]) or not file.get("reference_only")


if __name__ == "__main__":
    job.run(resolve_media, snakemake)  # type: ignore[name-defined]
