"""Write tracks in the formats of other programs: MOT, VIAME's CSV (DIVE), and COCO for videos."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from scripts.lib.counting import analysed_frames
from scripts.lib.files import replacing
from scripts.lib.graphs import train_ini as train
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.records.tracks import Track, TracksRecord
from scripts.lib.text.display_text import as_json, printable
from scripts.lib.tracking.tracks import TrackBox, read_tracks
from scripts.lib.workflow.jobs import job

_VIAME = (
    "# 1: Detection or Track-id",
    "2: Video or Image Identifier",
    "3: Unique Frame Identifier",
    "4-7: Img-bbox(TL_x",
    "TL_y",
    "BR_x",
    "BR_y)",
    "8: Detection or Length Confidence",
    "9: Target Length (0 or -1 if invalid)",
    "10-11+: Repeated Species",
    "Confidence Pairs or Attributes",
)


@dataclass(frozen=True)
class ExportedTracks:
    """A media that has tracks.

    Attributes:
        record: the record of resolve_media.
        outcome: the record of detect.
        tracks: the record of track.
        csv: the tracks' boxes.
        fill_gaps: whether to include interpolated boxes.
    """

    record: MediaRecord
    outcome: DetectionRecord
    tracks: list[Track]
    csv: Path
    fill_gaps: bool

    def boxes(self) -> Iterator[TrackBox]:
        """Yield the boxes of the media's tracks."""
        return (box for box in read_tracks(self.csv) if self.fill_gaps or not box.interpolated)


def export_tracks(
    *,
    records: list[Path],
    outcomes: list[Path],
    tracks: list[Path],
    track_boxes: list[Path],
    train_ini: Path,
    fill_gaps: bool,
    mot: Path,
    viame: Path,
    coco: Path,
) -> None:
    """Write the tracks of all videos that have any, in each format.

    Args:
        records: the records of resolve_media, a file for each media.
        outcomes: the records of detect, in the same order.
        tracks: the records of track, in the same order.
        track_boxes: the CSV files of track, in the same order.
        train_ini: the species' names.
        fill_gaps: whether to write interpolated boxes too.
        mot: the folder for `{media_id}.txt`, results in the format of the MOT challenge: frames and pixels
            from 1, no header.
        viame: the folder for `{media_id}.csv`, which DIVE and VIAME open.
        coco: the JSON file: `videos`, `images` with `frame_index`, `tracks`, and `annotations` with `track_id`.
    """
    names = train.species(train_ini)

    def found() -> Iterator[ExportedTracks]:
        for record, outcome, track, boxes in zip(records, outcomes, tracks, track_boxes, strict=True):
            if tracked := read_record(TracksRecord, track).tracks:
                media = read_record(MediaRecord, record)
                yield ExportedTracks(media, read_record(DetectionRecord, outcome), tracked, boxes, fill_gaps)

    for folder in (mot, viame):
        folder.mkdir(parents=True, exist_ok=True)
    for media in found():
        with replacing(mot / f"{media.outcome.media_id}.txt") as stream:
            _write_mot(stream, media)
        with replacing(viame / f"{media.outcome.media_id}.csv") as stream:
            _write_viame(stream, media, names)
    with replacing(coco) as stream:
        for part in _coco(found, names):
            stream.write(part)


def _write_mot(stream: IO[Any], media: ExportedTracks) -> None:
    for box in media.boxes():
        x, y, w, h = box.xywh
        place = ",".join(f"{value:.3f}" for value in (x + 1, y + 1, w, h))  # MOT counts frames and pixels from 1
        stream.write(f"{box.frame + 1},{box.track},{place},{box.score:.6f},-1,-1,-1\n")


def _write_viame(stream: IO[Any], media: ExportedTracks, names: list[str]) -> None:
    analysed = analysed_frames(media.record, media.outcome)
    species = {one.track: (names[one.species - 1], one.confidence) for one in media.tracks}
    rows = csv.writer(stream, lineterminator="\n")
    stream.write(",".join(_VIAME) + "\n")
    if analysed.fps is not None:  # DIVE fails on an empty row of metadata
        rows.writerow(["# metadata", f"Fps: {float(analysed.fps):.10g}"])
    # DIVE needs the boxes of a track in consecutive rows.
    for box in sorted(media.boxes(), key=lambda box: (box.track, box.frame)):
        seconds = analysed.seconds(box.frame)
        when = "" if seconds is None else str(timedelta(seconds=seconds))
        x, y, w, h = box.xywh
        corners = [f"{value:.3f}" for value in (x, y, x + w, y + h)]
        name, confidence = species[box.track]
        more = ["(atr) interpolated true"] if box.interpolated else []
        named = [_viame_name(name), f"{confidence:.6f}"]
        rows.writerow([box.track, when, box.frame, *corners, f"{box.score:.6f}", -1, *named, *more])


def _viame_name(species: str) -> str:
    """Return a species' name for VIAME: without commas, and without a leading parenthesis, which marks attributes."""
    name = printable(species).replace(",", ";")
    return f"[{name[1:]}" if name.startswith("(") else name


def _coco(found: Callable[[], Iterator[ExportedTracks]], names: list[str]) -> Iterator[str]:
    """Yield the JSON text in parts, with one media in memory at a time: `found` is called again for each list."""
    categories = [{"id": at, "name": name} for at, name in enumerate(names, start=1)]
    yield f'{{"categories": {as_json(categories)},\n"videos": ['
    for at, media in enumerate(found()):
        yield f"{', ' if at else ''}{as_json(_video(media.outcome))}"
    yield '],\n"tracks": ['
    tracks = ((media.outcome.media_id, track) for media in found() for track in media.tracks)
    for at, (media_id, one) in enumerate(tracks):
        yield f"{', ' if at else ''}{as_json(_track(at + 1, media_id, one))}"
    yield '],\n"images": ['
    for at, (number, media, frame) in enumerate(_images(found())):
        yield f"{',' if at else ''}\n{as_json(_image(number, media.outcome, frame))}"
    yield '],\n"annotations": ['
    for at, annotation in enumerate(_annotations(found())):
        yield f"{',' if at else ''}\n{as_json({'id': at + 1, **annotation})}"
    yield "]}\n"


def _images(found: Iterator[ExportedTracks]) -> Iterator[tuple[int, ExportedTracks, int]]:
    """Yield the frames with a box of a track: their number in the file, from 1, the media and the frame."""
    number = 0
    for media in found:
        for frame in dict.fromkeys(box.frame for box in media.boxes()):
            number += 1
            yield number, media, frame


def _annotations(found: Iterator[ExportedTracks]) -> Iterator[dict[str, Any]]:
    """Yield the boxes; their images and tracks are numbered from 1 in the order of the file."""
    tracks_before = images_before = 0
    for media in found:
        numbers = {one.track: (at, one.species) for at, one in enumerate(media.tracks, start=tracks_before + 1)}
        images: dict[int, int] = {}
        for box in media.boxes():
            number, species = numbers[box.track]
            yield {
                "image_id": images_before + images.setdefault(box.frame, len(images) + 1),
                "video_id": media.outcome.media_id,
                "track_id": number,
                "category_id": species,
                "bbox": list(box.xywh),
                "area": round(box.xywh[2] * box.xywh[3], 3),
                "iscrowd": 0,
                "score": box.score,
                "interpolated": box.interpolated,
            }
        tracks_before += len(media.tracks)
        images_before += len(images)


def _video(outcome: DetectionRecord) -> dict[str, Any]:
    return {"id": outcome.media_id, "name": outcome.name, "width": outcome.width, "height": outcome.height}


def _track(number: int, media_id: int, track: Track) -> dict[str, Any]:
    return {
        "id": number,
        "video_id": media_id,
        "category_id": track.species,
        "score": track.confidence,
        "track": track.track,
    }


def _image(number: int, outcome: DetectionRecord, frame: int) -> dict[str, Any]:
    return {
        "id": number,
        "video_id": outcome.media_id,
        "frame_index": frame,
        "file_name": f"{outcome.media_id}/{frame:08d}",
        "width": outcome.width,
        "height": outcome.height,
    }


if __name__ == "__main__":
    job.run(export_tracks, snakemake)  # type: ignore[name-defined]
