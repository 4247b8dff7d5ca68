"""Write the state of each media into one JSON file and one table."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import tabulate

from scripts.lib.files import replacing
from scripts.lib.records import (
    DestinationRecord,
    DetectionRecord,
    MarksRecord,
    MediaRecord,
    TrackUploadRecord,
    UploadRecord,
    good_states,
)
from scripts.lib.records.counts import CountsInTator
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.records.summary import MediaSummary
from scripts.lib.records.summary_file import RunningTotals, read_lines, write_summary
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.text.display_text import printable, short
from scripts.lib.workflow.jobs import job

KEPT = "kept for people"
COLUMNS = ("media", "name", "state", "frames", "boxes", "in Tator", "tracks in Tator", KEPT, "seconds", "why")
LONGEST_NAME, LONGEST_REASON = 40, 60
ROWS_AT_ONCE = 1000


def summarize(
    *,
    records: list[Path],
    outcomes: list[Path],
    tracks: list[Path],
    provenance: Path,
    on_damaged: str,
    summary: Path,
    table: Path,
    uploads: list[Path] | None = None,
    track_uploads: list[Path] | None = None,
    marks: Path | None = None,
    destination: Path | None = None,
    counts: list[Path] | None = None,
) -> None:
    """Write the state of each media (done, no detections, damaged, unreadable, unsupported, missing, skipped, failed).

    Memory does not grow with the number of media.

    Args:
        records: the records of resolve_media, a file for each media.
        outcomes: the records of detect, in the same order.
        tracks: the records of track, in the same order; empty without tracking.
        provenance: the record of get_network.
        on_damaged: `accept` if the boxes of damaged media count as a result.
        summary: the JSON file to write.
        table: the text file to write.
        uploads: the records of upload_detections, in the same order; None without Tator.
        track_uploads: the records of upload_tracks, in the same order; None if tracks are not uploaded.
        marks: the record of mark_processed; None without Tator.
        destination: the record of prepare_upload; None without Tator.
        counts: the record of write_counts; None if counts do not become attributes.
    """
    marked = read_record(MarksRecord, marks) if marks else None
    marked_ids = frozenset(marked.media_ids if marked else ())
    counted = read_record(CountsInTator, counts[0]) if counts else None
    upload_to = read_record(DestinationRecord, destination) if destination else None
    tracked: list[Path] | list[None] = tracks or [None] * len(records)
    uploaded: list[Path] | list[None] = uploads or [None] * len(records)
    with_tracks: list[Path] | list[None] = track_uploads or [None] * len(records)
    media = (
        _line(
            read_record(MediaRecord, record),
            read_record(DetectionRecord, outcome),
            upload=read_record(UploadRecord, upload) if upload else None,
            tracks=read_record(TracksRecord, track) if track else None,
            track_upload=read_record(TrackUploadRecord, track_upload) if track_upload else None,
            marked=marked,
            marked_ids=marked_ids,
            counted=counted,
        )
        for record, outcome, upload, track, track_upload in zip(
            records, outcomes, uploaded, tracked, with_tracks, strict=True
        )
    )
    totals = RunningTotals(good_states(on_damaged), with_tracks=bool(track_uploads))
    network = read_record(ProvenanceRecord, provenance)
    write_summary(summary, media, totals, network, upload_to.lasting if upload_to else None)
    left_out = {
        *(() if destination else ("in Tator", KEPT)),
        *(() if track_uploads else ("tracks in Tator",)),
    }
    shown = [at for at, name in enumerate(COLUMNS) if name not in left_out]
    with replacing(table) as stream:
        for line in table_lines([COLUMNS[at] for at in shown], lambda: _rows(summary, shown)):
            stream.write(line + "\n")


def _rows(summary: Path, shown: Sequence[int]) -> Iterator[list[str]]:
    for line in read_lines(summary):
        row = _row(line)
        yield [row[at] for at in shown]


def table_lines(headers: Sequence[str], rows: Callable[[], Iterable[list[str]]]) -> Iterator[str]:
    """Yield the lines of a table; memory does not grow with the number of rows.

    Args:
        headers: the columns' headers.
        rows: function that returns an iterator over the rows; called several times.
    """
    widest = list(headers)
    for row in rows():
        widest = [max(pair, key=_width) for pair in zip(widest, row, strict=True)]
    # Each part is made as a table whose first row has the widest cells; its header and first row are left out.
    yield from _part(headers, widest, [])[:2]
    left = iter(rows())
    while part := list(islice(left, ROWS_AT_ONCE)):
        yield from _part(headers, widest, part)[3:]


def _width(cell: str) -> int:
    return len(cell.strip())  # tabulate strips cells


def _part(headers: Sequence[str], widest: list[str], rows: list[list[str]]) -> list[str]:
    table: str = tabulate.tabulate([widest, *rows], headers, tablefmt="simple", disable_numparse=True)
    return table.split("\n")


def _line(
    record: MediaRecord,
    outcome: DetectionRecord,
    *,
    upload: UploadRecord | None,
    tracks: TracksRecord | None,
    track_upload: TrackUploadRecord | None,
    marked: MarksRecord | None,
    marked_ids: Collection[int],
    counted: CountsInTator | None,
) -> MediaSummary:
    in_tator = record.media_id if upload is None else upload.id_in_tator
    state, reason = outcome.state, outcome.reason
    if tracks is not None and tracks.state == "failed":
        state, reason = tracks.state, tracks.reason
    if upload is not None and (upload.state == "missing" or upload.state == "failed"):  # noqa: PLR1714 - for mypy
        state, reason = upload.state, upload.reason
    elif track_upload is not None and (track_upload.state == "missing" or track_upload.state == "failed"):  # noqa: PLR1714
        state, reason = track_upload.state, track_upload.reason
    elif counted is not None and str(in_tator) in counted.failed:
        state, reason = "failed", counted.failed[str(in_tator)]
    elif marked is not None and in_tator in marked.missing:
        state, reason = "missing", "it was deleted while the workflow ran"
    elif marked is not None and str(in_tator) in marked.failed:
        state, reason = "failed", marked.failed[str(in_tator)]
    earlier = (upload.earlier_boxes if upload else None) or 0
    earlier_tracks = (track_upload.earlier_tracks if track_upload else None) or 0
    return MediaSummary(
        media_id=record.media_id,
        tator_id=None if upload is None else upload.tator_id,
        name=record.name,
        state=state,
        reason=reason or (upload.note if upload else None) or (track_upload.note if track_upload else None),
        frames=outcome.frames.decoded,
        boxes=outcome.boxes,
        boxes_in_tator=(upload.boxes if upload else 0) + earlier,
        earlier_boxes=earlier or None,
        people=_counts(upload),
        marked=in_tator in marked_ids,
        seconds=outcome.seconds,
        tracks=None if tracks is None else len(tracks.tracks),
        tracks_in_tator=None if track_upload is None else track_upload.tracks + earlier_tracks,
        earlier_tracks=earlier_tracks or None,
        people_tracks=None if track_upload is None else _counts(track_upload),
        people_counts=None if counted is None else counted.people.get(str(in_tator), []),
    )


def _counts(upload: UploadRecord | TrackUploadRecord | None) -> dict[str, int]:
    return {key: len(ids) for key, ids in upload.kept_for_people.items()} if upload else {}


def _row(line: MediaSummary) -> list[str]:
    reason = printable(line.reason or "")
    return [
        str(line.media_id),
        short(line.name or "", LONGEST_NAME),
        line.state,
        str(line.frames),
        str(line.boxes),
        str(line.boxes_in_tator),
        "" if line.tracks_in_tator is None else str(line.tracks_in_tator),
        line.kept_for_people_text,
        f"{line.seconds:.1f}",
        reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 4] + " ...",
    ]


if __name__ == "__main__":
    job.run(summarize, snakemake)  # type: ignore[name-defined]
