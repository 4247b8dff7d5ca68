"""Decode several pictures of a job at a time, and open videos before their turn; the order stays the same."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import av.logging

from scripts.lib.detection.media_task import MediaTask
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import FrameSource, Picture, Summary
from scripts.lib.frames.stills.pictures import StillFrames
from scripts.lib.workflow.processes import memory

# The share of the free memory that pictures may use while they are decoded and wait; a larger picture is decoded alone.
_SHARE = 0.5

Opener = Callable[[], FrameSource]
_log = logging.getLogger(__name__)


class DecodedFrames(FrameSource):
    """The frames of a media that was decoded already."""

    def __init__(self, summary: Summary, frames: list[tuple[int, Picture]], fault: MediaFault | None) -> None:
        """Store the result of reading a media.

        Args:
            summary: the summary of its frames.
            frames: all frames.
            fault: the fault that ended the reading, if any.
        """
        super().__init__()
        self.summary, self._frames, self._fault = summary, frames, fault

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        """Yield the frames; then raise the fault, if there is one."""
        yield from self._frames
        if self._fault is not None:
            raise MediaFault(self._fault.state, self._fault.reason)

    def close(self) -> None:
        """Release the frames."""
        self._frames = []


class _Waiting(NamedTuple):
    """A picture that waits for its turn.

    Attributes:
        task: its task.
        decoded: its frame, once decoded.
        held: the memory it uses, in bytes.
    """

    task: MediaTask
    decoded: Future[DecodedFrames]
    held: float


class _NextMedia(NamedTuple):
    """The next media.

    Attributes:
        task: its task.
        source: its frames, if they were opened ahead.
    """

    task: MediaTask
    source: FrameSource | None = None

    def open(self) -> FrameSource:
        """Return its frames; open them if that was not done ahead."""
        return self.task.frames.open() if self.source is None else self.source


_FutureMedia = Future[_NextMedia | None]


def open_ahead(tasks: Iterable[MediaTask], threads: int) -> Iterator[tuple[MediaTask, Opener]]:
    """Yield each task, in order, with a function that opens its frames.

    Meanwhile, pictures are decoded in threads, one in each, and the next video is opened, which takes as long as
    decoding some of its pictures with one thread. If the pictures would use more than half of the memory that the job
    has left, fewer are decoded at once.

    Args:
        tasks: the tasks, taken one by one, by this thread or another one.
        threads: number of pictures decoded at once; with 1, no picture is decoded and no video opened ahead.
    """
    if threads < 2:
        yield from ((task, task.frames.open) for task in tasks)
        return
    left = iter(tasks)
    waiting: deque[_Waiting] = deque()
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, "pictures")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        following = _next(left)
        while following is not None:
            task = following.task
            if not task.frames.is_picture:
                yield from _yield_decoded(waiting, 0)
                opening = _in_background(_next_opened, left)
                try:
                    yield task, following.open
                except GeneratorExit:
                    opening.add_done_callback(_close_unread)
                    raise
                following = opening.result()
                continue
            following = None
            try:
                source = task.frames.open()
                if not isinstance(source, StillFrames):
                    raise TypeError(f"a picture's frames are {type(source).__name__}; expected StillFrames")
                source.load()
            except MediaFault as fault:
                yield from _yield_decoded(waiting, 0)
                yield task, _raising(MediaFault(fault.state, fault.reason))
                following = _next(left)
                continue
            task.frames.release()
            most = memory.left() * _SHARE
            while waiting and sum(each.held for each in waiting) + source.bytes_needed > most:
                yield from _yield_decoded(waiting, len(waiting) - 1)
            yield from _yield_decoded(waiting, threads - 1)
            waiting.append(_Waiting(task, pool.submit(_decode, source), source.bytes_needed))
            following = _next(left)
        yield from _yield_decoded(waiting, 0)


def _next(tasks: Iterator[MediaTask]) -> _NextMedia | None:
    """Return the next task; None if none is left."""
    task = next(tasks, None)
    return None if task is None else _NextMedia(task)


def _next_opened(tasks: Iterator[MediaTask]) -> _NextMedia | None:
    """Return the next task, opened if it is a video; an error of opening it is raised again at its turn."""
    following = _next(tasks)
    if following is None or following.task.frames.is_picture or not following.task.frames.opens_ahead:
        return following
    try:
        # FFmpeg's messages about this file must not be mistaken for messages about the file that is being decoded.
        with av.logging.Capture():
            return following._replace(source=following.task.frames.open())
    except Exception as error:
        _log.info("the next video cannot be opened ahead; it is opened again when the one before it is done: %s", error)
        return following


def _in_background(
    work: Callable[[Iterator[MediaTask]], _NextMedia | None], tasks: Iterator[MediaTask]
) -> _FutureMedia:
    """Run a function in a new daemon thread, which does not delay the end of the process."""
    found: _FutureMedia = Future()

    def run() -> None:
        try:
            found.set_result(work(tasks))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, name="opener", daemon=True).start()
    return found


def _close_unread(opening: _FutureMedia) -> None:
    """Close a media that was opened ahead and will not be read."""
    if opening.exception() is None and (following := opening.result()) is not None and following.source is not None:
        following.source.close()


def _yield_decoded(waiting: deque[_Waiting], left: int) -> Iterator[tuple[MediaTask, Opener]]:
    """Yield waiting pictures, in order, until no more than `left` are waiting."""
    while len(waiting) > left:
        task, decoded, _ = waiting[0]
        yield task, decoded.result
        waiting.popleft()


def _raising(fault: MediaFault) -> Opener:
    def raise_fault() -> FrameSource:
        raise fault

    return raise_fault


def _decode(source: StillFrames) -> DecodedFrames:
    frames: list[tuple[int, Picture]] = []
    fault = None
    with source:
        try:
            frames.extend(source)
        except MediaFault as found:
            fault = MediaFault(found.state, found.reason)
    return DecodedFrames(source.summary, frames, fault)
