"""Which media share a job, and which have several."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.lib import json_text
from scripts.lib.errors import PipelineError
from scripts.lib.files import sha256, write_bytes, write_json
from scripts.lib.records import MediaRecord


@dataclass(frozen=True)
class SharedJob:
    """The arguments of a shared job beyond those of a job of one media.

    Attributes:
        batch: where the hashes of what it makes go, for the jobs that take all media.
        finished: the folder for what is finished, see result_cache.py.
        code_hash: of the program, a part of the keys of what is finished.
    """

    batch: Path
    finished: Path
    code_hash: str


# The files of each media that rules take of all media, and which job of shared ones makes them.
OF_EACH_MEDIA = {
    "records": ("resources/records/{media_id}.json", "resolved"),
    "detections": ("results/detections/{media_id}.csv", "detected"),
    "outcomes": ("results/detections/{media_id}.json", "detected"),
    "previews": ("results/previews/{media_id}.zip", "detected"),
    "uploads": ("results/uploads/{media_id}.json", "uploaded"),
}
# Likewise, where track.enabled asks for tracks.
OF_EACH_TRACKED_MEDIA = {
    "track_boxes": ("results/tracks/{media_id}.csv", "tracked"),
    "tracks": ("results/tracks/{media_id}.json", "tracked"),
}
# Likewise, where upload.track_type_id asks for tracks in Tator.
OF_EACH_MEDIA_WITH_TRACKS_IN_TATOR = {
    "track_uploads": ("results/track_uploads/{media_id}.json", "tracks_uploaded"),
}
EVERY_FILE_OF_EACH_MEDIA = OF_EACH_MEDIA | OF_EACH_TRACKED_MEDIA | OF_EACH_MEDIA_WITH_TRACKS_IN_TATOR
# `auto`: about so many jobs, of four threads each, in a run that is soon done; more where they would become long.
_JOBS, _MOST = 4, 1024
# Of very many media about so many jobs, for the plan's cost is that of the jobs; up to so many media in one.
_MANY_JOBS, _MOST_OF_MANY = 64, 8192
# Without a setting: up to so many media each has a job of its own, more of them share jobs as with `auto`.
MOST_ALONE = 1000


def media_per_job(setting: int | str | None, count: int) -> int:
    """Return how many media at most share a job.

    Args:
        setting: a number; `auto`, which gives each media of a small run a job of its own; None is 1 in a run of at most
            MOST_ALONE media, `auto` in a larger one.
        count: media of the run.
    """
    if isinstance(setting, int):
        return setting
    if count < 2 * _JOBS or (setting is None and count <= MOST_ALONE):
        return 1
    # Batches have half as many on average.
    few, many = (1 << (2 * count // jobs).bit_length() for jobs in (_JOBS, _MANY_JOBS))
    return max(min(_MOST, few), min(_MOST_OF_MANY, many))


def part_count(record: MediaRecord, seconds: float) -> int:
    """Return how many jobs detect in a media: one for each so many seconds of a video.

    Args:
        record: what resolve_media wrote.
        seconds: at least 1.
    """
    if record.state != "ready" or record.kind != "video" or not (record.num_frames and record.fps):
        return 1
    return max(1, math.ceil(float(record.num_frames) / float(record.fps) / seconds))


def of_parts(pattern: str, record: MediaRecord, seconds: float) -> list[str]:
    """Return the pattern's file for each part of a media, once; none for a media of one part.

    Args:
        pattern: with `{media_id}`, and `{part}` where each part has a file of its own.
        record: what resolve_media wrote.
        seconds: how long a part is, about.
    """
    count = part_count(record, seconds)
    found = [pattern.format(media_id=record.media_id, part=part) for part in range(count)]
    return list(dict.fromkeys(found)) if count > 1 else []


def batches(media_ids: Iterable[int], most: int) -> list[list[int]]:
    """Cut media into batches of at most `most`, half as many on average.

    Where one ends is a property of the media's numbers, not of their count: one media more or less changes one batch,
    so that a run which grows does again only what is new.
    """
    found: list[list[int]] = []
    batch: list[int] = []
    for media_id in sorted(media_ids):
        batch.append(media_id)
        if len(batch) == most or _ends_here(media_id, most):
            found.append(batch)
            batch = []
    return [*found, batch] if batch else found


def write_hashes(batch: Path, files: Iterable[Path]) -> None:
    """Write what a job has made, in one file that changes when any of its files does; dates are noted beside it."""
    made = list(files)
    hashes = {hash_key(path): sha256(path) for path in made}
    note_times(batch, made)
    write_json(batch, hashes)


def hash_key(path: Path | str) -> str:
    """Return under which name a file of hashes has a file: not the whole path, as a storage has its own."""
    return "/".join(str(path).rsplit("/", 2)[-2:])


def note_times(batch: Path, files: Iterable[Path]) -> None:
    """Note date and size of each file that a job has made; not in the hashes, which change by content alone."""
    states = {hash_key(path): path.stat() for path in files}
    place = _times(batch)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(place, json.dumps({key: [state.st_mtime_ns, state.st_size] for key, state in states.items()}).encode())


def times_of(batch: Path) -> dict[str, list[int]]:
    """Return what `note_times` wrote; nothing for a job of a version that did not, or if it cannot be read."""
    try:
        noted: dict[str, list[int]] = json_text.parse(_times(batch).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return noted


def _times(batch: Path) -> Path:
    return batch.parent / "times" / batch.name


def require(files: Iterable[Path]) -> None:
    """Refuse to begin without what the jobs before have made: Snakemake looks only for their file of hashes.

    Raises:
        PipelineError: a file is missing.
    """
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise PipelineError(
            f"{missing[0]}: it is gone, as are {len(missing) - 1} others; "
            "run the same command again, which makes what is gone"
        )


def _ends_here(media_id: int, most: int) -> bool:
    digest = hashlib.blake2b(str(media_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % max(1, most // 2) == 0
