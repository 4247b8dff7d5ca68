"""The media of a detection job, and where their files come from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.detection.media_detection import DetectionOutputs
from scripts.lib.frames.parts import Part
from scripts.lib.record_files import as_content, read_record
from scripts.lib.records import DownloadRecord, MediaRecord

# Pictures that no disk needs to see are of so many bytes at most.
IN_MEMORY = 16 * 10**6


@dataclass(frozen=True)
class MediaInJob:
    """One media of the job.

    Attributes:
        wanted: the record of resolve_media.
        media: where its file is, or goes.
        outputs: the files of its detection.
        part: of a video, to detect in only this one.
    """

    wanted: MediaRecord
    media: Path
    outputs: DetectionOutputs
    part: Part | None = None

    @property
    def media_id(self) -> int:
        """Its number."""
        return self.wanted.media_id

    @property
    def size(self) -> int:
        """Its bytes, 0 where they are unknown."""
        return (self.wanted.file and self.wanted.file.size) or 0

    @property
    def fits_memory(self) -> bool:
        """Whether it is a picture, and small enough."""
        return self.wanted.kind == "image" and 0 < self.size <= IN_MEMORY

    @property
    def kept(self) -> tuple[int, dict[str, Any], tuple[Path, ...]]:
        """What the cache takes: the media, what its results depend on, and the files that the job leaves."""
        return (
            self.media_id,
            as_content(self.wanted),
            (self.outputs.detections, self.outputs.previews, self.outputs.outcome),
        )


def media_in_job(
    records: Iterable[Path], media: Iterable[Path], outputs: Iterable[DetectionOutputs], part: Part | None = None
) -> list[MediaInJob]:
    """Return the media of a job by their files, which are in the same order."""
    files = zip(records, media, outputs, strict=True)
    return [MediaInJob(read_record(MediaRecord, record), path, to_write, part) for record, path, to_write in files]


class Fetched(NamedTuple):
    """A media that came.

    Attributes:
        record: of its download.
        media: a file, or a picture's content.
        release: gives the file back when it was read; may be called again.
    """

    record: DownloadRecord
    media: Path | bytes
    release: Callable[[], None] | None = None


class MediaSource(ABC):
    """Where the files of a job's media come from.

    Attributes:
        failures: why media could not be had, where that is not their own fault.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    @abstractmethod
    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield each media when its file is there, by the thread that asks for it.

        Its file stays until it is released, which may be after the next was asked for.
        """


class Downloaded(MediaSource):
    """Files that other jobs downloaded."""

    def __init__(self, downloads: Sequence[Path]) -> None:
        """Name the records of the downloads, in the order of the media."""
        super().__init__()
        self._downloads = downloads

    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield the media; all files are there."""
        found = [read_record(DownloadRecord, path) for path in self._downloads]
        records = {record.media_id: record for record in found}
        for each in work:
            yield each, Fetched(records[each.media_id], each.media)
