"""Make the report: one HTML page about the run."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from scripts.lib import train_ini as train
from scripts.lib.colours import colour
from scripts.lib.detections import read_detections
from scripts.lib.display_text import short
from scripts.lib.pages import TatorPlace, charts, write_page
from scripts.lib.pages.accuracy_page import accuracy_values
from scripts.lib.pages.counts_page import CountPages
from scripts.lib.pages.findings import Findings
from scripts.lib.pages.shown_media import FrameRenderer, ReportedMedia, card, least_sure, pictured_tracks, rows_of
from scripts.lib.previews import Album
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord, MediaRecord, UploadRecord
from scripts.lib.records.summary import SummaryRecord
from scripts.lib.workflow import job

ROWS_SHOWN, SPECIES_CHARTED, SLOWEST = 200, 12, 5


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
    """Write one page that says what became of the run; of many media it shows those to check first.

    Args:
        summary: what summarize wrote.
        records: what resolve_media found, a file a media.
        outcomes: what detect found, in the same order.
        detections: its CSV files, likewise.
        previews: its pictures, likewise.
        tracks: the records of track, likewise; empty where nothing is tracked.
        train_ini: the species' names.
        counts: what count_species wrote of each media.
        intervals: what it wrote of their intervals.
        evaluation: what evaluate and picture_errors wrote; empty when nobody asked for it.
        keep_threshold: the least score of a box.
        upload_threshold: the least score of an uploaded box.
        media_in_detail: how many media are shown with pictures.
        settings: of the run.
        page: the HTML file to write.
        track_pictures: what crop_tracks wrote; empty where nobody asked for it.
        uploads: what upload_detections did, in the same order; like the next two, None where nothing goes to Tator.
        host: Tator's address.
        project_id: the project.
    """
    run = read_record(SummaryRecord, summary)
    names = train.species(train_ini)
    destination = run.destination
    place = None
    if destination is not None and host is not None and project_id is not None:
        place = TatorPlace(host, project_id, destination.version_id)
    total = Findings()
    media = []
    tracked: list[Path] | list[None] = tracks or [None] * len(records)
    for line, record, outcome, csv, album, track in zip(
        run.media, records, outcomes, detections, previews, tracked, strict=True
    ):
        findings = Findings()
        findings.add(read_detections(csv))
        total.merge(findings)
        link = place.address(line.media_id) if place else None
        no_result = line.media_id in run.failed
        known, found = read_record(MediaRecord, record), read_record(DetectionRecord, outcome)
        media.append(ReportedMedia(line, known, found, csv, album, findings, link, no_result, track))
    counted = CountPages(place, names)
    renderer = FrameRenderer(place, names, upload_threshold, counted.max_ns(counts))
    by_doubt = sorted(media, key=lambda each: (not each.failed, -each.findings.doubt))
    shown = [each for each in by_doubt if Album.open(each.previews).pictures]
    failed = [each for each in media if each.failed]
    cards = [card(each, renderer) for each in shown[:media_in_detail] if not each.is_picture]
    verified = [moment for path in uploads or () if (moment := read_record(UploadRecord, path).verified_at)]
    write_page(
        "overview.html",
        page,
        title=f"Detection report: {run.totals.media} media",
        run={
            "host": host,
            "project_id": project_id,
            "version": short(destination.version) if destination else None,
            "folder": None if place else settings["media"]["folder"],
            "verified": _span(verified),
        },
        totals=run.totals,
        states=Counter(each.line.state for each in media),
        failed_states=Counter(each.line.state for each in failed),
        tiles=_tiles(run, media),
        media=[_row(each) for each in media],
        failed=[_row(each) for each in failed],
        lacking=run.lacking,
        rows_shown=ROWS_SHOWN,
        **_found(total, names, keep_threshold, upload_threshold),
        check=least_sure(media, renderer) if len(media) > 1 or not media_in_detail else [],
        counts=counted.values(counts),
        max_n=counted.over_time(intervals, {each["media_id"] for each in cards}),
        tracks=[found for path in track_pictures or () for found in pictured_tracks(path, media, renderer)],
        cards=cards,
        pictures=[
            renderer.picture(each, entry, rows_of(each, {0})[0], each.name)
            for each in shown[:media_in_detail]
            if each.is_picture
            for entry in Album.open(each.previews).pictures
        ],
        left_out=max(0, len(shown) - media_in_detail),
        accuracy=accuracy_values(*(evaluation[0], evaluation[1], names), place=place) if evaluation else None,
        speed=_speed(media),
        made=_made(run, media),
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
    )


def _span(moments: list[str]) -> str:
    first, last = min(moments, default=""), max(moments, default="")
    return first if first == last else f"from {first} to {last}"


def _tiles(run: SummaryRecord, media: list[ReportedMedia]) -> dict[str, str]:
    totals = run.totals
    people = sum(line.left_to_people for line in run.media)
    tiles = {
        "media": f"{totals.media:,}",
        "frames decoded": f"{totals.frames:,}",
        "boxes found": f"{totals.boxes:,}",
    }
    if run.destination:
        tiles |= {
            "boxes in Tator": f"{totals.boxes_in_tator:,}",
            **({} if totals.tracks_in_tator is None else {"tracks in Tator": f"{totals.tracks_in_tator:,}"}),
            "left alone because of people": f"{people:,}",
        }
    seconds = sum(each.outcome.seconds for each in media if each.outcome.frames.used)
    used = sum(each.outcome.frames.used for each in media)
    return tiles | ({"frames a second": f"{used / seconds:.1f}"} if used else {})


def _row(media: ReportedMedia) -> dict[str, Any]:
    line = media.line
    return {
        **vars(line),
        "name": short(line.name or ""),
        "reason": short(line.reason or "", 160),
        "people": line.people_in_words,
        "link": media.link,
        "failed": media.failed,
    }


def _found(total: Findings, names: list[str], keep: float, upload: float) -> dict[str, Any]:
    """Return what the page says of the species, the most frequent first."""
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


def _speed(media: list[ReportedMedia]) -> dict[str, Any]:
    busy = [each for each in media if each.outcome.frames.used]
    frames = sum(each.outcome.frames.used for each in busy)
    seconds = sum(each.outcome.seconds for each in busy)
    stages: Counter[str] = Counter()
    for each in busy:
        stages.update(each.outcome.stages)
    slowest = sorted(busy, key=lambda each: each.outcome.frames.used / each.outcome.seconds)[:SLOWEST]
    return {
        "frames": frames,
        "seconds": seconds,
        "rate": frames / seconds if busy else 0.0,
        "chart": charts.stages("stages", stages) if busy else "",
        "slowest": [
            {
                "name": each.name,
                "rate": each.outcome.frames.used / each.outcome.seconds,
                "seconds": each.outcome.seconds,
            }
            for each in slowest
        ],
    }


def _made(run: SummaryRecord, media: list[ReportedMedia]) -> dict[str, str]:
    """Return where the boxes come from: network, engine, destination."""
    network, destination = run.network, run.destination
    engines = {
        " ".join(str(engine[key]) for key in ("name", "version", "device", "precision"))
        for each in media
        if (engine := each.outcome.engine)
    }
    sizes = {f"{used.width} x {used.height}" for each in media if (used := each.outcome.network)}
    return {
        "network": f"{network.reference} ({network.source})",
        "digest": network.digest or "none: it came from a folder",
        **{f"SHA-256 of {name}": file.sha256 for name, file in network.files.items()},
        "network's input": ", ".join(sorted(sizes)) or "not used",
        "engine": ", ".join(sorted(engines)) or "not used",
        **({"version in Tator": f"{short(destination.version)} ({destination.version_id})"} if destination else {}),
    }


if __name__ == "__main__":
    job.run(make_report, snakemake)  # type: ignore[name-defined]
