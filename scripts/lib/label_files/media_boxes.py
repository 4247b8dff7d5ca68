"""The media of a run with their boxes, frame by frame, for the exports."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from scripts.lib.detections import Detection, read_detections
from scripts.lib.frames.source import frames_used
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord, MediaRecord

# Where neither Tator nor the file says how many frames a second a video has, and a form wants a number.
USUAL_RATE = 25.0
_WITH_FRAMES = ("done", "no detections", "damaged")


class Share(NamedTuple):
    """A box as shares of its picture's sides, within it."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class MediaBoxes:
    """A media with what was found in it.

    Attributes:
        media_id: its number.
        path: of its file below media.folder; of a media in Tator its number and name, fit for a path.
        kind: `image` or `video`; None if it was not read.
        failure: why it has no result; None if it has.
        width: pixels.
        height: pixels.
        rate: frames a second.
        frames: the numbers of the frames that went through the network.
        csv: its boxes.
    """

    media_id: int
    path: str
    kind: str | None
    failure: str | None
    width: int
    height: int
    rate: float
    frames: range
    csv: Path

    @property
    def is_video(self) -> bool:
        """Whether it is one, rather than a picture."""
        return self.kind == "video"

    @property
    def stem(self) -> str:
        """Its path without the suffix."""
        path = PurePosixPath(self.path)
        return str(path.with_suffix("")) if path.suffix else self.path

    def boxes(self) -> Iterator[tuple[int, list[Detection]]]:
        """Yield the frames that hold boxes, with these, in order."""
        for frame, rows in groupby(read_detections(self.csv), key=lambda row: row.frame):
            yield frame, list(rows)

    def share(self, row: Detection) -> Share:
        """Return a box as shares of the picture's sides."""
        left, top = min(row.x / self.width, 1.0), min(row.y / self.height, 1.0)
        right, bottom = min((row.x + row.w) / self.width, 1.0), min((row.y + row.h) / self.height, 1.0)
        return Share(left, top, right - left, bottom - top)


def each_media(records: Sequence[Path], outcomes: Sequence[Path], detections: Sequence[Path]) -> Iterator[MediaBoxes]:
    """Yield the media of a run; files are read one media at a time.

    Args:
        records: the records of resolve_media or list_media.
        outcomes: records of the detection, in the same order.
        detections: CSVs, likewise.
    """
    for record, outcome, csv in zip(records, outcomes, detections, strict=True):
        yield _media(read_record(MediaRecord, record), read_record(DetectionRecord, outcome), csv)


def _media(record: MediaRecord, outcome: DetectionRecord, csv: Path) -> MediaBoxes:
    read = outcome.state in _WITH_FRAMES and outcome.width > 0
    count = outcome.frames.numbers if read else 0
    rate = record.fps or (outcome.numbering.rate if outcome.numbering else None)
    return MediaBoxes(
        media_id=record.media_id,
        path=path_of(record),
        kind=outcome.kind,
        failure=None if read else f"{outcome.state}: {outcome.reason or ''}".rstrip(": "),
        width=outcome.width,
        height=outcome.height,
        rate=rate or USUAL_RATE,
        frames=range(count) if outcome.kind == "image" else frames_used(outcome.asked, count),
        csv=csv,
    )


def path_of(record: MediaRecord) -> str:
    """Return a path for a media: that of its file below media.folder, or of its number and name in Tator."""
    if record.local is not None:
        return record.local.path
    name = PurePosixPath(record.name or "")
    stem, suffix = (re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_")[:80] for part in (name.stem, name.suffix))
    return f"{record.media_id}_{stem}" + (f".{suffix}" if suffix else "")
