"""Make the page that people look at after a run."""

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.lib import charts, job
from scripts.lib import train_ini as train
from scripts.lib.accuracy_page import accuracy_values
from scripts.lib.colours import colour
from scripts.lib.detections import Detection, read_detections
from scripts.lib.files import read_json
from scripts.lib.findings import Findings, lead, over_time
from scripts.lib.frames.source import frames_used
from scripts.lib.pages import Picture, drawn, tator_address, write_page
from scripts.lib.previews import Album
from scripts.lib.texts import short

ROWS_SHOWN, SPECIES_CHARTED, CHECKED, SLOWEST, BINS = 200, 12, 6, 5, 120
WORDS = {
    "certain": "among the surest",
    "crowded": "among the most boxes",
    "doubtful": "among the least sure",
    "first": "its first frame: no box was found",
}


@dataclass
class Media:
    """One media of the run.

    Attributes:
        line: its entry in the summary.
        record: what resolve_media found.
        outcome: what detect found.
        detections: its CSV.
        previews: its pictures.
        findings: what its boxes come to.
        link: where Tator shows it.
        failed: whether it has no result.
    """

    line: dict[str, Any]
    record: dict[str, Any]
    outcome: dict[str, Any]
    detections: Path
    previews: Path
    findings: Findings
    link: str
    failed: bool

    @property
    def name(self) -> str:
        """What the page calls it."""
        return short(self.line["name"] or f"media {self.line['media_id']}")

    @property
    def is_picture(self) -> bool:
        """Whether it is one, rather than a video."""
        return bool(self.outcome["kind"] == "image")


def make_report(
    *,
    summary: Path,
    records: list[Path],
    outcomes: list[Path],
    detections: list[Path],
    previews: list[Path],
    uploads: list[Path],
    train_ini: Path,
    evaluation: list[Path],
    host: str,
    project_id: int,
    keep_threshold: float,
    upload_threshold: float,
    media_in_detail: int,
    settings: dict[str, Any],
    page: Path,
) -> None:
    """Write one page that says what became of the run; of many media it shows those to check first.

    Args:
        summary: what summarize wrote.
        records: what resolve_media found, a file a media.
        outcomes: what detect found, in the same order.
        detections: its CSV files, likewise.
        previews: its pictures, likewise.
        uploads: what upload_detections did, likewise.
        train_ini: the species' names.
        evaluation: what evaluate and picture_errors wrote; empty when nobody asked for it.
        host: Tator's address.
        project_id: the project.
        keep_threshold: the least score of a box.
        upload_threshold: the least score of an uploaded box.
        media_in_detail: how many media are shown with pictures.
        settings: of the run.
        page: the HTML file to write.
    """
    content = read_json(summary)
    names = train.species(train_ini)
    version = content["destination"]["version_id"]
    total = Findings()
    media = []
    for line, record, outcome, csv, album in zip(
        content["media"], records, outcomes, detections, previews, strict=True
    ):
        findings = Findings()
        findings.add(read_detections(csv))
        total.merge(findings)
        link = tator_address(host, project_id, line["media_id"], version=version)
        failed = line["media_id"] in content["failed"]
        media.append(Media(line, read_json(record), read_json(outcome), csv, album, findings, link, failed))
    look = _Looker(host, project_id, version, names, upload_threshold)
    by_doubt = sorted(media, key=lambda each: (not each.failed, -each.findings.doubt))
    shown = [each for each in by_doubt if Album.open(each.previews).pictures]
    failed = [each for each in media if each.failed]
    verified = [moment for path in uploads if (moment := read_json(path).get("verified_at"))]
    write_page(
        "overview.html",
        page,
        title=f"Detection report: {content['totals']['media']} media",
        run={
            "host": host,
            "project_id": project_id,
            "version": content["destination"]["version"],
            "verified": _span(verified),
        },
        totals=content["totals"],
        states=Counter(each.line["state"] for each in media),
        failed_states=Counter(each.line["state"] for each in failed),
        tiles=_tiles(content, media),
        media=[_row(each) for each in media],
        failed=[_row(each) for each in failed],
        rows_shown=ROWS_SHOWN,
        **_found(total, names, keep_threshold, upload_threshold),
        check=_least_sure(media, look) if len(media) > 1 or not media_in_detail else [],
        cards=[_card(each, look) for each in shown[:media_in_detail] if not each.is_picture],
        pictures=[
            look.picture(each, entry, _rows_of(each, {0})[0], each.name)
            for each in shown[:media_in_detail]
            if each.is_picture
            for entry in Album.open(each.previews).pictures
        ],
        left_out=max(0, len(shown) - media_in_detail),
        accuracy=accuracy_values(*evaluation, names, host=host, project_id=project_id, version=version)
        if evaluation
        else None,
        speed=_speed(media),
        made=_made(content, media),
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
    )


@dataclass(frozen=True)
class _Looker:
    """Makes pictures of a media's frames."""

    host: str
    project_id: int
    version: int
    names: list[str]
    upload: float

    def link(self, media: Media, frame: int) -> str:
        """Return where Tator shows a frame."""
        return tator_address(self.host, self.project_id, media.line["media_id"], frame=frame, version=self.version)

    def picture(self, media: Media, entry: dict[str, Any], rows: list[Detection], title: str) -> Picture:
        """Return a picture of the album with its boxes."""
        frame = entry["frame"]
        return Picture(
            address=Album.open(media.previews).picture(frame),
            width=entry["width"],
            height=entry["height"],
            boxes=drawn(rows, (media.outcome["width"], media.outcome["height"]), self.names, self.upload),
            title=title,
            why=self._why(media, entry["kinds"], len(rows)),
            link=self.link(media, frame),
        )

    def _why(self, media: Media, kinds: list[str], boxes: int) -> str:
        count = f"{boxes:,} box" + ("" if boxes == 1 else "es")
        if media.is_picture:
            return count
        return f"{', '.join(WORDS[kind] for kind in kinds)}; {count}".capitalize()


def _when(media: Media, frame: int) -> str:
    """Return which frame it is, in words."""
    fps = media.record.get("fps")
    return f"frame {frame:,}" + (f" ({charts.clock(frame / fps)})" if fps else "")


def _titled(media: Media, frame: int) -> str:
    return media.name if media.is_picture else f"{media.name}, {_when(media, frame)}"


def _span(moments: list[str]) -> str:
    first, last = min(moments, default=""), max(moments, default="")
    return first if first == last else f"from {first} to {last}"


def _tiles(content: dict[str, Any], media: list[Media]) -> dict[str, str]:
    totals = content["totals"]
    people = sum(sum(line["people"].values()) for line in content["media"])
    tiles = {
        "media": f"{totals['media']:,}",
        "frames decoded": f"{totals['frames']:,}",
        "boxes found": f"{totals['boxes']:,}",
        "boxes in Tator": f"{totals['boxes_in_tator']:,}",
        "left alone because of people": f"{people:,}",
    }
    seconds = sum(each.outcome["seconds"] for each in media if each.outcome["frames"]["used"])
    used = sum(each.outcome["frames"]["used"] for each in media)
    return tiles | ({"frames a second": f"{used / seconds:.1f}"} if used else {})


def _row(media: Media) -> dict[str, Any]:
    line = media.line
    return {
        **line,
        "name": short(line["name"] or ""),
        "reason": short(line["reason"] or "", 160),
        "people": ", ".join(f"{count} {key}" for key, count in line["people"].items() if count),
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
        "counts": charts.counts(
            "counts", {names[number - 1]: boxes for number, boxes in charted}, [colour(n - 1) for n, _ in charted]
        )
        if charted
        else "",
        "uncounted": ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else ""),
        "doubt": total.doubt,
        "keep": keep,
        "upload": upload,
    }


def _rows_of(media: Media, frames: set[int]) -> dict[int, list[Detection]]:
    found: dict[int, list[Detection]] = defaultdict(list)
    for row in read_detections(media.detections):
        if row.frame in frames:
            found[row.frame].append(row)
    return found


def _least_sure(media: list[Media], look: _Looker) -> list[Picture]:
    """Return the frames of all media in which the network was least sure."""
    candidates = []
    for at, each in enumerate(media):
        entries = {entry["frame"]: entry for entry in Album.open(each.previews).pictures if "doubtful" in entry["kinds"]}
        for frame, rows in _rows_of(each, set(entries)).items() if entries else ():
            doubt = 1 - sum(map(lead, rows)) / len(rows)
            candidates.append((doubt, -at, -frame, entries[frame], rows))
    best = heapq.nlargest(CHECKED, candidates, key=lambda found: found[:3])
    return [
        look.picture(media[-at], entry, rows, _titled(media[-at], -frame))
        for _, at, frame, entry, rows in best
    ]


def _card(media: Media, look: _Looker) -> dict[str, Any]:
    """Return what the page shows of one media."""
    album = Album.open(media.previews)
    entries = sorted(album.pictures, key=lambda entry: int(entry["frame"]))
    rows = _rows_of(media, {entry["frame"] for entry in entries})
    clip = album.clip
    return {
        "media_id": media.line["media_id"],
        "name": media.name,
        "link": media.link,
        "state": media.line["state"],
        "failed": media.failed,
        "reason": media.line["reason"],
        "boxes": media.line["boxes"],
        "frames": media.outcome["frames"]["used"],
        "frames_with_boxes": media.findings.frames,
        "timeline": _timeline(media, entries, look),
        "clip": album.video() if clip else None,
        "poster": album.poster() if clip else None,
        "clip_words": f"{clip['frames']} of frames {clip['first']:,} to {clip['last']:,}, where most boxes are"
        if clip
        else "",
        "pictures": [
            look.picture(media, entry, rows[entry["frame"]], _when(media, entry["frame"]).capitalize())
            for entry in entries
        ],
    }


def _timeline(media: Media, entries: list[dict[str, Any]], look: _Looker) -> str:
    asked, decoded = media.outcome["asked"], media.outcome["frames"]["decoded"]
    looked_at = frames_used(asked, decoded)
    if media.is_picture or len(looked_at) < 2:
        return ""
    edges, means = over_time(read_detections(media.detections), looked_at, BINS)
    marks = [charts.Mark(entry["frame"], look.link(media, entry["frame"])) for entry in entries]
    return charts.timeline(f"timeline-{media.line['media_id']}", edges, means, media.record.get("fps"), marks)


def _speed(media: list[Media]) -> dict[str, Any]:
    busy = [each for each in media if each.outcome["frames"]["used"]]
    frames = sum(each.outcome["frames"]["used"] for each in busy)
    seconds = sum(each.outcome["seconds"] for each in busy)
    stages: Counter[str] = Counter()
    for each in busy:
        stages.update(each.outcome["stages"])
    slowest = sorted(busy, key=lambda each: each.outcome["frames"]["used"] / each.outcome["seconds"])[:SLOWEST]
    return {
        "frames": frames,
        "seconds": seconds,
        "rate": frames / seconds if busy else 0.0,
        "chart": charts.stages("stages", stages) if busy else "",
        "slowest": [
            {
                "name": each.name,
                "rate": each.outcome["frames"]["used"] / each.outcome["seconds"],
                "seconds": each.outcome["seconds"],
            }
            for each in slowest
        ],
    }


def _made(content: dict[str, Any], media: list[Media]) -> dict[str, str]:
    """Return where the boxes come from: network, engine, destination."""
    network = content["network"]
    engines = {
        " ".join(str(engine[key]) for key in ("name", "version", "device", "precision"))
        for each in media
        if (engine := each.outcome["engine"])
    }
    sizes = {
        f"{used['width']} × {used['height']}" for each in media if (used := each.outcome["network"])
    }
    return {
        "network": f"{network['reference']} ({network['source']})",
        "digest": network["digest"] or "none: it came from a folder",
        **{f"SHA-256 of {name}": file["sha256"] for name, file in network["files"].items()},
        "network's input": ", ".join(sorted(sizes)) or "not used",
        "engine": ", ".join(sorted(engines)) or "not used",
        "version in Tator": f"{content['destination']['version']} ({content['destination']['version_id']})",
    }


if __name__ == "__main__":
    job.run(make_report, snakemake)  # type: ignore[name-defined]
