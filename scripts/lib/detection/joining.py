"""Join the results of a video's parts into those of detection in one piece."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

from scripts.lib.detection.media_task import TileCounters
from scripts.lib.detection.numbering import with_disagreements
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.outcome import final_state, log_outcome
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.detections import HEADER
from scripts.lib.errors import MediaFault
from scripts.lib.files import replacing
from scripts.lib.frames.parts import Part
from scripts.lib.frames.source import Summary
from scripts.lib.pictures.album import CLIP, POSTER, Album, AlbumPicture, picture_name, write_album
from scripts.lib.pictures.chosen_frames import ChosenFrames
from scripts.lib.pictures.previews import rate
from scripts.lib.records import WITH_RESULT, DetectionRecord, Seams
from scripts.lib.records.detection import TilesUsed
from scripts.lib.records.record_files import read_record, write_record


def join(
    plan: Sequence[Part],
    parts: Sequence[DetectionOutputs],
    outputs: DetectionOutputs,
    options: DetectOptions,
    fps: float | None,
) -> str | None:
    """Write a media's files from those of its parts; return why it has to be processed in one piece instead, or None.

    Args:
        plan: the parts of the video; empty if it could not be cut.
        parts: the files of each part; there may be more than parts.
        outputs: the files to write.
        options: the options of detection.
        fps: the video's frames per second; None if unknown.

    Raises:
        MediaFault: the job of a part failed; the media is processed again from its parts.
    """
    if not plan:
        return "it cannot be cut"
    pieces = list(zip(plan, parts, strict=False))
    records = [read_record(DetectionRecord, files.outcome) for _, files in pieces]
    for part, record in zip(plan, records, strict=True):
        if record.state == "failed":
            raise MediaFault("failed", f"the part from frame {part.first} on: {record.reason}")
    for part, record in zip(plan, records, strict=True):
        if why := _broken(part, record, options.wanted[-1]):
            return f"the part from frame {part.first} on: {why}"
    read = [(part, record) for part, record in zip(plan, records, strict=True) if part.first <= options.wanted[-1]]
    for (_, before), (part, record) in pairwise(read):
        seams = list(zip(_seams(before).tail_hashes, _seams(record).head_hashes, strict=False))
        if not seams or any(one != other for one, other in seams):
            return f"the part from frame {part.first} on needs what is before it"
    with replacing(outputs.detections) as stream:
        stream.write(HEADER + "\n")
        for _, files in pieces:
            with files.detections.open(encoding="utf-8", newline="") as rows:
                rows.readline()
                shutil.copyfileobj(rows, stream)
    _join_albums([Album.open(files.previews) for _, files in pieces], outputs.previews, fps, options.frame_stride)
    record = replace(_joined([record for _, record in read]), parts=len(plan))
    write_record(outputs.outcome, record)
    log_outcome(record, count=True)
    return None


def _seams(record: DetectionRecord) -> Seams:
    if record.seams is None:
        raise ValueError(f"media {record.media_id}: the record of a part has no seams; expected those at both its ends")
    return record.seams


def _broken(part: Part, record: DetectionRecord, last: int) -> str | None:
    """Return why a part may differ from detection in one piece, or None; `last` is the last wanted frame."""
    if record.state not in WITH_RESULT:
        return f"{record.state}: {record.reason}"
    end = max(part.first, min(part.end, last + 1))
    if record.frames.decoded != end:
        return f"it ends with frame {record.frames.decoded - 1}; its packets announce {end - 1}"
    return None


def _joined(records: Sequence[DetectionRecord]) -> DetectionRecord:
    """Return the record of the whole video from the records of the parts that were read."""
    first, last = records[0], records[-1]
    boxes = sum(record.boxes for record in records)
    frames = replace(
        last.frames,
        skipped=first.frames.skipped,  # in later parts, skipped pictures belong to the part before
        used=sum(record.frames.used for record in records),
        missing_by_time=sum(record.frames.missing_by_time or 0 for record in records) or None,
        first_gap=next((record.frames.first_gap for record in records if record.frames.first_gap), None),
    )
    summary = Summary(
        decoded=frames.decoded,
        declared=frames.declared,
        missing=frames.missing,
        skipped=frames.skipped,
        missing_by_time=frames.missing_by_time or 0,
        first_gap=frames.first_gap or "",
        used=frames.used,
        read_to_end=frames.read_to_end,
        width=first.width,
        height=first.height,
    )
    state, reason = final_state(summary, boxes)
    made_with = next((record for record in records if record.network), first)
    stages: Counter[str] = Counter()
    for record in records:
        stages.update(record.stages)
    return replace(
        first,
        state=state,
        reason=with_disagreements(state, reason, last.numbering),
        frames=frames,
        numbering=last.numbering,
        boxes=boxes,
        boxes_without_area=sum(record.boxes_without_area for record in records),
        tiles=_tiles([record.tiles for record in records if record.tiles]),
        network=made_with.network,
        engine=made_with.engine,
        seconds=round(sum(record.seconds for record in records), 3),
        stages={stage: round(seconds, 3) for stage, seconds in stages.items()},
        seams=None,
    )


def _tiles(parts: Sequence[TilesUsed]) -> TilesUsed | None:
    """Return the record of the tiles of all parts; None if tiles were not requested."""
    if not parts:
        return None
    counts = {key: sum(getattr(each, key) for each in parts) for key in asdict(TileCounters())}
    return replace(parts[0], **counts)


def _join_albums(albums: Sequence[Album], path: Path, fps: float | None, stride: int) -> None:
    """Write the best pictures of all albums, and the clip with the most boxes."""
    chosen = ChosenFrames(rate(fps, stride), stride)
    for album in albums:
        for entry in sorted(album.pictures, key=attrgetter("frame")):
            for kind, value in entry.kinds.items():
                chosen.offer(kind, value, entry.frame, partial(_source, album, entry))
    found = chosen.frames()
    if not found and (first := next((album for album in albums if album.pictures), None)):
        found = {first.pictures[0].frame: ((first, first.pictures[0]), first.pictures[0].kinds)}
    files = {picture_name(frame): album.read(picture_name(frame)) for frame, ((album, _), _) in found.items()}
    clips = [(album.clip, album) for album in albums if album.clip is not None]
    clip, best = max(clips, key=lambda each: each[0].boxes, default=(None, None))
    if best is not None:
        files |= {name: best.read(name) for name in (CLIP, POSTER)}
    pictures = [replace(entry, kinds=kinds) for (_, entry), kinds in found.values()]
    write_album(path, pictures, clip, files)


def _source(album: Album, entry: AlbumPicture) -> tuple[Album, AlbumPicture]:
    return album, entry
