"""Parts of a video that the processes of a job read at the same time; each is a task, and the results are joined."""

import logging
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from scripts.lib import memory
from scripts.lib.detection.job_media import Fetched, MediaInJob
from scripts.lib.detection.joining import join
from scripts.lib.detection.media_detection import DetectionOutputs, MediaResults
from scripts.lib.detection.media_frames import MediaFrames
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask, PartOfFile
from scripts.lib.detection.network import Network
from scripts.lib.frames.parts import Part
from scripts.lib.frames.source import Summary

# The least frames of a part, as each part costs as much as some ten frames; and the frames per process from which on
# there are two parts per process, so that all processes finish at about the same time.
_LEAST_FRAMES, _FOR_TWO_PARTS = 300, 6000
# A decoder's memory in bytes per pixel of a frame, and the share of the free memory that all decoders may use.
_DECODER_BYTES, _SHARE = 50, 0.25

_log = logging.getLogger(__name__)


def part_count(summary: Summary, processes: int, asked: range) -> int:
    """Return the number of parts of a video; 1 if cutting it would not make detection faster.

    Args:
        summary: the summary of the video's frames after the first one was decoded.
        processes: the number of processes that read parts.
        asked: the numbers of the frames to detect in.
    """
    frames = summary.expected or 0
    if asked[-1] < frames - 1:
        return 1  # the last parts would have no wanted frames
    in_memory = int(memory.left() * _SHARE / (_DECODER_BYTES * summary.width * summary.height))
    if in_memory < processes:
        return 1
    parts = 2 * processes if frames >= processes * _FOR_TWO_PARTS else processes
    return max(1, min(parts, frames // _LEAST_FRAMES))


class VideoInParts:
    """A video in parts that are read at the same time.

    Attributes:
        work: the video.
        fetched: the result of its download.
        path: path of its file.
        network: the network to detect with.
        frames: number of its frames.
    """

    def __init__(
        self,
        work: MediaInJob,
        fetched: Fetched,
        network: Network,
        parts: Sequence[Part],
        *,
        folder: Path,
        joined: Callable[[], None],
    ) -> None:
        """Create the folder; nothing is opened yet.

        Args:
            work: the video.
            fetched: the result of its download; its file is released when all parts are read.
            network: the network to detect with.
            parts: the parts, two or more.
            folder: path of a new folder, for the files of the parts.
            joined: function that is called when the outputs are written.
        """
        if isinstance(fetched.media, bytes):
            raise TypeError("parts are read from a file")
        self.work, self.fetched, self.network, self.path = work, fetched, network, fetched.media
        self.frames = sum(part.frames for part in parts)
        self._parts, self._joined = parts, joined
        self._files = [
            DetectionOutputs(*(folder / f"{number}.{suffix}" for suffix in ("csv", "json", "zip")))
            for number in range(len(parts))
        ]
        self._unread, self._unfinished = set(range(len(parts))), len(parts)
        folder.mkdir()

    def tasks(self) -> Iterator[MediaTask]:
        """Yield a task for each part."""
        share = Fraction(1, len(self._parts))
        for number, (part, files) in enumerate(zip(self._parts, self._files, strict=True)):
            yield MediaTask(_PartInput(self, part, number), _PartResults(self, part, files), share=share)

    def read(self, number: int) -> None:
        """Record that a part was read; release the video's file after the last part."""
        self._unread.discard(number)
        if not self._unread and self.fetched.release is not None:
            self.fetched.release()

    def finish(self) -> None:
        """Record that the results of a part are written; after the last part, join them."""
        self._unfinished -= 1
        if self._unfinished:
            return
        why = join(self._parts, self._files, self.work.outputs, self.network.options, self.work.wanted.fps)
        if why is None:
            self._joined()
        else:
            _log.info("media %d is read again in one piece: %s", self.work.media_id, why)


class _PartInput(MediaFrames):
    """The frames of a part."""

    def __init__(self, video: VideoInParts, part: Part, number: int) -> None:
        asked = video.network.options.wanted
        super().__init__(video.path, video.work.wanted, video.fetched.record, asked, part)
        self.part = PartOfFile(video.path, part, asked)
        self._video, self._number = video, number

    @property
    def expected(self) -> int:
        """Number of frames of the whole video."""
        return self._video.frames

    def release(self) -> None:
        """Record that the part was read."""
        self._video.read(self._number)


class _PartResults(MediaResults):
    """Writes the files of a part."""

    def __init__(self, video: VideoInParts, part: Part, files: DetectionOutputs) -> None:
        wanted, fetched = video.work.wanted, video.fetched.record
        super().__init__(files, wanted=wanted, fetched=fetched, network=video.network, part=part, synced=False)
        self._video = video

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the files of the part; after the last part, those of the video."""
        self._write(frames, counters)
        self._video.finish()
