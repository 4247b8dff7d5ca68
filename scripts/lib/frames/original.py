"""Read the pictures of an original with the numbers and the orientation with which Tator shows them."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import av.video.frame
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.conversion import Turning
from scripts.lib.frames.rotation import upright
from scripts.lib.frames.shown import Shown, turned
from scripts.lib.frames.source import ALL_FRAMES, DeferredPicture, Picture, log
from scripts.lib.frames.timeline import FrameTimes
from scripts.lib.frames.video import VideoFrames

# One hour at 28 pictures per second. A picture with more numbers has a wrong time, and would get endless boxes.
_MOST_NUMBERS = 100_000


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
        if len(numbers) > _MOST_NUMBERS:
            raise MediaFault(
                "unreadable",
                f"by its times one picture stands at {len(numbers)} numbers, from {numbers.start} on; expected at most "
                f"{_MOST_NUMBERS}: the original has a wrong time, choose media.file: streaming",
            )
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

    def _turn(self, frame: av.video.frame.VideoFrame) -> Turning | None:
        """Return the function that turns frames with this one's angle as Tator's copy is turned."""
        matrix = self.matrix_of(frame)
        degrees = self._shown.turn(self.tag, matrix, frame.width, frame.height)
        if degrees is None or matrix is not None:
            log.info("the original's pictures are turned by %s", _described(degrees))
        self.summary.turned = degrees
        if degrees is not None:
            return partial(turned, degrees=degrees)
        return None if matrix is None else partial(upright, matrix=matrix)


def _described(degrees: int | None) -> str:
    return "their display matrix" if degrees is None else f"{degrees} degrees, as in Tator's copy"
