"""The pictures of an original, under the numbers and in the orientation in which Tator shows them."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import av.video.frame
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.conversion import Turning
from scripts.lib.frames.rotation import display_matrix, upright
from scripts.lib.frames.shown import Shown, turned
from scripts.lib.frames.source import ALL_FRAMES, DeferredPicture, Picture, log
from scripts.lib.frames.timeline import FrameTimes
from scripts.lib.frames.video import VideoFrames

# An hour at 28 pictures a second. Beyond it a time in the file is wrong, and boxes would be written without end.
_MOST_NUMBERS = 100_000


class OriginalFrames(VideoFrames):
    """The frames of an original, with the numbers of Tator's streaming copies.

    A picture with several numbers is returned once, with the first requested one; `numbers` returns the others.
    A picture without a number is left out. If the original's times are even, each picture has its own number.
    """

    def __init__(self, path: Path, shown: Shown, wanted: range = ALL_FRAMES, threads: int = 1) -> None:
        """Open the file.

        Args:
            path: the original.
            shown: what Tator shows of it.
            wanted: the numbers asked for.
            threads: with how many to decode at most.
        """
        super().__init__(path, wanted, threads)
        self._shown = shown
        self._timeline = self.timeline(shown)  # None if the file has no rate: its frames are counted then
        self._numbers: dict[int, Sequence[int]] = {}
        if self._timeline is not None:
            self.summary.numbered = 0
            self._completeness.next_frame = None

    def numbers(self, number: int) -> Sequence[int]:
        """Return all numbers, of those asked for, of the picture that was given out under this one; ask once."""
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
                yield from self._give(before, numbers)
                if numbers and numbers.stop > self._wanted[-1]:
                    self._check_last_packets()
                    return  # the rest is not asked for
            before = frame
        if before is not None:
            yield from self._give(before, self._timeline.finish(self.shown_until(before.pts), self._shown.count))
            if self.summary.numbers > self._wanted[-1]:
                return
        self._end()

    def _give(
        self, frame: av.video.frame.VideoFrame, numbers: range
    ) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        summary = self.summary
        if len(numbers) > _MOST_NUMBERS:
            raise MediaFault(
                "unreadable",
                f"by its times one picture stands at {len(numbers)} numbers, from {numbers.start} on; expected at most "
                f"{_MOST_NUMBERS}: the original has a wrong time, choose media.file: streaming",
            )
        asked = [number for number in numbers if number in self._wanted]
        summary.numbered = max(summary.numbered or 0, numbers.stop)
        summary.repeated += len(numbers) > 1
        summary.left_out += not numbers
        # The first one tells the media's size, whether it is asked for or not.
        picture = self._upright(frame) if asked or summary.decoded == 0 else None
        summary.add_frame(picture if isinstance(picture, np.ndarray) else None, used=bool(asked))
        if asked and picture is not None:
            if len(asked) > 1:
                self._numbers[asked[0]] = asked
            yield asked[0], picture

    def _turn(self, frame: av.video.frame.VideoFrame) -> Turning | None:
        """Return what turns frames of this one's angle as Tator's copy is turned."""
        matrix = display_matrix(frame, self._codec)
        degrees = self._shown.turn(self.tag, matrix, frame.width, frame.height)
        if degrees is None or matrix is not None:
            log.info("the original's pictures are turned by %s", _words(degrees))
        self.summary.turned = degrees
        if degrees is not None:
            return partial(turned, degrees=degrees)
        return None if matrix is None else partial(upright, matrix=matrix)


def _words(turn: int | None) -> str:
    return "their display matrix" if turn is None else f"{turn} degrees, as in Tator's copy"
