"""Parts of a long video that can be decoded independently, with the same frames as in the whole video.

A part begins at a key frame that is shown after all earlier packets' pictures, and ends before the next part's key
frame. Pictures that are stored after that key frame but shown before it (an open group of pictures) belong to the part
before, which reads on until it has them. Formats require that such a key frame can be decoded without earlier
pictures, but some files break that rule (with intra refresh, frames may be marked as key frames that are none). So each
part also decodes the first frames of the next part. Before parts are joined, joining.py checks that both decoded the
same frames there, and that each part has the frames that its packets announce, without an error.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
import av.video.frame
import numpy as np

from scripts.lib.frames import ffmpeg
from scripts.lib.frames.source import ALL_FRAMES, DeferredPicture, Picture, Summary, log
from scripts.lib.frames.video import VideoFrames

if TYPE_CHECKING:
    from scripts.lib.frames.ffmpeg import Packet

# Frames of a part that the part before it decodes too: predicted pictures refer to up to 16 earlier pictures.
SEAM = 16


@dataclass(frozen=True)
class Part:
    """A part of a video.

    Attributes:
        first: number of the part's first frame.
        frames: number of its frames according to its packets.
        packet: number of packets stored before its first packet.
        start: presentation time of its first frame, in the stream's time unit; None for the file's beginning.
        seek: decoding time of that frame, to seek to; None for the file's beginning.
        last: whether the part ends with the file.
        width: width of the video's frame 0 in pixels, after its rotation.
        height: height of the video's frame 0 in pixels, after its rotation.
    """

    first: int
    frames: int
    packet: int
    start: int | None
    seek: int | None
    last: bool
    width: int
    height: int

    @property
    def end(self) -> int:
        """The number of the frame after the part's last frame."""
        return self.first + self.frames


class PartFrames(VideoFrames):
    """The frames of a part, with their numbers in the whole video."""

    def __init__(self, path: Path, part: Part, wanted: range = ALL_FRAMES, threads: int = 1) -> None:
        super().__init__(path, wanted, threads)
        self._part = part
        self.summary.decoded = part.first
        self.summary.width, self.summary.height = part.width, part.height
        self._checks.fixed = None  # plan_parts has checked the container's packets
        inside = range(max(wanted.start, part.first), min(wanted.stop, part.end))
        self.summary.expected = sum(1 for number in inside if number in wanted)
        if part.start is not None:
            self._coded.trust_keys()  # pictures missing after the key frame show that the part cannot begin there
        if part.start is not None and part.seek is not None:
            self._seek(part.seek)

    def _seek(self, place: int) -> None:
        """Seek to the part's beginning; if that fails, the file is read from its start, and packets are skipped."""
        try:
            self._container.seek(place, stream=self._stream)
        except av.error.FFmpegError as error:
            log.info("it cannot be sought in (%s): read from the beginning", ffmpeg.reason(error))

    def _pictures(self) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        if self._part.first <= self._wanted[-1]:
            yield from super()._pictures()

    def packets(self) -> Iterator["Packet"]:
        """Yield the packets from the part's key frame on; skip earlier ones if seeking went to an earlier packet."""
        found = self._part.start is None
        for packet in super().packets():
            if not found and packet.pts == self._part.start:
                found, self._packets = True, self._part.packet + 1
            if found:
                yield packet

    def _frames(self) -> Iterator[av.video.frame.VideoFrame]:
        start, before, summary = self._part.start, None, self.summary
        for frame in super()._frames():
            if start is not None and (frame.pts is None or frame.pts < start):
                continue  # shown before the key frame, and decoded without its references
            if start is not None and before is None:
                self._completeness.gaps.restart()  # the part before counts a gap before this frame
                self._completeness.next_frame = self._part.first + 1
                summary.missing_by_time, summary.first_gap = 0, ""
            if before is not None and frame.pts is not None and frame.pts <= before:
                summary.add_error(f"frame {summary.decoded}", "it is shown before the one before it")
            before = frame.pts
            if not self._part.last and summary.decoded == self._part.end:
                if len(summary.tail_hashes) == SEAM:
                    return
                self._completeness.gaps.stop()  # the next part counts the gaps from here on
                summary.tail_hashes.append(self._digest(frame))
                continue
            if start is not None and len(summary.head_hashes) < SEAM:
                summary.head_hashes.append(self._digest(frame))
            yield frame

    def _digest(self, frame: av.video.frame.VideoFrame) -> str:
        # Of the decoded planes, as the conversion to BGR depends on the processor.
        digest = hashlib.sha256()
        upside_down = any(plane.line_size < 0 for plane in frame.planes)  # such planes cannot be read as an array
        for rows in [self._converter.picture(frame, self._turning_of(frame))] if upside_down else planes(frame):
            digest.update(np.ascontiguousarray(rows).data)
        return digest.hexdigest()

    def _end(self) -> None:
        if self._part.last:
            super()._end()


def planes(frame: av.video.frame.VideoFrame) -> Iterator[np.ndarray]:
    """Yield the bytes of each plane, (rows, bytes per row), without the padding of the rows; for any pixel format."""
    packed = len(frame.planes) == 1
    for number, plane in enumerate(frame.planes):
        inside = [part for part in frame.format.components if part.plane == number]
        if inside:
            bits = frame.format.padded_bits_per_pixel if packed else sum(-(-part.bits // 8) * 8 for part in inside)
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            yield rows[:, : -(-plane.width * bits // 8)]
        else:  # a palette
            yield np.frombuffer(memoryview(plane), np.uint8)[np.newaxis]


class _ListedPackets(VideoFrames):
    """A video with a list of its packets.

    Attributes:
        times: presentation time of each packet; None if it is unknown or the packet is damaged.
        decoded_at: decoding time of each packet; None if it is unknown.
        keys: whether each packet has a key frame.
        shown: whether the picture of each packet is shown.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.times: list[int | None] = []
        self.decoded_at: list[int | None] = []
        self.keys: list[bool] = []
        self.shown: list[bool] = []

    def packets(self) -> Iterator["Packet"]:
        """Yield the packets that were not read yet, and list them."""
        for packet in super().packets():
            self.times.append(None if packet.is_corrupt else packet.pts)
            self.decoded_at.append(packet.dts)
            self.keys.append(packet.is_keyframe)
            self.shown.append(not packet.is_discard)
            yield packet


def plan_parts(path: Path, count: int | Callable[[Summary], int]) -> list[Part]:
    """Return parts of a video with about the same number of frames; read the whole file, but decode one frame.

    There are fewer parts if key frames are rare, and none if the file is damaged or a picture has no presentation time.

    Args:
        path: the media file.
        count: number of parts, or a function that returns it for the summary after the first frame; there are no parts
            if the function returns 1.

    Raises:
        MediaFault: the file cannot be opened, or no frame can be decoded.
    """
    with _ListedPackets(path) as video:
        next(iter(video))
        parts = count(video.summary) if callable(count) else count
        if callable(count) and parts == 1:
            return []
        for _ in video.packets():
            pass
        width, height = video.summary.width, video.summary.height
        times, decoded_at, shown = video.times, video.decoded_at, video.shown
        if video.summary.damaged or None in times:
            return []
    cuts = _cuts(np.array(times, np.int64), np.array(video.keys), np.array(shown), parts)
    ends = [number for _, number in cuts[1:]] + [sum(shown)]
    return [
        Part(
            first=first,
            frames=end - first,
            packet=packet,
            start=times[packet] if packet else None,
            seek=decoded_at[packet] if packet else None,
            last=end == ends[-1],
            width=width,
            height=height,
        )
        for (packet, first), end in zip(cuts, ends, strict=True)
    ]


def _cuts(times: np.ndarray, keys: np.ndarray, shown: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Return the packet number and the frame number of each part's beginning.

    Args:
        times: (P,) presentation time of each packet's picture, in the order in which they are stored.
        keys: (P,) whether the picture is a key frame.
        shown: (P,) whether the picture is shown at all.
        count: number of parts.
    """
    latest_before = np.maximum.accumulate(np.concatenate([times[:1] - 1, times[:-1]]))
    packets = np.flatnonzero(keys & shown & (times > latest_before))
    numbers = np.searchsorted(np.sort(times[shown]), times[packets])
    packets, numbers = packets[numbers > 0], numbers[numbers > 0]
    if not len(packets):
        return [(0, 0)]
    targets = shown.sum() * np.arange(1, count) / count
    nearest = np.unique([np.abs(numbers - target).argmin() for target in targets]).astype(int)
    return [(0, 0), *zip(packets[nearest].tolist(), numbers[nearest].tolist(), strict=True)]
