"""The flow of detection: frames in, boxes out, memory flat.

A thread reads, pads and resizes the frames of one media after another into a few batches of fixed size; the caller's
thread hands them to the engine, which works while the thread reads on, and hands on what comes back, in order. The
batches are used again and again: a reader that is ahead waits for one to come free. A third thread writes down what was
found in a media, one after another, as disks are slow. The end of one media and the beginning of the next share a
batch.
"""

import logging
import math
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import cv2
import numpy as np

from scripts.lib import retinanet
from scripts.lib.backends.base import Engine
from scripts.lib.errors import GraphError, MediaFault
from scripts.lib.frames.source import FrameSource, Summary
from scripts.lib.progress import Progress
from scripts.lib.retinanet import Floats, Integers, Pixels, Size

# One is filled and one waits while the engine holds two. Where batches are small there are more, so that the reader
# goes on while the network is loaded.
_BATCHES, _BYTES = 4, 64_000_000
# Media that wait to be written down, with some 30 MB of pictures each; the caller's thread waits for the first of more.
_UNWRITTEN = 4
# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Clip(ABC):
    """One media on its way through the network.

    Attributes:
        summary: of its frames; an empty one until they are opened.
        fault: why it cannot be read on, None where it can.
        frames: those that came back from the network.
        boxes: those that were found.
        boxes_without_area: boxes left out because nothing of them lies within the picture.
        stages: seconds of the caller's thread, by what they went into.
    """

    def __init__(self) -> None:
        self.summary = Summary()
        self.fault: MediaFault | None = None
        self.frames = self.boxes = self.boxes_without_area = 0
        self.stages: dict[str, float] = {}

    @abstractmethod
    def open(self) -> FrameSource:
        """Open the frames; called by the reader's thread.

        Raises:
            MediaFault: which becomes `fault`.
        """

    @abstractmethod
    def take(self, seen: "Seen") -> None:
        """Take what was found in a frame, in order; called by the caller's thread."""

    @abstractmethod
    def finish(self) -> None:
        """Write down what was found; called once, after the last frame, by the writer's thread."""

    @abstractmethod
    def abandon(self, error: BaseException) -> None:
        """Remove what is half-written: the run ends with this error."""


class Seen(NamedTuple):
    """What was found in a frame.

    Attributes:
        number: the frame's.
        picture: (h, w, 3) as the network saw it less its padding; does not last.
        media: the size that the boxes refer to.
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
        labels: (n,) classes, from 0.
        scores: (n, C).
    """

    number: int
    picture: Pixels
    media: Size
    boxes: Integers
    labels: Integers
    scores: Floats


class Item(NamedTuple):
    """A frame in a batch: whose it is, its number, and its size before it was fitted."""

    clip: Clip
    number: int
    size: Size


@dataclass
class Batch:
    """Frames ready for the engine.

    Attributes:
        pixels: (N, H, W, 3); what the places after the last frame hold means nothing.
        items: what the frames are.
        ended: clips all of whose frames are in this batch or earlier ones.
    """

    pixels: Pixels
    items: list[Item] = field(default_factory=list)
    ended: list[Clip] = field(default_factory=list)

    @property
    def clips(self) -> list[Clip]:
        """Whose the batch is, once for each frame."""
        return [item.clip for item in self.items] or self.ended


class Stopwatch:
    """Where the time of a thread goes."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self, stage: str, clips: Sequence[Clip]) -> None:
        """End a stage: what passed since the last call was its time, in equal shares."""
        now = time.monotonic()
        for clip in clips:
            clip.stages[stage] = clip.stages.get(stage, 0.0) + (now - self._last) / len(clips)
        self._last = now


class Detector:
    """Runs clips through the network; used once, by one thread."""

    def __init__(self, load: Callable[[], Engine], *, size: Size, batch_size: int, threshold: float) -> None:
        """Prepare; nothing is loaded before the first frame is there.

        Args:
            load: makes the engine ready, for batches of this size.
            size: of the network's input.
            batch_size: frames a batch.
            threshold: the least score of a box.
        """
        self._load = load
        self._shape = (batch_size, size.height, size.width, 3)
        self._threshold = threshold
        self._engine: Engine | None = None
        self._watch = Stopwatch()
        self._open: dict[Clip, None] = {}
        self._progress: Progress | None = None
        self._expected, self._frames, self._ended = 1, 0, 0

    def run(self, clips: Iterable[Clip], expected: int = 1) -> None:
        """Run every frame of every clip through the network; each clip gets its boxes, in order, and is finished.

        Args:
            clips: taken one by one by the reader's thread.
            expected: how many there will be, for saying how far it is.

        Raises:
            GraphError: the network gives what is not a number.
            Exception: whatever else goes wrong with the frames or in a clip; what was not finished is abandoned.
        """
        cv2.setNumThreads(1)  # the other cores are the engine's
        self._expected = expected
        under_way: deque[Batch] = deque()
        try:
            with Writer(self._open) as writer, BatchReader(clips, self._shape) as reader:
                for batch in reader:
                    self._watch.lap("frames", batch.clips)
                    # Reading up to the first batch may have taken long.
                    self._progress = self._progress or Progress("media" if expected > 1 else "frames")
                    if batch.items:
                        engine = self._ready(batch)
                        if len(under_way) == engine.depth:
                            self._finish(under_way.popleft(), reader, writer)
                        engine.start(batch.pixels[: len(batch.items)])
                        self._watch.lap("network", batch.clips)
                    under_way.append(batch)
                while under_way:
                    self._finish(under_way.popleft(), reader, writer)
                writer.wait(0)
        except BaseException as error:
            for clip in self._open:
                clip.abandon(error)
            raise
        finally:
            if self._engine is not None:
                self._engine.close()

    def _ready(self, batch: Batch) -> Engine:
        if self._engine is None:
            self._engine = self._load()
            self._watch.lap("opening", batch.clips)
        return self._engine

    def _finish(self, batch: Batch, reader: "BatchReader", writer: "Writer") -> None:
        if batch.items:
            engine = self._ready(batch)
            outputs = engine.finish()
            self._watch.lap("network", batch.clips)
            for index, item in enumerate(batch.items):
                self._open[item.clip] = None
                found = self._select(item, outputs.boxes[index], outputs.scores[index], engine)
                self._take(item, batch.pixels[index], found)
        for clip in batch.ended:
            if clip.fault is None and clip.frames != clip.summary.used:
                raise RuntimeError(f"{clip.summary.used} frames given out, {clip.frames} through the network")
            writer.finish(clip)
        writer.wait(_UNWRITTEN)
        self._watch.lap("pictures", ())  # of media that are being written down nothing may change any more
        self._tell(batch)
        reader.give_back(batch)

    def _tell(self, batch: Batch) -> None:
        """Say how far it is: in media, or in the frames of the only one."""
        self._frames += len(batch.items)
        self._ended += len(batch.ended)
        if self._progress is None or not batch.items:
            return
        if self._expected > 1:
            self._progress.report(self._ended, self._expected)
        else:
            summary = batch.items[-1].clip.summary
            self._progress.report(self._frames, summary.expected, about=not summary.declared)

    def _select(self, item: Item, boxes: Floats, scores: Floats, engine: Engine) -> retinanet.Selection:
        """Return a frame's boxes; refuse what a broken network or device gives."""
        if np.isnan(scores.min(initial=0)):  # which finds one without a copy
            raise GraphError(f"the network's scores of frame {item.number} are not all numbers: its weights are broken")
        found = retinanet.select(boxes, scores, self._threshold, engine.nms)
        if not np.isfinite(found.boxes).all():
            raise GraphError(f"the network's boxes of frame {item.number} are not all finite: its weights are broken")
        return found

    def _take(self, item: Item, pixels: Pixels, found: retinanet.Selection) -> None:
        clip, network = item.clip, Size(self._shape[2], self._shape[1])
        media = Size(clip.summary.width, clip.summary.height)
        boxes = retinanet.on_media(found.boxes, network=network, frame=item.size, media=media)
        solid = (boxes[:, 2:] > 0).all(axis=1)
        clip.frames += 1
        clip.boxes += int(solid.sum())
        clip.boxes_without_area += int((~solid).sum())
        picture = retinanet.without_padding(pixels, item.size)
        self._watch.lap("boxes", [clip])
        clip.take(Seen(item.number, picture, media, boxes[solid], found.labels[solid], found.scores[solid]))
        self._watch.lap("pictures", [clip])


class Writer:
    """Finishes clips in a thread of its own, in order; at its end no clip but the one that is being finished."""

    def __init__(self, unfinished: dict[Clip, None]) -> None:
        """Begin.

        Args:
            unfinished: clips that are under way; each is taken off when it is finished.
        """
        self._unfinished = unfinished
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: deque[tuple[Clip, Future[None]]] = deque()

    def finish(self, clip: Clip) -> None:
        """Have a clip finished, after those before it."""
        self._unfinished[clip] = None
        self._waiting.append((clip, self._thread.submit(clip.finish)))

    def wait(self, limit: int) -> None:
        """Wait until no more than so many clips are left.

        Raises:
            Exception: what went wrong in a clip that is not left.
        """
        while self._waiting and (len(self._waiting) > limit or self._waiting[0][1].done()):
            clip, done = self._waiting.popleft()
            done.result()
            del self._unfinished[clip]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        for clip, done in self._waiting:
            if not done.cancelled() and (second := done.exception()) is None:
                del self._unfinished[clip]
            elif not done.cancelled():
                _log.warning("%s", second)  # what came first is what the user has to know


class BatchReader:
    """Fills batches in a thread of its own; iterate over it for batches, and give each one back."""

    def __init__(self, clips: Iterable[Clip], shape: tuple[int, int, int, int]) -> None:
        self._clips = clips
        self._free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        for _ in range(max(_BATCHES, _BYTES // math.prod(shape))):
            self._free.put(Batch(np.empty(shape, np.uint8)))  # takes no memory before it is written to
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
        for clip in self._clips:
            try:
                with clip.open() as frames:
                    clip.summary = frames.summary
                    for number, picture in frames:
                        batch = batch or self._next()
                        if self._stop:
                            return
                        retinanet.fit(picture, batch.pixels[len(batch.items)])
                        batch.items.append(Item(clip, number, Size(picture.shape[1], picture.shape[0])))
                        if len(batch.items) == len(batch.pixels):
                            yield batch
                            batch = None
            except MediaFault as fault:
                clip.fault = fault
            batch = batch or self._next()
            batch.ended.append(clip)
        if batch is not None:
            yield batch

    def _next(self) -> Batch:
        batch = self._free.get()
        batch.items, batch.ended = [], []
        return batch
