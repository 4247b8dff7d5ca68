"""Pictures of a job that are decoded several at a time, and videos that are opened before their turn; both in order."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import av.logging

from scripts.lib import memory
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import FrameSource, Picture, Summary
from scripts.lib.frames.stills.pictures import StillFrames

# The share of the free memory that pictures may take while they are decoded and wait; a larger one goes by itself.
_SHARE = 0.5

Opener = Callable[[], FrameSource]
_log = logging.getLogger(__name__)


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


class _Coming(NamedTuple):
    """The next media.

    Attributes:
        task: whose it is.
        source: its frames, where they were opened already.
    """

    task: MediaTask
    source: FrameSource | None = None

    def open(self) -> FrameSource:
        """Return its frames, opened."""
        return self.task.frames.open() if self.source is None else self.source


Ahead = Future[_Coming | None]


def opened_ahead(tasks: Iterable[MediaTask], threads: int) -> Iterator[tuple[MediaTask, Opener]]:
    """Yield each task, in order, with what opens its frames; pictures are decoded meanwhile, and the next video opened.

    As many pictures as there are threads are under way, and less where they would take more than half of the memory
    that the job has left. Opening a video takes as long as decoding some of its pictures with one thread.

    Args:
        tasks: taken one by one, by this thread or another one.
        threads: how many pictures are decoded at once; with one nothing is decoded or opened ahead.
    """
    if threads < 2:
        yield from ((task, task.frames.open) for task in tasks)
        return
    left = iter(tasks)
    waiting: deque[_Waiting] = deque()
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, "pictures")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        coming = _next(left)
        while coming is not None:
            task = coming.task
            if not task.frames.is_picture:
                yield from _given_out(waiting, 0)
                following = _in_background(_next_opened, left)
                try:
                    yield task, coming.open
                except GeneratorExit:
                    following.add_done_callback(_give_up)
                    raise
                coming = following.result()
                continue
            coming = None
            try:
                source = task.frames.open()
                if not isinstance(source, StillFrames):
                    raise TypeError(f"a picture's frames are {type(source).__name__}; expected StillFrames")
                source.load()
            except MediaFault as fault:
                yield from _given_out(waiting, 0)
                yield task, _fails_with(MediaFault(fault.state, fault.reason))
                coming = _next(left)
                continue
            task.frames.release()
            most = memory.left() * _SHARE
            while waiting and sum(each.held for each in waiting) + source.bytes_needed > most:
                yield from _given_out(waiting, len(waiting) - 1)
            yield from _given_out(waiting, threads - 1)
            waiting.append(_Waiting(task, pool.submit(_decode, source), source.bytes_needed))
            coming = _next(left)
        yield from _given_out(waiting, 0)


def _next(tasks: Iterator[MediaTask]) -> _Coming | None:
    """Return the next task, None where there is none left."""
    task = next(tasks, None)
    return None if task is None else _Coming(task)


def _next_opened(tasks: Iterator[MediaTask]) -> _Coming | None:
    """Return the next task, opened where it is a video; what goes wrong with that comes again when it is its turn."""
    coming = _next(tasks)
    if coming is None or coming.task.frames.is_picture or not coming.task.frames.opens_ahead:
        return coming
    try:
        # Words about this file are not to be taken for the decoder's about another one.
        with av.logging.Capture():
            return coming._replace(source=coming.task.frames.open())
    except Exception as error:
        _log.info("it is opened again when it is its turn: %s", error)
        return coming


def _in_background(work: Callable[[Iterator[MediaTask]], _Coming | None], tasks: Iterator[MediaTask]) -> Ahead:
    """Have work done by a thread of its own, which does not hold up the end of the process."""
    found: Ahead = Future()

    def run() -> None:
        try:
            found.set_result(work(tasks))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, name="opener", daemon=True).start()
    return found


def _give_up(ahead: Ahead) -> None:
    """Close what was opened and is not read."""
    if ahead.exception() is None and (coming := ahead.result()) is not None and coming.source is not None:
        coming.source.close()


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
