"""Cut pictures of a run's longest, surest and least sure tracks from their media."""

import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.lib.downloads.frames_again import MediaPlace, frames_again
from scripts.lib.files import replacing
from scripts.lib.pictures.crops import crop
from scripts.lib.pictures.previews import jpeg, shrunk
from scripts.lib.records import DetectionRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.tracking.chosen_tracks import ChosenTrack, TrackPicture, choose, write_pictures
from scripts.lib.tracking.tracks import TrackBox, read_tracks
from scripts.lib.workflow.jobs import job

# A picture shows a box and, on each side, a margin of this share of the box's longer side.
MARGIN = 0.3
SIDE = 320


def crop_tracks(
    *,
    records: list[Path],
    outcomes: list[Path],
    tracks: list[Path],
    track_boxes: list[Path],
    per_kind: int,
    place: MediaPlace,
    pictures: Path,
) -> None:
    """Write a zip file with a picture of the surest box of each chosen track.

    The downloaded files were removed before, so the few media needed are downloaded again. Media that are not
    available any more are left out.

    Args:
        records: the records of resolve_media or list_media, a file for each media.
        outcomes: the records of detect, in the same order.
        tracks: the records of track, in the same order.
        track_boxes: the boxes of the tracks, in the same order.
        per_kind: number of tracks to show of each kind.
        place: where to get the media.
        pictures: the zip file to write; see scripts/lib/tracking/chosen_tracks.py.
    """
    all_chosen = choose(tracks, per_kind)
    by_media: dict[int, list[ChosenTrack]] = defaultdict(list)
    for chosen in all_chosen:
        by_media[chosen.media_id].append(chosen)
    sizes: dict[int, tuple[int, int]] = {}
    boxes: dict[int, Mapping[int, TrackBox]] = {}
    for outcome_file, csv in zip(outcomes, track_boxes, strict=True) if by_media else ():
        outcome = read_record(DetectionRecord, outcome_file)
        if outcome.media_id in by_media:
            sizes[outcome.media_id] = outcome.width, outcome.height
            boxes[outcome.media_id] = _surest(csv, by_media[outcome.media_id])
    wanted = {media_id: {one.track.best_frame for one in some} for media_id, some in by_media.items()}

    def cut() -> Iterator[tuple[TrackPicture, bytes]]:
        for again in frames_again(wanted, records, place, pictures.parent):
            for chosen in by_media[again.media_id]:
                if chosen.track.best_frame == again.frame:
                    box = boxes[again.media_id][chosen.track.track]
                    found = crop(again.picture, box.xywh, sizes[again.media_id], MARGIN)
                    picture = shrunk(found.picture, SIDE)
                    name = f"{chosen.kind.replace(' ', '_')}/{again.media_id}_{chosen.track.track}.jpg"
                    shape = {"width": picture.shape[1], "height": picture.shape[0], "box": found.box}
                    yield TrackPicture(chosen=chosen, file=name, **shape), jpeg(picture)

    with replacing(pictures, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        write_pictures(archive, sorted(cut(), key=lambda made: all_chosen.index(made[0].chosen)))


def _surest(csv: Path, chosen: Sequence[ChosenTrack]) -> Mapping[int, TrackBox]:
    """Return the box of each track's best frame, by the track's number."""
    best = {one.track.track: one.track.best_frame for one in chosen}
    return {box.track: box for box in read_tracks(csv) if best.get(box.track) == box.frame and not box.interpolated}


if __name__ == "__main__":
    job.run(crop_tracks, snakemake)  # type: ignore[name-defined]
