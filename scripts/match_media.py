"""Match the files of the user's folder to media in Tator, to upload their boxes there."""

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError, of_one_media
from scripts.lib.files import replacing
from scripts.lib.folder_source.listing import shown_path
from scripts.lib.folder_source.local_media import check, listed_folder
from scripts.lib.records import MediaRecord
from scripts.lib.records.match import MatchesRecord, MatchRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.server import project_needs, values
from scripts.lib.server.api import Project
from scripts.lib.server.faults import Unusable
from scripts.lib.server.rows import require_type
from scripts.lib.server.tator_md5 import TatorMd5, tator_md5
from scripts.lib.server.values import OddValue
from scripts.lib.text import csv_text
from scripts.lib.uploads.matching import LocalEntry, Matching, TatorEntry
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.jobs.failures import as_fault

COLUMNS = ("media_id", "path", "tator_id", "by", "why_not")
FIELDS = "id,name,type,md5,width,height,fps,num_frames"

_log = logging.getLogger(__name__)


def match_media(
    *,
    records: list[Path],
    listing: Path,
    match_by: str,
    host: str,
    project_id: int,
    media_ids: list[int],
    mark_attribute: str,
    matches: list[Path],
    match_table: Path,
) -> None:
    """Write for each media of the run the media in Tator that it matches, or why there is no certain match.

    Args:
        records: the records of list_media.
        listing: the run's listing.
        match_by: `name` or `md5`.
        host: Tator's address.
        project_id: the project.
        media_ids: the media in Tator to search; if empty, all media of the project.
        mark_attribute: the attribute that marks a media as processed; checked before any box is sent.
        matches: the files to write, each for the media from the number in its name up to that of the next file.
        match_table: the CSV file to write, with a row for each media.

    Raises:
        ServerError: Tator refuses or fails, or a media type does not have `mark_attribute`. A record of one media, or
            of its type, that cannot be used is recorded for that media instead.
    """
    folder = Path(listed_folder(listing))
    with Matching(match_by) as matching:
        matching.add_files(_local(read_record(MediaRecord, path), folder, match_by) for path in records)
        project = Project(host, project_id)
        types = project.media_types()
        rows = project.each_media(media_ids) if media_ids else project.select_media(fields=FIELDS)
        matching.add_media(_entries(rows, types))
        used, matched = set[int](), 0
        with replacing(match_table) as stream:
            table = csv_text.writer(stream)
            table.writerow(COLUMNS)
            for path, found in matching.records():
                one = _usable(found, types)
                table.writerow([one.media_id, path, one.tator_id or "", one.by or "", one.reason or ""])
                matched += one.state == "matched"
                if one.type_id is not None:
                    used.add(one.type_id)
            project_needs.check_media_types(types, used, [project_needs.of_media(mark_attribute)])
        _write(matches, (_usable(found, types) for _, found in matching.records("media_id")))
    _log.info("%d of %d media are in Tator, by %s", matched, len(records), match_by)


def _local(record: MediaRecord, folder: Path, match_by: str) -> LocalEntry:
    path = record.local.path if record.local else record.name or ""
    imported = record.local.imported_md5 if record.local else None
    md5 = TatorMd5(record.md5, imported or record.md5) if record.md5 else None
    fault = None
    if match_by == "md5" and md5 is None and record.state == "ready":
        try:
            md5, reason = _md5(record, folder / path)
        except Exception as error:
            if not of_one_media(error):
                raise
            reason = as_fault(error).reason
            _log.warning(
                "media %d: %s", record.media_id, reason, exc_info=None if isinstance(error, PipelineError) else error
            )
        if reason:
            fault = f"its md5 is not known: {reason}; media.md5 notes it while the files are here"
    return LocalEntry(record.media_id, shown_path(path), record.kind, md5, fault)


def _md5(record: MediaRecord, file: Path) -> tuple[TatorMd5 | None, str | None]:
    """Return Tator's checksums of a file, or why they are not known."""
    checked = check(record, file)
    if checked.state != "ready":
        return None, checked.reason
    with file.open("rb") as stream:
        return tator_md5(stream), None


def _entries(rows: Iterator[dict[str, Any]], types: dict[int, dict[str, Any]]) -> Iterator[TatorEntry]:
    """Yield the videos and pictures among Tator's media; log those whose record cannot be used."""
    for row in rows:
        try:
            type_id = values.whole(row.get("type"), "type")
            kind = types.get(type_id, {}).get("dtype")
            if kind not in ("video", "image"):
                continue
            yield TatorEntry(
                tator_id=row["id"],
                type_id=type_id,
                kind=kind,
                name=values.optional_text(row.get("name"), "name"),
                md5=values.optional_text(row.get("md5"), "md5"),
                width=values.optional_whole(row.get("width"), "width"),
                height=values.optional_whole(row.get("height"), "height"),
                fps=values.optional_rate(row.get("fps"), "fps"),
                num_frames=values.optional_whole(row.get("num_frames"), "num_frames"),
            )
        except OddValue as odd:
            _log.warning("media %s in Tator is left out, as its record cannot be used: %s", row["id"], odd)


def _usable(found: MatchRecord, types: dict[int, dict[str, Any]]) -> MatchRecord:
    """Return a match, or the reason why media of its type cannot be used."""
    if found.type_id is not None:
        try:
            require_type("media type", types[found.type_id])
        except Unusable as odd:
            return MatchRecord(media_id=found.media_id, state="failed", reason=str(odd))
    return found


def _write(matches: Sequence[Path], found: Iterable[MatchRecord]) -> None:
    """Write the records, which are sorted by media id, into the files of the jobs that they belong to."""
    paths = sorted(matches, key=lambda path: int(path.stem))
    firsts = [int(path.stem) for path in paths]
    for at, group in groupby(found, key=lambda one: bisect_right(firsts, one.media_id) - 1):
        write_record(paths[at], MatchesRecord(matches=list(group)))


if __name__ == "__main__":
    job.run(match_media, snakemake)  # type: ignore[name-defined]
