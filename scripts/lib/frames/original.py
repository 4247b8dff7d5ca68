"""Read the pictures of an original with the numbers and the orientation with which Tator shows them."""

from array import array
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import av.error
import av.video.frame
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg, messages
from scripts.lib.frames.conversion import Turning
from scripts.lib.frames.rotation import upright
from scripts.lib.frames.shown import Shown, turned
from scripts.lib.frames.source import ALL_FRAMES, DeferredPicture, Picture, log
from scripts.lib.frames.timeline import FrameTimes, Timeline
from scripts.lib.frames.video import VideoFrames

# One hour at 28 pictures per second. A picture with more numbers has a wrong time, and would get endless boxes.
_MOST_NUMBERS = 100_000
_NO_TIMES = 0x80  # AVFMT_NOTIMESTAMPS: files of this format have no times


class OriginalFrames(VideoFrames):
    """The frames of an original, with the numbers of Tator's streaming copies.

    A picture with several numbers is returned once, with the first requested one; `numbers` returns all of them.
    A picture without a number is left out. If the original's times are regular, each picture has exactly one number.
    """

    def __init__(self, path: Path, shown: Shown, wanted: range = ALL_FRAMES, threads: int = 1) -> None:
        """Open the file.

        Args:
            path: the original.
            shown: how Tator shows the video.
            wanted: the numbers of the pictures to return.
            threads: largest number of decoding threads.
        """
        super().__init__(path, wanted, threads)
        self._shown = shown
        self._timeline = self.timeline(shown)  # None if the file has no rate: then its frames are counted
        self._numbers: dict[int, Sequence[int]] = {}
        if self._timeline is not None:
            self.summary.numbered = 0
            self._completeness.next_frame = None

    def numbers(self, number: int) -> Sequence[int]:
        """Return all requested numbers of the picture that was returned with this number; call it once per picture."""
        return self._numbers.pop(number, (number,))

    def _pictures(self) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        if self._timeline is None:
            yield from super()._pictures()
            return
        if (timeline := self.timeline(self._shown)) is not None:
            self._check_times(timeline)
        before: av.video.frame.VideoFrame | None = None
        times = FrameTimes(of_decoding=self.is_avi)
        for frame in self._frames():
            self._check_frame(frame)
            numbers = self._timeline.add(times.of(frame.pts, frame.dts), frame.duration)
            if before is not None:
                yield from self._numbered(before, numbers)
                if numbers and numbers.stop > self._wanted[-1]:
                    self._check_last_packets()
                    return  # no later picture is wanted
            before = frame
        if before is not None:
            yield from self._numbered(before, self._timeline.finish(self.shown_until(before.pts), self._shown.count))
            if self.summary.numbers > self._wanted[-1]:
                return
        self._end()

    def _numbered(
        self, frame: av.video.frame.VideoFrame, numbers: range
    ) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        """Count a frame; yield its picture if one of its numbers is wanted."""
        summary = self.summary
        self._check_numbers(numbers)
        wanted = [number for number in numbers if number in self._wanted]
        summary.numbered = max(summary.numbered or 0, numbers.stop)
        summary.repeated += len(numbers) > 1
        summary.left_out += not numbers
        # The first picture is always converted, as it gives the media's size.
        picture = self._upright(frame) if wanted or summary.decoded == 0 else None
        summary.add_frame(picture if isinstance(picture, np.ndarray) else None, used=bool(wanted))
        if wanted and picture is not None:
            if len(wanted) > 1:
                self._numbers[wanted[0]] = wanted
            yield wanted[0], picture

    def _check_times(self, timeline: Timeline) -> None:
        """Check the numbers of all pictures before the first is returned, if the file is long enough for a wrong time.

        Reads the packets of a long file of which the header does not say how many pictures it has.

        Raises:
            MediaFault: `unsupported`.
        """
        duration, stream = self._container.duration, self._stream
        room = None if duration is None else Fraction(duration, av.time_base) * timeline.rate - stream.frames
        untimed = timeline.breaks or self._container.format.flags & _NO_TIMES
        if untimed or (room is not None and room < _MOST_NUMBERS):
            return
        times = array("q")
        with ffmpeg.open_media(self._path) as container, messages.Captured():
            try:
                for packet in ffmpeg.demux(container, container.streams[stream.index]):
                    if self._closed:
                        return
                    time = packet.dts if packet.pts is None or self.is_avi else packet.pts
                    if packet.size and time is not None and not packet.is_discard:
                        times.append(time)
            except av.error.FFmpegError as error:
                log.debug("reading its times: %s", ffmpeg.reason(error))  # decoding reports it
        for time in np.sort(np.frombuffer(times, np.int64)).tolist():
            if timeline.end > self._wanted[-1]:
                return  # no later picture is read
            self._check_numbers(timeline.add(time))

    def _check_numbers(self, numbers: range) -> None:
        """Refuse a video of which a picture has too many numbers.

        Raises:
            MediaFault: `unsupported`, with the remedy.
        """
        if len(numbers) <= _MOST_NUMBERS:
            return
        rate = float(self._timeline.rate) if self._timeline else 0
        rewrite = f"rewrite its times, for example with ffmpeg -i IN -vf setpts=N/{rate:g}/TB OUT"
        raise MediaFault(
            "unsupported",
            f"by its times one picture has {len(numbers)} frame numbers, from {numbers.start} on; expected at most "
            f"{_MOST_NUMBERS}: {'choose media.file: streaming' if self._shown.has_copy else rewrite}",
        )

    def _turn(self, frame: av.video.frame.VideoFrame) -> Turning | None:
        """Return the function that turns frames with this one's angle as Tator's copy is turned."""
        matrix = self.orientation.matrix_of(frame)
        degrees = self._shown.turn(self.tag, matrix, frame.width, frame.height)
        if degrees is None or matrix is not None:
            log.info("the original's pictures are turned by %s", _described(degrees))
        self.summary.turned = degrees
        if degrees is not None:
            return partial(turned, degrees=degrees)
        return None if matrix is None else partial(upright, matrix=matrix)


def _described(degrees: int | None) -> str:
    return "their display matrix" if degrees is None else f"{degrees} degrees, as in Tator's copy"
