"""Parts of a video that the processes of a job read at the same time; each is a task, and their files are joined."""

import logging
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from scripts.lib.detection.job_media import Fetched, MediaInJob
from scripts.lib.detection.joining import join
from scripts.lib.detection.media_results import OutcomeRecord
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask, PartOfFile, ResultOutput
from scripts.lib.detection.network import Network
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.folder_source.local_media import changed
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.parts import Part
from scripts.lib.frames.source import FrameSource, Summary
from scripts.lib.workflow.processes import memory

# The least frames of a part, as each part costs as much as some twenty frames; and the frames per process from which
# on there are two parts per process, so that all processes finish at about the same time.
_LEAST_FRAMES, _FOR_TWO_PARTS = 150, 6000
# A decoder with two threads is as fast as two processes that are busy for this share of the time (measured in 4K), and
# several threads of one are assumed to be less than this many times as fast as one.
_LEAST_SHARE_BUSY, _LEAST_GAIN = 0.8, 4
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


def uses_all_processes(parts: Sequence[Part], processes: int) -> bool:
    """Return whether parts keep processes busy enough to be faster than the threads of one decoder.

    Key frames may be rare, and so some parts much longer than others.

    Args:
        parts: the parts of the only video.
        processes: the number of processes that read them, each the next one when it is free.
    """
    frames = [0] * processes
    for part in parts:
        frames[frames.index(min(frames))] += part.frames
    return sum(frames) >= min(_LEAST_SHARE_BUSY * processes, _LEAST_GAIN) * max(frames)


class VideoInParts:
    """A video in parts that are read at the same time.

    Attributes:
        work: the video.
        fetched: the result of its download.
        path: path of its file.
        network: the network to detect with.
        frames: number of its frames.
        files: the files of each part.
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
        self.files = [
            DetectionOutputs(*(folder / f"{number}.{suffix}" for suffix in ("csv", "json", "zip")))
            for number in range(len(parts))
        ]
        self._unread, self._unfinished = set(range(len(parts))), len(parts)
        folder.mkdir()

    def tasks(self) -> Iterator[MediaTask]:
        """Yield a task for each part."""
        share = Fraction(1, len(self._parts))
        for number, part in enumerate(self._parts):
            yield MediaTask(_PartInput(self, part, number), _PartResults(self, part, number), share=share)

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
        fault = changed(self.work.wanted, self.path)
        why = (
            fault.reason
            if fault
            else join(self._parts, self.files, self.work.outputs, self.network.options, self.work.wanted.fps)
        )
        if why is None:
            self._joined()
        else:
            _log.info("media %d is read again in one piece: %s", self.work.media_id, why)


class _PartInput(FrameInput):
    """The frames of a part, which a process reads."""

    def __init__(self, video: VideoInParts, part: Part, number: int) -> None:
        super().__init__()
        outputs, wanted = video.files[number], video.work.wanted
        self.part = PartOfFile(video.path, part, video.network.options.wanted, wanted, outputs)
        self._video, self._number = video, number

    @property
    def expected(self) -> int:
        """Number of frames of the whole video."""
        return self._video.frames

    def open(self) -> FrameSource:
        """Raise, as only a process opens the part."""
        raise RuntimeError("a part of a video is read by a process")

    def open_again(self) -> FrameSource:
        """Raise, see `open`."""
        return self.open()

    def release(self) -> None:
        """Record that the part was read."""
        self._video.read(self._number)


class _PartResults(ResultOutput):
    """The results of a part, whose process has written the files except for the record."""

    def __init__(self, video: VideoInParts, part: Part, number: int) -> None:
        work, network = video.work, video.network
        self._record = OutcomeRecord(
            *(video.files[number], work.wanted, video.fetched.record, network), part=part, synced=False
        )
        self._video = video

    def take(self, found: Sequence[FrameResult]) -> None:
        """Raise, as the process adds the frames."""
        raise RuntimeError("frames of a part are added by its process")

    def restart(self) -> None:
        """Raise, see `take`."""
        raise RuntimeError("a part is read once")

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the record of the part; after the last part, the files of the video."""
        self._record.write(frames, counters)
        self._video.finish()

    def abandon(self, error: BaseException) -> None:
        """Do nothing, as the folder of the parts is removed."""
