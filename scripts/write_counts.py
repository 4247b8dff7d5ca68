"""Write MaxN of each media into attributes of the media in Tator."""

import csv
import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.lib.counting import analysed_frames
from scripts.lib.errors import MediaFault, MediaServerError, of_one_media
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import DetectionRecord, MediaRecord, UploadRecord
from scripts.lib.records.counts import CountsInTator
from scripts.lib.server import values
from scripts.lib.server.api import Project
from scripts.lib.server.media_attributes import AttributeWrites
from scripts.lib.uploads.written_counts import WrittenCounts
from scripts.lib.workflow import job
from scripts.lib.workflow.failures import as_fault, note

_log = logging.getLogger(__name__)


def write_counts(
    *,
    counts: Path,
    records: list[Path],
    outcomes: list[Path],
    uploads: list[Path],
    host: str,
    project_id: int,
    attributes: dict[str, str],
    memory: Path,
    counts_in_tator: Path,
) -> None:
    """Set the attributes of each media whose boxes were verified to its MaxN, and look whether they hold.

    A value is written where there is none, where the type's default stands, or what this workflow wrote there last,
    as its folder remembers. Any other value is a person's, and stays. A species without a box gets 0. What Tator
    refuses for one media is that media's state: it stands in the record, and the next run tries that media again.

    Args:
        counts: the table of count_species. It has no row of a species that no media of the run shows.
        records: what resolve_media found, a file a media.
        outcomes: what detect found, in the same order.
        uploads: the records of upload_detections, likewise.
        host: Tator's address.
        project_id: the project.
        attributes: the numeric attribute of each species.
        memory: the file that remembers what was written; it stays from run to run.
        counts_in_tator: where the outcome goes.

    Raises:
        ServerError: Tator fails for long, or refuses the token; where files go through a store, also what is one
            media's alone, when those of the others are written.
    """
    found_in_boxes = _read(counts, attributes)
    wanted = {
        media_id: {name: found_in_boxes.get((media_id, species), 0) for species, name in attributes.items()}
        for media_id in _verified(records, outcomes, uploads)
    }
    faults: dict[int, MediaFault] = {}
    people: dict[int, list[str]] = {}
    found: dict[int, dict[str, Any]] = {}
    if wanted:
        project = Project(host, project_id)
        kinds = project.media_types()
        written = WrittenCounts.read(memory, host, project_id)
        found = project.media(list(wanted))
        due: dict[int, dict[str, int]] = {}
        for media_id, media in found.items():
            changes, left = _changes(media, wanted[media_id], kinds, written)
            if left:
                people[media_id] = left
            if changes:
                due[media_id] = changes
        if due:
            written.begin(due)
            writes = AttributeWrites(project, "write counts", "the write of its counts")
            errors = writes.send((found[media_id], changes) for media_id, changes in due.items())
            found = project.media(list(wanted))  # a refusal is no word on what stands
            standing = {media_id: changes for media_id, changes in due.items() if _stands(found.get(media_id), changes)}
            written.end(standing)
            for media_id in due.keys() & found.keys() - standing.keys():
                names = ", ".join(map(repr, due[media_id]))
                error = errors.get(media_id, MediaServerError(f"Tator does not keep the counts in {names}; run again"))
                if not of_one_media(error):
                    raise error
                faults[media_id] = as_fault(error)
    missing = sorted(set(wanted) - set(found))
    for media_id in missing:
        _log.warning("media %d was deleted while the workflow ran; it has no counts", media_id)
    for media_id, fault in faults.items():
        _log.warning("media %d lacks counts: %s", media_id, fault.reason)
        note(media_id, [counts_in_tator])
    for media_id, left in people.items():
        _log.info("media %d: a person's value stays in %s", media_id, ", ".join(map(repr, left)))
    outcome = CountsInTator(
        attributes=attributes,
        media_ids=sorted(set(found) - set(faults)),
        people={str(media_id): left for media_id, left in sorted(people.items()) if media_id in found},
        missing=missing,
        failed={str(media_id): fault.reason for media_id, fault in sorted(faults.items())},
    )
    write_record(counts_in_tator, outcome)


def _verified(records: list[Path], outcomes: list[Path], uploads: list[Path]) -> Iterator[int]:
    """Yield the media whose boxes were verified, and of which a frame was looked at: of others no count is known."""
    for record_file, outcome_file, upload_file in zip(records, outcomes, uploads, strict=True):
        upload = read_record(UploadRecord, upload_file)
        if upload.state == "verified":
            looked = analysed_frames(read_record(MediaRecord, record_file), read_record(DetectionRecord, outcome_file))
            if looked.frames:
                yield upload.media_id


def _read(counts: Path, attributes: Collection[str]) -> dict[tuple[int, str], int]:
    """Return MaxN by media and species, of the species that have an attribute."""
    with counts.open(encoding="utf-8", newline="") as stream:
        return {
            (int(row["media_id"]), row["species"]): int(row["max_n"])
            for row in csv.DictReader(stream)
            if row["species"] in attributes
        }


def _changes(
    media: Mapping[str, Any],
    wanted: Mapping[str, int],
    kinds: Mapping[int, dict[str, Any]],
    written: WrittenCounts,
) -> tuple[dict[str, int], list[str]]:
    """Return what to write into a media's attributes, and the attributes that hold a person's value."""
    type_id = media.get("type")
    kind = kinds.get(type_id, {}) if isinstance(type_id, int) else {}
    defaults = {one["name"]: one.get("default") for one in kind.get("attribute_types") or []}
    changes, left = {}, []
    for name, value in wanted.items():
        standing = _attributes(media).get(name)
        if _is(standing, value):
            continue
        if standing in (None, defaults.get(name)) or written.has(media["id"], name, standing):
            changes[name] = value
        else:
            left.append(name)
    return changes, left


def _stands(media: Mapping[str, Any] | None, wanted: Mapping[str, int]) -> bool:
    return media is not None and all(_is(_attributes(media).get(name), value) for name, value in wanted.items())


def _attributes(media: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = media.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _is(standing: Any, value: int) -> bool:
    return values.is_number(standing) and bool(standing == value)


if __name__ == "__main__":
    job.run(write_counts, snakemake)  # type: ignore[name-defined]
