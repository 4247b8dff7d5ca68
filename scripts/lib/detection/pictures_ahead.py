"""Pictures of a job that are decoded several at a time, and come out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

from scripts.lib import memory
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.errors import MediaFault
from scripts.lib.frames.pictures import StillFrames
from scripts.lib.frames.source import FrameSource, Picture, Summary

# The share of the free memory that pictures may take while they are decoded and wait; a larger one goes by itself.
_SHARE = 0.5

Opener = Callable[[], FrameSource]


class DecodedFrames(FrameSource):
    """The frames of a media that was decoded already."""

    def __init__(self, summary: Summary, frames: list[tuple[int, Picture]], fault: MediaFault | None) -> None:
        """Take what reading a media gave.

        Args:
            summary: of its frames.
            frames: all of them.
            fault: what ended the reading.
        """
        super().__init__()
        self.summary, self._frames, self._fault = summary, frames, fault

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        """Yield the frames."""
        yield from self._frames
        if self._fault is not None:
            raise MediaFault(self._fault.state, self._fault.reason)

    def close(self) -> None:
        """Give up the frames."""
        self._frames = []


class _Waiting(NamedTuple):
    task: MediaTask
    decoded: Future[DecodedFrames]
    held: float


def opened_ahead(tasks: Iterable[MediaTask], threads: int) -> Iterator[tuple[MediaTask, Opener]]:
    """Yield each task, in order, with what opens its frames; pictures are decoded meanwhile.

    As many pictures as there are threads are under way, and less where they would take more than half of the memory
    that the job has left.

    Args:
        tasks: taken one by one; what is no picture only when those before it were read.
        threads: how many pictures are decoded at once; with one nothing is decoded ahead.
    """
    if threads < 2:
        yield from ((task, task.frames.open) for task in tasks)
        return
    waiting: deque[_Waiting] = deque()
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, "pictures")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for task in tasks:
            if not task.frames.is_picture:
                yield from _given_out(waiting, 0)
                yield task, task.frames.open
                continue
            try:
                source = task.frames.open()
                if not isinstance(source, StillFrames):
                    raise TypeError(f"a picture's frames are {type(source).__name__}; expected StillFrames")
                source.load()
            except MediaFault as fault:
                yield from _given_out(waiting, 0)
                yield task, _fails_with(MediaFault(fault.state, fault.reason))
                continue
            most = memory.left() * _SHARE
            while waiting and sum(each.held for each in waiting) + source.bytes_needed > most:
                yield from _given_out(waiting, len(waiting) - 1)
            yield from _given_out(waiting, threads - 1)
            waiting.append(_Waiting(task, pool.submit(_decode, source), source.bytes_needed))
        yield from _given_out(waiting, 0)


def _given_out(waiting: deque[_Waiting], left: int) -> Iterator[tuple[MediaTask, Opener]]:
    """Yield the first of what waits until no more than `left` do."""
    while len(waiting) > left:
        task, decoded, _ = waiting[0]
        yield task, decoded.result
        waiting.popleft()


def _fails_with(fault: MediaFault) -> Opener:
    def fail() -> FrameSource:
        raise fault

    return fail


def _decode(source: StillFrames) -> DecodedFrames:
    frames: list[tuple[int, Picture]] = []
    fault = None
    with source:
        try:
            frames.extend(source)
        except MediaFault as found:
            fault = MediaFault(found.state, found.reason)
    return DecodedFrames(source.summary, frames, fault)
