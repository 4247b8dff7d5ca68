"""The flow of detection: frames in, boxes out, memory flat.

A thread reads, pads and resizes frames into a few batches of fixed size; the caller's thread hands them to the
engine, which works while the thread reads on, and writes what comes back, in order. The batches are used again and
again: a reader that is ahead waits for one to come free. Nothing else waits, so nothing can hang.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from scripts.lib import retinanet
from scripts.lib.backends.base import Engine
from scripts.lib.errors import GraphError
from scripts.lib.frames.source import FrameSource, Summary
from scripts.lib.retinanet import Floats, Integers, Pixels, Size

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5

# frame number, boxes (n, 4) in thousandths of a media pixel, labels (n,), scores (n, C)
Write = Callable[[int, Integers, Integers, Floats], None]
# frame number, the frame as the network saw it less the padding, the media's size, and what Write gets
Look = Callable[[int, Pixels, Size, Integers, Integers, Floats], None]


@dataclass
class Counts:
    """What a run gave.

    Attributes:
        frames: frames through the network.
        boxes: boxes written.
        boxes_without_area: boxes left out because nothing of them lies within the picture.
    """

    frames: int = 0
    boxes: int = 0
    boxes_without_area: int = 0


class Stopwatch:
    """Where the time of one thread goes.

    Attributes:
        seconds: by stage, in the order of their first ends.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """End a stage: what passed since the last call was its time."""
        now = time.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


@dataclass
class Batch:
    """Frames ready for the engine.

    Attributes:
        pixels: (N, H, W, 3); the places after the last frame are black.
        numbers: the frames' numbers.
        sizes: the frames' sizes before they were fitted.
    """

    pixels: Pixels
    numbers: list[int] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)


def detect_frames(
    frames: FrameSource,
    engine: Engine,
    threshold: float,
    write: Write,
    counts: Counts,
    *,
    look: Look | None = None,
    watch: Stopwatch | None = None,
) -> None:
    """Run every frame that is given out through the network and write its boxes, in order.

    Args:
        frames: the media; read by a thread, until nothing more is given out.
        engine: made for the batches' size.
        threshold: the least score of a box.
        write: called once for each frame that has boxes.
        counts: kept up to date, so that it holds also when the media ends in a fault.
        look: called once for each frame, with or without boxes; the picture it is given does not last.
        watch: is told of the stages `frames` (waiting for them), `network`, `boxes` and `pictures` (looking).

    Raises:
        MediaFault: from the frames.
        GraphError: the network gives what is not a number.
    """
    cv2.setNumThreads(1)  # the other cores are the engine's
    summary = frames.summary
    watch = watch or Stopwatch()
    progress = _Progress(summary)
    under_way: deque[Batch] = deque()
    with BatchReader(frames, engine) as reader:

        def finish() -> None:
            outputs = engine.finish()
            watch.lap("network")
            batch = under_way.popleft()
            media = Size(summary.width, summary.height)
            for index, number in enumerate(batch.numbers):
                found = _select(outputs.boxes[index], outputs.scores[index], number, engine, threshold)
                boxes = retinanet.on_media(found.boxes, network=engine.size, frame=batch.sizes[index], media=media)
                solid = (boxes[:, 2:] > 0).all(axis=1)
                counts.frames += 1
                counts.boxes += int(solid.sum())
                counts.boxes_without_area += int((~solid).sum())
                solid_ones = boxes[solid], found.labels[solid], found.scores[solid]
                if solid.any():
                    write(number, *solid_ones)
                watch.lap("boxes")
                if look is not None:
                    look(number, retinanet.without_padding(batch.pixels[index], batch.sizes[index]), media, *solid_ones)
                watch.lap("pictures")
            reader.give_back(batch)
            progress.report(counts.frames)

        for batch in reader:
            watch.lap("frames")
            progress.start()
            if len(under_way) == engine.depth:
                finish()
            engine.start(batch.pixels)
            watch.lap("network")
            under_way.append(batch)
        while under_way:
            finish()
    if counts.frames != summary.used:
        raise RuntimeError(f"{summary.used} frames given out, {counts.frames} through the network: one was lost")


def _select(boxes: Floats, scores: Floats, number: int, engine: Engine, threshold: float) -> retinanet.Selection:
    """Return a frame's boxes; refuse what a broken network or device gives."""
    if np.isnan(scores).any():
        raise GraphError(f"the network's scores of frame {number} are not all numbers: its weights are broken")
    found = retinanet.select(boxes, scores, threshold, engine.nms)
    if not np.isfinite(found.boxes).all():
        raise GraphError(f"the network's boxes of frame {number} are not all finite: its weights are broken")
    return found


class BatchReader:
    """Fills batches in a thread of its own; iterate over it for batches, and give each one back."""

    def __init__(self, frames: FrameSource, engine: Engine) -> None:
        self._frames = frames
        shape = (engine.batch_size, engine.size.height, engine.size.width, 3)
        # One is filled while another waits and the engine holds its own.
        self._free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        for _ in range(engine.depth + 2):
            self._free.put(Batch(np.zeros(shape, np.uint8)))
        self._full: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._stop = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        self._free.put(Batch(np.empty(0, np.uint8)))  # wakes a thread that waits for one
        self._thread.join(_STOP_SECONDS)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in order; the thread's exception is raised as soon as it is known."""
        while (batch := self._full.get()) is not None and self._error is None:
            yield batch
        if self._error is not None:
            raise self._error

    def give_back(self, batch: Batch) -> None:
        """Let a batch be filled again."""
        self._free.put(batch)

    def _run(self) -> None:
        try:
            for batch in self._batches():
                self._full.put(batch)
        except BaseException as error:
            self._error = error
        finally:
            self._full.put(None)

    def _batches(self) -> Iterator[Batch]:
        batch: Batch | None = None
        for number, picture in self._frames:
            if batch is None:
                batch = self._free.get()
                batch.numbers, batch.sizes = [], []
            if self._stop:
                return
            retinanet.fit(picture, batch.pixels[len(batch.numbers)])
            batch.numbers.append(number)
            batch.sizes.append(Size(picture.shape[1], picture.shape[0]))
            if len(batch.numbers) == len(batch.pixels):
                yield batch
                batch = None
        if batch is not None:
            batch.pixels[len(batch.numbers) :] = 0
            yield batch


class _Progress:
    """A line in the log now and then: how fast, how far, how long still."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._started = self._said = 0.0

    def start(self) -> None:
        """Start the clock with the first batch: reading up to it may have taken long."""
        if not self._started:
            self._started = self._said = time.monotonic()

    def report(self, frames: int) -> None:
        """Say how far it is, when the last line is old enough."""
        now = time.monotonic()
        if now - self._said < PROGRESS_SECONDS:
            return
        self._said = now
        speed = frames / max(now - self._started, 1e-6)
        expected = self._summary.expected
        if expected is None or frames > expected:
            log.info("%d frames, %.1f frames/s", frames, speed)
            return
        about = "" if self._summary.declared else "about "
        left = timedelta(seconds=round((expected - frames) / speed))
        share = 100 * frames // expected
        log.info("%d of %s%d frames (%d %%), %.1f frames/s, %s left", frames, about, expected, share, speed, left)
