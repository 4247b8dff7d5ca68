"""Compute the values of the report's part about single media: timelines, preview clips, and pictures with boxes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.detections import Detection, read_detections
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.pages import charts
from scripts.lib.pages.counts_page import MaxNs
from scripts.lib.pages.drawn_boxes import DrawnBox, PagePicture, drawn_boxes
from scripts.lib.pages.findings import Findings, margin, over_time
from scripts.lib.pages.tator_place import TatorPlace
from scripts.lib.pictures.album import Album, AlbumPicture, data_address
from scripts.lib.pictures.chosen_frames import MostOf
from scripts.lib.pictures.colours import colour
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.records.summary import MediaSummary
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.text.display_text import short
from scripts.lib.tracking.chosen_tracks import KINDS, read_pictures

BINS, TRACKS_SHOWN = 120, 60
REASONS = {
    "certain": "among the surest",
    "crowded": "among the most boxes",
    "doubtful": "among the least sure",
    "first": "its first frame: no box was found",
}


@dataclass
class ReportedMedia:
    """One media of the run.

    Attributes:
        line: the media's entry in the summary.
        record: the record of resolve_media.
        outcome: the record of detect.
        detections: the CSV file of the boxes.
        previews: the file of pictures.
        findings: the statistics of the boxes.
        link: the media's address in Tator; None if it is not in Tator.
        failed: whether the media has no result.
        tracks: the record of the tracks; None if nothing is tracked.
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
        """The media's name in the page."""
        return short(self.line.name or f"media {self.line.media_id}")

    @property
    def is_picture(self) -> bool:
        """Whether the media is a picture, not a video."""
        return bool(self.outcome.kind == "image")

    @property
    def analysed(self) -> UsedFrames:
        """The frames that went through the network, by their numbers; a picture may have several."""
        return UsedFrames.of(self.outcome)


@dataclass(frozen=True)
class FrameRenderer:
    """Makes pictures of media's frames.

    Attributes:
        place: the place of the boxes in Tator; None if the media are not in Tator.
        names: the names of the species.
        upload: the threshold of the upload.
        counts: the counts of all media; None if the page does not show them.
    """

    place: TatorPlace | None
    names: list[str]
    upload: float
    counts: MaxNs | None = None

    def link(self, media: ReportedMedia, frame: int) -> str | None:
        """Return the address of a frame in Tator; None if the media is not in Tator."""
        return None if self.place is None else self.place.address(media.line.media_id, frame)

    def picture(
        self,
        media: ReportedMedia,
        entry: AlbumPicture,
        rows: list[Detection],
        title: str,
        max_n: Mapping[int, int] | None = None,
    ) -> PagePicture:
        """Return a picture of the album with its boxes; `max_n` is MaxN of the species whose MaxN this frame shows."""
        frame = entry.frame
        return PagePicture(
            address=Album.open(media.previews).picture(frame),
            width=entry.width,
            height=entry.height,
            boxes=drawn_boxes(rows, (media.outcome.width, media.outcome.height), self.names, self.upload),
            title=title,
            why=self._why(media, entry.kinds, len(rows), max_n or {}),
            link=self.link(media, frame),
        )

    def max_n_frames(self, media: ReportedMedia, rows: Mapping[int, list[Detection]]) -> dict[int, dict[int, int]]:
        """Return the first of these frames that shows MaxN of a species, with MaxN by species."""
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
        reasons = [f"MaxN of {self._name(species)}: {number}" for species, number in max_n.items()]
        for kind in kinds:
            if (most := MostOf.of(kind)) is None:
                reasons.append(REASONS[kind])
            elif not most.threshold and most.species not in max_n:
                reasons.append(f"the most boxes of {self._name(most.species)}")
        return "; ".join([_capitalized(", ".join(reasons)), count]) if reasons else count

    def _name(self, species: int) -> str:
        return short(self.names[species - 1], 24)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class PicturedTracks:
    """Pictures of the tracks that were chosen for one reason."""

    kind: str
    pictures: list[PagePicture]


def _titled(media: ReportedMedia, frame: int) -> str:
    return media.name if media.is_picture else f"{media.name}, {charts.moment(frame, media.record.fps)}"


def rows_of(media: ReportedMedia, frames: set[int]) -> dict[int, list[Detection]]:
    """Return the boxes of some frames, by frame."""
    found: dict[int, list[Detection]] = defaultdict(list)
    for row in read_detections(media.detections):
        if row.frame in frames:
            found[row.frame].append(row)
    return found


@dataclass(frozen=True)
class Candidate:
    """A frame in which the network was uncertain.

    Attributes:
        media: the frame's media.
        entry: the frame's picture.
        rows: the boxes of the frame.
        doubt: the uncertainty, from 0 to 1.
    """

    media: ReportedMedia
    entry: AlbumPicture
    rows: list[Detection]
    doubt: float


def doubtful_frames(media: ReportedMedia, album: Album) -> Iterator[Candidate]:
    """Yield the frames of a media that were kept because the network was uncertain, in their order."""
    entries = {entry.frame: entry for entry in album.pictures if "doubtful" in entry.kinds}
    for frame, rows in sorted(rows_of(media, set(entries)).items()) if entries else ():
        yield Candidate(media, entries[frame], rows, 1 - sum(map(margin, rows)) / len(rows))


def least_sure(candidates: Iterable[Candidate], renderer: FrameRenderer) -> list[PagePicture]:
    """Return pictures of the frames of all media in which the network was least certain."""
    return [
        renderer.picture(each.media, each.entry, each.rows, _titled(each.media, each.entry.frame))
        for each in candidates
    ]


def card(media: ReportedMedia, renderer: FrameRenderer) -> dict[str, Any]:
    """Return the values of the template for one media."""
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
        "frames": len(media.analysed),
        "frames_with_boxes": media.findings.frames,
        "timeline": _timeline(media, entries, renderer),
        **_tracks(media, renderer),
        "clip": album.video() if clip else None,
        "poster": album.poster() if clip else None,
        "clip_caption": f"{clip.frames} of frames {clip.first:,} to {clip.last:,}, where most boxes are"
        if clip
        else "",
        "pictures": [
            renderer.picture(
                media,
                entry,
                rows[entry.frame],
                charts.moment(entry.frame, media.record.fps).capitalize(),
                max_n.get(entry.frame),
            )
            for entry in entries
        ],
    }


def only_for_counts(kinds: Iterable[str]) -> bool:
    """Return whether a frame was chosen only for its number of boxes above some threshold."""
    return all((most := MostOf.of(kind)) is not None and most.threshold > 0 for kind in kinds)


def pictured_tracks(path: Path, by_id: Mapping[int, ReportedMedia], renderer: FrameRenderer) -> list[PicturedTracks]:
    """Return the pictures that crop_tracks made, grouped by the reason for which their tracks were chosen.

    Args:
        path: the file of pictures.
        by_id: the media of the pictures, by number.
        renderer: the renderer, for links.
    """
    found = [PicturedTracks(kind, []) for kind in KINDS]
    pictures = {kind.kind: kind.pictures for kind in found}
    for shown, content in read_pictures(path):
        track, each = shown.chosen.track, by_id[shown.chosen.media_id]
        name, frames = short(renderer.names[track.species - 1], 24), track.last_frame - track.first_frame + 1
        box = DrawnBox(*shown.box, label=name, colour=colour(track.species - 1), labelled=False)
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
    """Return the chart of a media's longest tracks, its caption, and links to three tracks."""
    found = read_record(TracksRecord, media.tracks).tracks if media.tracks is not None else []
    if not found:
        return {"tracks": "", "track_caption": "", "track_links": []}
    longest = sorted(found, key=lambda one: (-one.boxes, one.track))
    lanes = [
        charts.Lane(one.species, one.first_frame, one.last_frame, renderer.link(media, one.best_frame))
        for one in longest[:TRACKS_SHOWN]
    ]
    sure = sorted(found, key=lambda one: (-one.confidence, one.track))
    links = [
        {
            "text": f"{which}: track {one.track}, {short(renderer.names[one.species - 1], 24)} "
            f"{one.confidence:.2f}, {one.boxes:,} boxes",
            "link": renderer.link(media, one.best_frame),
        }
        for which, one in (("longest", longest[0]), ("surest", sure[0]), ("least sure", sure[-1]))
    ]
    shown = f", the {len(lanes)} longest" if len(lanes) < len(found) else ""
    count = f"{len(found):,} track" + ("" if len(found) == 1 else "s")
    return {
        "tracks": charts.tracks(f"tracks-{media.line.media_id}", lanes, media.record.fps),
        "track_caption": f"{count} over time{shown}" + ("; each leads to its surest box" if renderer.place else ""),
        "track_links": links,
    }


def _timeline(media: ReportedMedia, entries: list[AlbumPicture], renderer: FrameRenderer) -> str:
    if media.is_picture or len(media.analysed) < 2:
        return ""
    edges, means = over_time(read_detections(media.detections), media.analysed, BINS)
    markers = [charts.TimelineMarker(entry.frame, renderer.link(media, entry.frame)) for entry in entries]
    return charts.timeline(f"timeline-{media.line.media_id}", edges, means, media.record.fps, markers)
