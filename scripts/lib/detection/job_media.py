"""The media of a detection job, and the sources of their files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.frames.parts import Part
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.records.record_files import as_content, read_record

# The most bytes of a picture that is downloaded into memory.
IN_MEMORY = 16 * 10**6


@dataclass(frozen=True)
class MediaInJob:
    """One media of the job.

    Attributes:
        wanted: the record of resolve_media.
        media: path of its file, which may not be downloaded yet.
        outputs: the files to write.
        part: the part of a video to detect in; None for the whole media.
    """

    wanted: MediaRecord
    media: Path
    outputs: DetectionOutputs
    part: Part | None = None

    @property
    def media_id(self) -> int:
        """Tator's number of the media."""
        return self.wanted.media_id

    @property
    def size(self) -> int:
        """Size of the file in bytes; 0 if unknown."""
        return (self.wanted.file and self.wanted.file.size) or 0

    @property
    def fits_memory(self) -> bool:
        """Whether the media is a picture that is small enough to be downloaded into memory."""
        return self.wanted.kind == "image" and 0 < self.size <= IN_MEMORY

    @property
    def cache_entry(self) -> tuple[int, dict[str, Any], tuple[Path, ...]]:
        """The arguments of the result cache: the media, its record, and the files of its results."""
        return (
            self.media_id,
            as_content(self.wanted),
            (self.outputs.detections, self.outputs.previews, self.outputs.outcome),
        )


def media_in_job(
    records: Iterable[Path], media: Iterable[Path], outputs: Iterable[DetectionOutputs], part: Part | None = None
) -> list[MediaInJob]:
    """Return the media of a job.

    Args:
        records: the records of resolve_media.
        media: the paths of the media's files, in the same order.
        outputs: the files to write, in the same order.
        part: the part of a video to detect in; None for whole media.
    """
    files = zip(records, media, outputs, strict=True)
    return [MediaInJob(read_record(MediaRecord, record), path, to_write, part) for record, path, to_write in files]


class Fetched(NamedTuple):
    """A media whose download ended.

    Attributes:
        record: the record of its download.
        media: path of its file, or a picture's content.
        release: function to call when the media was read, so that its file can be removed; may be called again.
    """

    record: DownloadRecord
    media: Path | bytes
    release: Callable[[], None] | None = None


class MediaSource(ABC):
    """A source of the files of a job's media.

    Attributes:
        failures: messages about media that could not be downloaded because of a fault that is not the media's.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    @abstractmethod
    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield each media when its file is there.

        The file is kept until it is released, which may be after the next media was requested.
        """


class Downloaded(MediaSource):
    """Files that other jobs downloaded."""

    def __init__(self, downloads: Sequence[Path]) -> None:
        """Store the paths of the records of download_media, one for each media."""
        super().__init__()
        self._downloads = downloads

    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield the media, whose files are all there."""
        found = [read_record(DownloadRecord, path) for path in self._downloads]
        records = {record.media_id: record for record in found}
        for each in work:
            yield each, Fetched(records[each.media_id], each.media)
