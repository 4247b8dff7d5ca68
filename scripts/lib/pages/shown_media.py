"""The part of the report about single media: timelines, preview clips, and pictures with boxes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.chosen_frames import MostOf
from scripts.lib.colours import colour
from scripts.lib.detections import Detection, read_detections
from scripts.lib.display_text import short
from scripts.lib.frames.source import frames_used
from scripts.lib.pages import Drawn, PagePicture, TatorPlace, charts, drawn
from scripts.lib.pages.counts_page import MaxNs
from scripts.lib.pages.findings import Findings, margin, over_time
from scripts.lib.previews import Album, AlbumPicture, data_address
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.summary import MediaSummary
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.tracking.chosen_tracks import KINDS, read_pictures

BINS, TRACKS_SHOWN = 120, 60
WORDS = {
    "certain": "among the surest",
    "crowded": "among the most boxes",
    "doubtful": "among the least sure",
    "first": "its first frame: no box was found",
}


@dataclass
class ReportedMedia:
    """One media of the run.

    Attributes:
        line: its entry in the summary.
        record: what resolve_media found.
        outcome: what detect found.
        detections: its CSV.
        previews: its pictures.
        findings: what its boxes come to.
        link: its address in Tator; None if it is not in Tator.
        failed: whether it has no result.
        tracks: the record of its tracks; None if nothing is tracked.
    """

    line: MediaSummary
    record: MediaRecord
    outcome: DetectionRecord
    detections: Path
    previews: Path
    findings: Findings
    link: str | None
    failed: bool
    tracks: Path | None = None

    @property
    def name(self) -> str:
        """What the page calls it."""
        return short(self.line.name or f"media {self.line.media_id}")

    @property
    def is_picture(self) -> bool:
        """Whether it is one, rather than a video."""
        return bool(self.outcome.kind == "image")


@dataclass(frozen=True)
class FrameRenderer:
    """Makes pictures of a media's frames; `counts` are those of all media, none if a page does not tell them."""

    place: TatorPlace | None
    names: list[str]
    upload: float
    counts: MaxNs | None = None

    def link(self, media: ReportedMedia, frame: int) -> str | None:
        """Return the address at which Tator shows a frame; None if it is not in Tator."""
        return None if self.place is None else self.place.address(media.line.media_id, frame)

    def picture(
        self,
        media: ReportedMedia,
        entry: AlbumPicture,
        rows: list[Detection],
        title: str,
        max_n: Mapping[int, int] | None = None,
    ) -> PagePicture:
        """Return a picture of the album with its boxes; `max_n` is MaxN of the species whose frame this is."""
        frame = entry.frame
        return PagePicture(
            address=Album.open(media.previews).picture(frame),
            width=entry.width,
            height=entry.height,
            boxes=drawn(rows, (media.outcome.width, media.outcome.height), self.names, self.upload),
            title=title,
            why=self._why(media, entry.kinds, len(rows), max_n or {}),
            link=self.link(media, frame),
        )

    def max_n_frames(self, media: ReportedMedia, rows: Mapping[int, list[Detection]]) -> dict[int, dict[int, int]]:
        """Return MaxN by species, by the first of these frames that shows so many boxes of it."""
        found: dict[int, dict[int, int]] = defaultdict(dict)
        listed: set[int] = set()
        for frame in sorted(rows):
            for species, number in self.counts.reached(media.line.media_id, rows[frame]).items() if self.counts else ():
                if species not in listed:
                    listed.add(species)
                    found[frame][species] = number
        return found

    def _why(self, media: ReportedMedia, kinds: Iterable[str], boxes: int, max_n: Mapping[int, int]) -> str:
        count = f"{boxes:,} box" + ("" if boxes == 1 else "es")
        if media.is_picture:
            return count
        words = [f"MaxN of {self._name(species)}: {number}" for species, number in max_n.items()]
        for kind in kinds:
            if (most := MostOf.of(kind)) is None:
                words.append(WORDS[kind])
            elif not most.threshold and most.species not in max_n:
                words.append(f"the most boxes of {self._name(most.species)}")
        return "; ".join([_capitalized(", ".join(words)), count]) if words else count

    def _name(self, species: int) -> str:
        return short(self.names[species - 1], 24)


def _capitalized(words: str) -> str:
    return words[:1].upper() + words[1:]


@dataclass(frozen=True)
class PicturedTracks:
    """Pictures of the tracks that were chosen for one thing."""

    kind: str
    pictures: list[PagePicture]


def _when(media: ReportedMedia, frame: int) -> str:
    """Return which frame it is, in words."""
    fps = media.record.fps
    return f"frame {frame:,}" + (f" ({charts.clock(frame / fps)})" if fps else "")


def _titled(media: ReportedMedia, frame: int) -> str:
    return media.name if media.is_picture else f"{media.name}, {_when(media, frame)}"


def rows_of(media: ReportedMedia, frames: set[int]) -> dict[int, list[Detection]]:
    """Return the boxes of some frames, by frame."""
    found: dict[int, list[Detection]] = defaultdict(list)
    for row in read_detections(media.detections):
        if row.frame in frames:
            found[row.frame].append(row)
    return found


@dataclass(frozen=True)
class Candidate:
    """A frame in which the network was unsure.

    Attributes:
        media: it is of.
        entry: its picture.
        rows: its boxes.
        doubt: how unsure, from 0 to 1.
    """

    media: ReportedMedia
    entry: AlbumPicture
    rows: list[Detection]
    doubt: float


def doubtful_frames(media: ReportedMedia, album: Album) -> Iterator[Candidate]:
    """Yield the frames of a media that were kept because the network was unsure, in their order."""
    entries = {entry.frame: entry for entry in album.pictures if "doubtful" in entry.kinds}
    for frame, rows in sorted(rows_of(media, set(entries)).items()) if entries else ():
        yield Candidate(media, entries[frame], rows, 1 - sum(map(margin, rows)) / len(rows))


def least_sure(candidates: Iterable[Candidate], renderer: FrameRenderer) -> list[PagePicture]:
    """Return pictures of the frames of all media in which the network was least sure."""
    return [
        renderer.picture(each.media, each.entry, each.rows, _titled(each.media, each.entry.frame))
        for each in candidates
    ]


def card(media: ReportedMedia, renderer: FrameRenderer) -> dict[str, Any]:
    """Return what the page shows of one media."""
    album = Album.open(media.previews)
    rows = rows_of(media, {entry.frame for entry in album.pictures})
    max_n = renderer.max_n_frames(media, rows)
    kept = sorted(album.pictures, key=lambda entry: entry.frame)
    entries = [entry for entry in kept if entry.frame in max_n or not only_for_counts(entry.kinds)]
    clip = album.clip
    return {
        "media_id": media.line.media_id,
        "name": media.name,
        "link": media.link,
        "state": media.line.state,
        "failed": media.failed,
        "reason": short(media.line.reason or "", 160),
        "boxes": media.line.boxes,
        "frames": media.outcome.frames.used,
        "frames_with_boxes": media.findings.frames,
        "timeline": _timeline(media, entries, renderer),
        **_tracks(media, renderer),
        "clip": album.video() if clip else None,
        "poster": album.poster() if clip else None,
        "clip_words": f"{clip.frames} of frames {clip.first:,} to {clip.last:,}, where most boxes are" if clip else "",
        "pictures": [
            renderer.picture(
                media, entry, rows[entry.frame], _when(media, entry.frame).capitalize(), max_n.get(entry.frame)
            )
            for entry in entries
        ],
    }


def only_for_counts(kinds: Iterable[str]) -> bool:
    """Return whether a frame was chosen for nothing but the boxes of a score that may not be the one that counts."""
    return all((most := MostOf.of(kind)) is not None and most.threshold > 0 for kind in kinds)


def pictured_tracks(path: Path, by_id: Mapping[int, ReportedMedia], renderer: FrameRenderer) -> list[PicturedTracks]:
    """Return the pictures that crop_tracks made, by what their tracks were chosen for.

    Args:
        path: the file of pictures.
        by_id: their media, by number.
        renderer: makes links.
    """
    found = [PicturedTracks(kind, []) for kind in KINDS]
    pictures = {kind.kind: kind.pictures for kind in found}
    for shown, content in read_pictures(path):
        track, each = shown.chosen.track, by_id[shown.chosen.media_id]
        name, frames = short(renderer.names[track.species - 1], 24), track.last_frame - track.first_frame + 1
        box = Drawn(*shown.box, words=name, colour=colour(track.species - 1), named=False)
        pictures[shown.chosen.kind].append(
            PagePicture(
                address=data_address(content, "image/jpeg"),
                width=shown.width,
                height=shown.height,
                boxes=[box],
                title=f"{name} {track.confidence:.2f}",
                why=f"{_titled(each, track.best_frame)}; {track.boxes:,} boxes in {frames:,} frames",
                link=renderer.link(each, track.best_frame),
            )
        )
    return [kind for kind in found if kind.pictures]


def _tracks(media: ReportedMedia, renderer: FrameRenderer) -> dict[str, Any]:
    """Return the chart of a media's longest tracks, what is said of it, and links to three tracks."""
    found = read_record(TracksRecord, media.tracks).tracks if media.tracks is not None else []
    if not found:
        return {"tracks": "", "track_words": "", "track_links": []}
    longest = sorted(found, key=lambda one: (-one.boxes, one.track))
    lanes = [
        charts.Lane(one.species, one.first_frame, one.last_frame, renderer.link(media, one.best_frame))
        for one in longest[:TRACKS_SHOWN]
    ]
    sure = sorted(found, key=lambda one: (-one.confidence, one.track))
    links = [
        {
            "words": f"{words}: track {one.track}, {short(renderer.names[one.species - 1], 24)} "
            f"{one.confidence:.2f}, {one.boxes:,} boxes",
            "link": renderer.link(media, one.best_frame),
        }
        for words, one in (("longest", longest[0]), ("surest", sure[0]), ("least sure", sure[-1]))
    ]
    shown = f", the {len(lanes)} longest" if len(lanes) < len(found) else ""
    count = f"{len(found):,} track" + ("" if len(found) == 1 else "s")
    return {
        "tracks": charts.tracks(f"tracks-{media.line.media_id}", lanes, media.record.fps),
        "track_words": f"{count} over time{shown}; each leads to its surest box",
        "track_links": links,
    }


def _timeline(media: ReportedMedia, entries: list[AlbumPicture], renderer: FrameRenderer) -> str:
    asked, decoded = media.outcome.asked, media.outcome.frames.numbers
    looked_at = frames_used(asked, decoded)
    if media.is_picture or len(looked_at) < 2:
        return ""
    edges, means = over_time(read_detections(media.detections), looked_at, BINS)
    markers = [charts.TimelineMarker(entry.frame, renderer.link(media, entry.frame)) for entry in entries]
    return charts.timeline(f"timeline-{media.line.media_id}", edges, means, media.record.fps, markers)
