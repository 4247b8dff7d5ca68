"""The media of a run with their boxes, frame by frame, for the exports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from scripts.lib.detections import Detection, read_detections
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.label_files.names import name_in_files
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.record_files import read_record

# Frames per second of a video whose rate neither Tator nor the file states, as some formats require a number.
USUAL_RATE = 25.0
_WITH_FRAMES = ("done", "no detections", "damaged")


class Share(NamedTuple):
    """A box as shares of the picture's sides, from 0 to 1."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class MediaBoxes:
    """A media with its boxes.

    Attributes:
        media_id: number of the media.
        path: path of the media's file below media.folder; for a media in Tator, a file name made of its id and name.
        kind: `image` or `video`; None if the media was not read.
        failure: the reason why there is no result; None if there is one.
        width: width in pixels.
        height: height in pixels.
        rate: frames per second.
        frames: the frames that went through the network.
        csv: the CSV file of detect.
    """

    media_id: int
    path: str
    kind: str | None
    failure: str | None
    width: int
    height: int
    rate: float
    frames: UsedFrames
    csv: Path

    @property
    def is_video(self) -> bool:
        """Whether the media is a video, not a picture."""
        return self.kind == "video"

    @property
    def stem(self) -> str:
        """The path without its suffix."""
        path = PurePosixPath(self.path)
        return str(path.with_suffix("")) if path.suffix else self.path

    def boxes(self) -> Iterator[tuple[int, list[Detection]]]:
        """Yield each frame that has boxes, in order, with its boxes."""
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
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
    """
    for record, outcome, csv in zip(records, outcomes, detections, strict=True):
        yield _media(read_record(MediaRecord, record), read_record(DetectionRecord, outcome), csv)


def _media(record: MediaRecord, outcome: DetectionRecord, csv: Path) -> MediaBoxes:
    read = outcome.state in _WITH_FRAMES and outcome.width > 0
    rate = record.fps or (outcome.numbering.rate if outcome.numbering else None)
    return MediaBoxes(
        media_id=record.media_id,
        path=path_of(record),
        kind=outcome.kind,
        failure=None if read else f"{outcome.state}: {outcome.reason or ''}".rstrip(": "),
        width=outcome.width,
        height=outcome.height,
        rate=rate or USUAL_RATE,
        frames=UsedFrames.of(outcome) if read else UsedFrames(range(0)),
        csv=csv,
    )


def path_of(record: MediaRecord) -> str:
    """Return a media's path below media.folder, or for a media in Tator a file name made of its id and name."""
    if record.local is not None:
        return record.local.path
    return f"{record.media_id}_{name_in_files(record.name or '')}"
