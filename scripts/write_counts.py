"""Write MaxN of each media into attributes of the media in Tator."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from scripts.lib.counting import analysed_frames
from scripts.lib.records import DetectionRecord, MediaRecord, UploadRecord
from scripts.lib.records.counts import CountsInTator
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.records.records_on_disk import RecordsOnDisk
from scripts.lib.server import rows, values
from scripts.lib.server.api import Project
from scripts.lib.text import csv_text
from scripts.lib.uploads.media_attributes import Outcome, Task, attributes_of, set_attributes
from scripts.lib.uploads.taken_back import TakenBack
from scripts.lib.uploads.written_values import WrittenValues
from scripts.lib.workflow.jobs import job

# Media with the same counts share a call, so larger groups need fewer calls.
_AT_ONCE = 10_000

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
    """Set the attributes of each media whose boxes were verified to its MaxN, and verify them.

    A value is written if the attribute has no value, the type's default, or the value that this workflow wrote last,
    which the run's folder stores. Any other value is a person's and is not changed. A species without a box gets 0. If
    Tator refuses a write for one media, the record has the reason, and the next run tries that media again.
    The values of media that the settings exclude by now, or that have no analysed frame, are taken back.

    Args:
        counts: the table of count_species. It has no row for a species that is in no media of the run.
        records: the records of resolve_media, a file for each media.
        outcomes: the records of detect, in the same order.
        uploads: the records of upload_detections, in the same order.
        host: Tator's address.
        project_id: the project.
        attributes: the numeric attribute of each species.
        memory: the file of the values that were written; it is kept from run to run.
        counts_in_tator: the record to write.

    Raises:
        ServerError: Tator keeps failing, or refuses the token. If files go through a store, also if Tator refused one
            media, after the others are written.
    """
    outcome, removed, people = Outcome(), Outcome(), dict[int, list[str]]()
    with closing(RecordsOnDisk()) as counted, closing(WrittenValues(memory, host, project_id)) as written:
        earlier_counts = TakenBack(
            partial(_without_counts, records, outcomes, uploads), list(attributes.values()), written, "counts"
        )
        if any(True for _ in earlier_counts.media_ids()):
            removed = earlier_counts.run(Project(host, project_id), counts_in_tator)
        if any(True for _ in _verified(records, outcomes, uploads)):
            project = Project(host, project_id)
            kinds = project.media_types()
            counted.update(_max_n(counts, attributes))

            def changes(media: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
                found = counted.get(media["id"]) or {}
                wanted = {name: found.get(species, 0) for species, name in attributes.items()}
                return _changes(media, wanted, kinds, written)

            def note_people(media: Mapping[str, Any]) -> None:
                if left := changes(media)[1]:
                    people[media["id"]] = left

            task = Task(
                action="write counts",
                refused="the write of its counts",
                missing="counts",
                not_kept="the counts in",
                due=lambda media: changes(media)[0],
                is_set=_are_set,
                before=written.begin,
                after=written.end,
                on_success=note_people,
                at_once=_AT_ONCE,
            )
            # Records are read twice, as reading is quick, and keeping the ids of very many media takes memory.
            outcome = set_attributes(project, _verified(records, outcomes, uploads), task, counts_in_tator)
    for media_id, left in sorted(people.items()):
        _log.info("media %d: a person's value stays in %s", media_id, ", ".join(map(repr, left)))
    record = CountsInTator(
        attributes=attributes,
        media_ids=outcome.done,
        people={str(media_id): left for media_id, left in sorted(people.items())},
        missing=outcome.missing,
        failed=outcome.reasons | removed.reasons,
    )
    write_record(counts_in_tator, record)


def _verified(records: list[Path], outcomes: list[Path], uploads: list[Path]) -> Iterator[int]:
    """Yield the media whose boxes were verified and that have an analysed frame; other media have no counts."""
    for upload, has_counts in _uploads(records, outcomes, uploads):
        if has_counts:
            yield upload.media_id


def _without_counts(records: list[Path], outcomes: list[Path], uploads: list[Path]) -> Iterator[int]:
    """Yield the media that the settings exclude, and those whose boxes were verified without an analysed frame."""
    for upload, has_counts in _uploads(records, outcomes, uploads):
        if upload.excluded or (upload.state == "verified" and not has_counts):
            yield upload.media_id


def _uploads(records: list[Path], outcomes: list[Path], uploads: list[Path]) -> Iterator[tuple[UploadRecord, bool]]:
    """Yield each record of an upload, and whether the media has counts."""
    for record_file, outcome_file, upload_file in zip(records, outcomes, uploads, strict=True):
        upload = read_record(UploadRecord, upload_file)
        has_counts = False
        if upload.state == "verified":
            outcome = read_record(DetectionRecord, outcome_file)
            has_counts = bool(analysed_frames(read_record(MediaRecord, record_file), outcome).frames)
        yield upload, has_counts


def _max_n(counts: Path, attributes: Collection[str]) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield each media and its MaxN by species, for the species that have an attribute."""
    for media_id, group in groupby(csv_text.read_rows(counts), key=lambda row: int(row["media_id"])):
        yield media_id, {row["species"]: int(row["max_n"]) for row in group if row["species"] in attributes}


def _changes(
    media: Mapping[str, Any],
    wanted: Mapping[str, int],
    kinds: Mapping[int, dict[str, Any]],
    written: WrittenValues,
) -> tuple[dict[str, int], list[str]]:
    """Return the values to write into a media's attributes, and the attributes with a person's value.

    Raises:
        Unusable: the record of its type is not as expected.
    """
    type_id = media.get("type")
    kind = kinds.get(type_id) if isinstance(type_id, int) else None
    if kind is not None:
        rows.require_type("media type", kind)
    defaults = {one["name"]: one.get("default") for one in (kind or {}).get("attribute_types") or []}
    changes, left = {}, []
    for name, value in wanted.items():
        current = attributes_of(media).get(name)
        if _is(current, value):
            continue
        if current in (None, defaults.get(name)) or written.has(media["id"], name, current):
            changes[name] = value
        else:
            left.append(name)
    return changes, left


def _are_set(media: Mapping[str, Any], wanted: Mapping[str, int]) -> bool:
    return all(_is(attributes_of(media).get(name), value) for name, value in wanted.items())


def _is(current: Any, value: int) -> bool:
    return values.is_number(current) and bool(current == value)


if __name__ == "__main__":
    job.run(write_counts, snakemake)  # type: ignore[name-defined]
