"""Decide which media share a job, and which have several jobs."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.errors import PipelineError
from scripts.lib.files import sha256, write_bytes, write_json
from scripts.lib.records import MediaRecord
from scripts.lib.text import json_text


@dataclass(frozen=True)
class SharedJob:
    """The additional arguments of a job that media share.

    Attributes:
        batch: the file to write, with the hashes of the job's outputs, for the jobs that process all media.
        finished: the folder of the cache of results, see result_cache.py.
        code_hash: the hash of the program, which is part of the cache's keys.
    """

    batch: Path
    finished: Path
    code_hash: str


# The files of each media that rules for all media read, and the first word in the name of the file of hashes of the
# shared job that makes them.
OF_EACH_MEDIA = {
    "records": ("resources/records/{media_id}.json", "resolved"),
    "detections": ("results/detections/{media_id}.csv", "detected"),
    "outcomes": ("results/detections/{media_id}.json", "detected"),
    "previews": ("results/previews/{media_id}.zip", "detected"),
    "uploads": ("results/uploads/{media_id}.json", "uploaded"),
}
# The additional ones if track.enabled is set.
OF_EACH_TRACKED_MEDIA = {
    "track_boxes": ("results/tracks/{media_id}.csv", "tracked"),
    "tracks": ("results/tracks/{media_id}.json", "tracked"),
}
# The additional ones if upload.track_type_id is set.
OF_EACH_MEDIA_WITH_TRACKS_IN_TATOR = {
    "track_uploads": ("results/track_uploads/{media_id}.json", "tracks_uploaded"),
}
# The folders of cached uploads of boxes and of tracks (result_cache.py).
UPLOAD_CACHES = (Path("resources/finished_uploads"), Path("resources/finished_track_uploads"))
EVERY_FILE_OF_EACH_MEDIA = OF_EACH_MEDIA | OF_EACH_TRACKED_MEDIA | OF_EACH_MEDIA_WITH_TRACKS_IN_TATOR
# `auto`: about this many jobs, of four threads each, in a short run; more if they would become long.
_JOBS, _MOST = 4, 1024
# With very many media: about this many jobs, since planning takes time for each job, and the most media of a job.
_MANY_JOBS, _MOST_OF_MANY = 64, 8192
# Without a setting, up to this many media have one job each; more share about 64 jobs, enough for a cluster.
MOST_ALONE = 500


def media_per_job(setting: int | str | None, count: int, *, shared_before: bool = False) -> int:
    """Return the largest number of media that share a job.

    Args:
        setting: a number; `auto` for few jobs, and one job for each media in a small run; None for
            1 in a run of at most MOST_ALONE media, and about 64 jobs in a larger one.
        count: number of media of the run.
        shared_before: whether media shared jobs in an earlier run in this folder; without a setting, a run of few media
            is then planned as with `auto`.
    """
    if isinstance(setting, int):
        return setting
    # Batches have half as many on average.
    few, many = (1 << (2 * count // jobs).bit_length() for jobs in (_JOBS, _MANY_JOBS))
    if setting is None and count > MOST_ALONE:
        return min(_MOST_OF_MANY, many)
    if count < 2 * _JOBS or (setting is None and not shared_before):
        return 1
    return max(min(_MOST, few), min(_MOST_OF_MANY, many))


def part_count(record: MediaRecord, seconds: float) -> int:
    """Return the number of detection jobs of a media: one for each `seconds` of a video.

    Args:
        record: the record of resolve_media.
        seconds: the length of a part, at least 1.
    """
    if record.state != "ready" or record.kind != "video" or not (record.num_frames and record.fps):
        return 1
    return max(1, math.ceil(float(record.num_frames) / float(record.fps) / seconds))


def of_parts(pattern: str, record: MediaRecord, seconds: float) -> list[str]:
    """Return the pattern's file for each part of a media, without duplicates; none for a media of one part.

    Args:
        pattern: a path with `{media_id}`, and `{part}` if each part has a separate file.
        record: the record of resolve_media.
        seconds: the approximate length of a part.
    """
    count = part_count(record, seconds)
    found = [pattern.format(media_id=record.media_id, part=part) for part in range(count)]
    return list(dict.fromkeys(found)) if count > 1 else []


def batches(media_ids: Iterable[int], most: int) -> list[list[int]]:
    """Divide media into batches of at most `most`, half as many on average.

    The end of a batch depends on the media's numbers, not on their count: one media more or less changes only one
    batch, so a run that grows repeats little work.
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
    """Write the hashes of a job's files into one file, which changes when any of them does, and store their dates."""
    outputs = list(files)
    hashes = {hash_key(path): sha256(path) for path in outputs}
    write_times(batch, outputs)
    write_json(batch, hashes)


def hash_key(path: Path | str) -> str:
    """Return the key of a file in a file of hashes: its last two parts, as the whole path differs in a storage."""
    return "/".join(str(path).rsplit("/", 2)[-2:])


def write_times(batch: Path, files: Iterable[Path]) -> None:
    """Store date and size of each file of a job; not in the file of hashes, which depends on contents only."""
    states = {hash_key(path): path.stat() for path in files}
    path = _times_path(batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps({key: [state.st_mtime_ns, state.st_size] for key, state in states.items()}).encode())


def read_times(batch: Path) -> dict[str, list[int]]:
    """Return what `write_times` wrote; empty if an older version ran the job, or if the file cannot be read."""
    try:
        times: dict[str, list[int]] = json_text.parse(_times_path(batch).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return times


def _times_path(batch: Path) -> Path:
    return batch.parent / "times" / batch.name


def require(files: Iterable[Path]) -> None:
    """Stop if files of earlier jobs are missing, since Snakemake checks only the jobs' file of hashes.

    Raises:
        PipelineError: a file is missing.
    """
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise PipelineError(
            f"{missing[0]}: it is missing, as are {len(missing) - 1} others; "
            "run the same command again, which makes them again"
        )


def _ends_here(media_id: int, most: int) -> bool:
    digest = hashlib.blake2b(str(media_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % max(1, most // 2) == 0
