"""Count the animals of each media: MaxN and related figures, as tables."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from scripts.lib.counting import MediaCounts, SpeciesCount, analysed_frames, count
from scripts.lib.detections import read_detections
from scripts.lib.files import replacing
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.graphs import train_ini as train
from scripts.lib.records import WITH_RESULT, DetectionRecord, MediaRecord
from scripts.lib.records.attributes_file import AttributesFile
from scripts.lib.records.record_files import read_record
from scripts.lib.records.summary import MediaAttributes
from scripts.lib.records.tracks import TracksRecord
from scripts.lib.text import csv_text
from scripts.lib.text.display_text import as_json
from scripts.lib.workflow.jobs import job

# In other states the counts are unknown, although boxes may have been found in the first frames.
COUNTED = (*WITH_RESULT, "damaged")
MEDIA = ("media_id", "name", "section", "state", "fps", "frames_looked_at", "threshold")
WHOLE = (
    *("species", "max_n", "max_n_frame", "max_n_seconds", "first_frame", "first_seconds"),
    *("seconds_seen", "frames_seen", "mean_count", "tracks"),
)
INTERVAL = (
    *("interval", "start_seconds", "end_seconds", "first_frame", "last_frame", "frames"),
    *("species", "max_n", "max_n_frame", "max_n_seconds", "mean_count"),
)


def count_species(
    *,
    records: list[Path],
    outcomes: list[Path],
    detections: list[Path],
    tracks: list[Path],
    attributes: list[Path],
    train_ini: Path,
    threshold: float,
    interval_seconds: float,
    counts: Path,
    intervals: Path,
) -> None:
    """Write a row for each media that was processed and each species that any media of the run has.

    So a media in which a species was not seen has a row with MaxN 0, and a media without a result has no row. The
    media's section and attributes in Tator are further columns, with the names of the attributes.

    Args:
        records: the records of resolve_media, a file for each media.
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
        tracks: the records of track, in the same order; empty without tracking.
        attributes: the file of get_attributes; empty for media of a folder.
        train_ini: the species' names.
        threshold: the least score of a box that counts.
        interval_seconds: length of an interval, in seconds.
        counts: the CSV file to write.
        intervals: the CSV file to write, with a row for each interval of each media.
    """
    names = train.species(train_ini)
    tracked: list[Path] | list[None] = tracks or [None] * len(records)

    def each() -> Iterator[tuple[DetectionRecord, MediaCounts, Path | None]]:
        for record_file, outcome_file, boxes, track_file in zip(records, outcomes, detections, tracked, strict=True):
            outcome = read_record(DetectionRecord, outcome_file)
            analysed = analysed_frames(read_record(MediaRecord, record_file), outcome)
            if analysed.frames and outcome.state in COUNTED:
                yield outcome, count(read_detections(boxes), analysed, threshold, interval_seconds), track_file

    # Media are counted twice: keeping the counts of very many media would need much memory.
    seen = sorted(_seen(each(), len(names)))
    with (
        AttributesFile(attributes[0]) if attributes else nullcontext() as described,
        replacing(counts) as of_media,
        replacing(intervals) as of_intervals,
    ):
        columns = _attribute_columns(described.values() if described else (), taken={*MEDIA, *WHOLE, *INTERVAL})
        rows = csv_text.dict_writer(of_media, [*MEDIA, *WHOLE, *columns.values()])
        parts = csv_text.dict_writer(of_intervals, [*MEDIA, *INTERVAL, *columns.values()])
        for outcome, counted, track_file in each():
            known = described.get(outcome.media_id) if described else None
            media, by_species = _media(outcome, known, counted, threshold), _tracks(track_file)
            more = _attributes(known, columns)
            for species in seen:
                named = {**media, "species": _field(names[species - 1]), **more}
                rows.writerow({**named, **_whole(counted, species, by_species)})
            for number in counted.all_intervals():
                for species in seen:
                    named = {**media, "species": _field(names[species - 1]), **more}
                    parts.writerow({**named, **_interval(counted, number, species)})


def _seen(media: Iterable[tuple[DetectionRecord, MediaCounts, Path | None]], species: int) -> set[int]:
    """Return the species that any media has, in boxes or tracks; stop reading once all have been seen."""
    found: set[int] = set()
    for _, counted, track_file in media:
        found |= counted.whole.keys() | (_tracks(track_file) or Counter()).keys()
        if len(found) == species:
            break
    return found


def _tracks(record: Path | None) -> Counter[int] | None:
    """Return the number of tracks by species; None if they are unknown."""
    found = None if record is None else read_record(TracksRecord, record)
    return Counter(track.species for track in found.tracks) if found is not None and found.state == "done" else None


def _media(
    outcome: DetectionRecord, of_media: MediaAttributes | None, counted: MediaCounts, threshold: float
) -> dict[str, Any]:
    fps = counted.analysed_frames.fps
    return {
        "media_id": outcome.media_id,
        "name": _field(outcome.name),
        "section": _field(of_media.section if of_media is not None else None),
        "state": outcome.state,
        "fps": None if fps is None else float(fps),
        "frames_looked_at": len(counted.analysed_frames.frames),
        "threshold": threshold,
    }


def _whole(counted: MediaCounts, species: int, tracks: Counter[int] | None) -> dict[str, Any]:
    found = counted.whole.get(species, SpeciesCount())
    return {
        **_most(counted, found, counted.analysed_frames.frames),
        "first_frame": found.first_frame,
        "first_seconds": _seconds(counted, found.first_frame),
        "seconds_seen": counted.seconds_seen(found),
        "frames_seen": found.frames_seen,
        "tracks": None if tracks is None else tracks[species],
    }


def _interval(counted: MediaCounts, number: int, species: int) -> dict[str, Any]:
    frames = counted.frames_of(number)
    known, length = counted.analysed_frames.fps is not None, counted.interval_seconds
    return {
        "interval": number,
        "start_seconds": float(number * length) if known else None,
        "end_seconds": float((number + 1) * length) if known else None,
        "first_frame": next(iter(frames)),
        "last_frame": frames.last,
        "frames": len(frames),
        **_most(counted, counted.intervals.get(number, {}).get(species, SpeciesCount()), frames),
    }


def _most(counted: MediaCounts, found: SpeciesCount, frames: UsedFrames) -> dict[str, Any]:
    return {
        "max_n": found.max_n,
        "max_n_frame": found.max_n_frame,
        "max_n_seconds": _seconds(counted, found.max_n_frame),
        "mean_count": counted.mean(found, frames),
    }


def _seconds(counted: MediaCounts, frame: int | None) -> float | None:
    return None if frame is None else counted.analysed_frames.seconds(frame)


def _attribute_columns(described: Iterable[MediaAttributes], taken: set[str]) -> dict[str, str]:
    """Return the column of each attribute: the attribute's name, unless this table has a column of that name."""
    found: dict[str, str] = {}
    taken = set(taken)
    for media in described:
        for name in media.attributes:
            if name not in found:
                column = _field(name)
                while column in taken:
                    column = f"attribute {column}"
                taken.add(column)
                found[name] = column
    return found


def _attributes(of_media: MediaAttributes | None, columns: dict[str, str]) -> dict[str, Any]:
    values = of_media.attributes if of_media is not None else {}
    return {columns[name]: _field(value) for name, value in values.items()}


def _field(value: Any) -> Any:
    """Return a value for a CSV field; anything but text and numbers becomes JSON."""
    if isinstance(value, str):
        # A lone surrogate, which JSON can hold, has no UTF-8.
        return csv_text.cut(value.encode("utf-8", "replace").decode())
    return csv_text.cut(as_json(value)) if isinstance(value, list | dict | bool) else value


if __name__ == "__main__":
    job.run(count_species, snakemake)  # type: ignore[name-defined]
