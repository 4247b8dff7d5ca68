"""Make the report: one HTML page about the run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from scripts.lib.detections import read_detections
from scripts.lib.errors import PipelineError
from scripts.lib.graphs import train_ini as train
from scripts.lib.pages import charts, write_page
from scripts.lib.pages.accuracy_page import accuracy_values
from scripts.lib.pages.chosen_media import ChosenMedia, Speed
from scripts.lib.pages.counts_page import CountPages
from scripts.lib.pages.findings import Findings
from scripts.lib.pages.shown_media import FrameRenderer, ReportedMedia, card, least_sure, pictured_tracks, rows_of
from scripts.lib.pages.tator_place import TatorPlace
from scripts.lib.pictures.album import Album
from scripts.lib.pictures.colours import colour
from scripts.lib.records import DetectionRecord, MediaRecord, UploadRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.records.summary import RunSummary
from scripts.lib.records.summary_file import read_lines, read_summary
from scripts.lib.text.display_text import short
from scripts.lib.tracking.chosen_tracks import read_pictures
from scripts.lib.workflow.jobs import job

SPECIES_CHARTED, IDS_SHOWN = 12, 1000


def make_report(
    *,
    summary: Path,
    records: list[Path],
    outcomes: list[Path],
    detections: list[Path],
    previews: list[Path],
    tracks: list[Path],
    train_ini: Path,
    counts: Path,
    intervals: Path,
    evaluation: list[Path],
    keep_threshold: float,
    upload_threshold: float,
    media_in_detail: int,
    settings: dict[str, Any],
    page: Path,
    track_pictures: list[Path] | None = None,
    uploads: list[Path] | None = None,
    host: str | None = None,
    project_id: int | None = None,
) -> None:
    """Write one page about the run; of many media it shows those to check first.

    Args:
        summary: the summary of summarize.
        records: the records of resolve_media, a file for each media.
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
        previews: the preview files of detect, in the same order.
        tracks: the records of track, in the same order; empty without tracking.
        train_ini: the species' names.
        counts: the table of count_species.
        intervals: the table of intervals of count_species.
        evaluation: the files of evaluate and picture_errors; empty without evaluation.
        keep_threshold: the least score of a box.
        upload_threshold: the least score of an uploaded box.
        media_in_detail: number of media to show with pictures.
        settings: the run's settings.
        page: the HTML file to write.
        track_pictures: the file of crop_tracks; empty without tracking.
        uploads: the records of upload_detections, in the same order; None without Tator.
        host: Tator's address; None without Tator.
        project_id: the project; None without Tator.
    """
    run = read_summary(summary)
    names = train.species(train_ini)
    destination = run.destination
    upload = max(keep_threshold, upload_threshold) if destination else None
    place = None
    if destination is not None and host is not None and project_id is not None:
        place = TatorPlace(host, project_id, destination.version_id)
    with_shown_tracks = {shown.chosen.media_id for path in track_pictures or () for shown, _ in read_pictures(path)}
    failed, chosen = set(run.failed), ChosenMedia(media_in_detail, with_shown_tracks)
    tracked: list[Path] | list[None] = tracks or [None] * len(records)
    for line, record, outcome, csv, album, track in zip(
        read_lines(summary), records, outcomes, detections, previews, tracked, strict=True
    ):
        findings = Findings()
        findings.add(read_detections(csv))
        link = place.address(line.media_id) if place else None
        known, found = read_record(MediaRecord, record), read_record(DetectionRecord, outcome)
        if known.media_id != line.media_id:
            raise PipelineError(
                f"{summary}: media {line.media_id} is where {record} has media {known.media_id}; expected the same "
                "order: run again with --forcerun summarize"
            )
        chosen.add(ReportedMedia(line, known, found, csv, album, findings, link, line.media_id in failed, track))
    counted, shown = CountPages(place, names), chosen.in_detail
    max_ns = counted.max_ns(counts, {each.line.media_id for each in shown})
    renderer = FrameRenderer(place, names, keep_threshold if upload is None else upload, max_ns)
    cards = [card(each, renderer) for each in shown if not each.is_picture]
    write_page(
        "overview.html",
        page,
        title=f"Detection report: {run.totals.media} media",
        run={
            "host": host,
            "project_id": project_id,
            "version": short(destination.version) if destination else None,
            "uploads": destination is not None,
            "folder": None if place else settings["media"]["folder"],
            "verified": _span(uploads or ()),
        },
        totals=run.totals,
        states=chosen.states,
        failed_states=chosen.failed_states,
        tiles=_tiles(run, chosen),
        media=chosen.rows,
        failed=chosen.failed_rows,
        failed_count=len(failed),
        lacking=run.missing_results(some_boxes=chosen.boxes_of_failed > 0),
        **_found(chosen.total, names, keep_threshold, upload),
        check=least_sure(chosen.least_sure, renderer) if run.totals.media > 1 or not media_in_detail else [],
        counts=counted.values(counts),
        max_n=counted.over_time(intervals, {each["media_id"] for each in cards}),
        tracks=[found for path in track_pictures or () for found in pictured_tracks(path, chosen.kept, renderer)],
        cards=cards,
        pictures=[
            renderer.picture(each, entry, rows_of(each, {0})[0], each.name)
            for each in shown
            if each.is_picture
            for entry in Album.open(each.previews).pictures
        ],
        left_out=max(0, chosen.with_pictures - media_in_detail),
        accuracy=accuracy_values(*(evaluation[0], evaluation[1], names), place=place) if evaluation else None,
        speed=_speed(chosen.speed),
        made=_made(run, chosen),
        settings=_shown_settings(settings),
    )


def _shown_settings(settings: dict[str, Any]) -> str:
    """Return the settings as text; of very many media only the first numbers."""
    tator = settings.get("tator") or {}
    media_ids = tator.get("media_ids") or []
    if len(media_ids) > IDS_SHOWN:
        more = f"and {len(media_ids) - IDS_SHOWN:,} more"
        settings = {**settings, "tator": {**tator, "media_ids": [*media_ids[:IDS_SHOWN], more]}}
    return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _span(uploads: Iterable[Path]) -> str:
    first = last = ""
    for path in uploads:
        if moment := read_record(UploadRecord, path).verified_at:
            first, last = min(first or moment, moment), max(last, moment)
    return first if first == last else f"from {first} to {last}"


def _tiles(run: RunSummary, chosen: ChosenMedia) -> dict[str, str]:
    totals = run.totals
    tiles = {
        "media": f"{totals.media:,}",
        "frames decoded": f"{totals.frames:,}",
        "boxes found": f"{totals.boxes:,}",
    }
    if run.destination:
        tiles |= {
            "boxes in Tator": f"{totals.boxes_in_tator:,}",
            **({} if totals.tracks_in_tator is None else {"tracks in Tator": f"{totals.tracks_in_tator:,}"}),
            "kept for people": f"{chosen.people:,}",
        }
    speed = chosen.speed
    return tiles | ({"frames a second": f"{speed.frames / speed.seconds:.1f}"} if speed.frames else {})


def _found(total: Findings, names: list[str], keep: float, upload: float | None) -> dict[str, Any]:
    """Return the report's figures of each species, the most frequent first; `upload` is None if nothing is uploaded."""
    ranked = total.boxes.most_common()
    charted = ranked[:SPECIES_CHARTED]
    species = [
        {
            "name": names[number - 1],
            "boxes": boxes,
            "colour": colour(number - 1),
            "scores": charts.scores(f"scores-{number}", total.scores[number], number - 1, keep, upload)
            if at < SPECIES_CHARTED
            else "",
        }
        for at, (number, boxes) in enumerate(ranked)
    ]
    missing = [short(name, 24) for number, name in enumerate(names, start=1) if not total.boxes[number]]
    return {
        "species": species,
        "charted": len(charted),
        "boxes_by_species": charts.counts(
            "counts", {names[number - 1]: boxes for number, boxes in charted}, [colour(n - 1) for n, _ in charted]
        )
        if charted
        else "",
        "uncounted": ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else ""),
        "doubt": total.doubt,
        "keep": keep,
        "upload": upload,
    }


def _speed(speed: Speed) -> dict[str, Any]:
    return {
        "frames": speed.frames,
        "seconds": speed.seconds,
        "rate": speed.frames / speed.seconds if speed.frames else 0.0,
        "chart": charts.stages("stages", speed.stages) if speed.frames else "",
        "slowest": speed.slowest,
    }


def _made(run: RunSummary, chosen: ChosenMedia) -> dict[str, str]:
    """Return where the boxes come from: network, engine, destination."""
    network, destination = run.network, run.destination
    return {
        "network": f"{network.reference} ({network.source})",
        "digest": network.digest or "none: it came from a folder",
        **{f"SHA-256 of {name}": file.sha256 for name, file in network.files.items()},
        "network's input": ", ".join(sorted(chosen.sizes)) or "not used",
        "engine": ", ".join(sorted(chosen.engines)) or "not used",
        **({"version in Tator": f"{short(destination.version)} ({destination.version_id})"} if destination else {}),
    }


if __name__ == "__main__":
    job.run(make_report, snakemake)  # type: ignore[name-defined]
