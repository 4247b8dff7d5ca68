"""Run detection, from frames to boxes, in constant memory.

A thread reads the frames of one media after another into batches, and processes read parts of videos. The caller's
thread passes the batches to the engine, which works while reading continues, and processes the outputs. Another thread
writes the results of each media.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction

import cv2
import numpy as np

from scripts.lib import deadline, suppression
from scripts.lib.boxes import Floats, Pixels, Size, on_media
from scripts.lib.detection.batch import Batch, Item, Piece
from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.media_task import FrameResult, MediaTask
from scripts.lib.detection.merging import PieceBoxes, merge
from scripts.lib.detection.result_writer import ResultWriter
from scripts.lib.engines.base import Engine
from scripts.lib.errors import GraphError
from scripts.lib.fitting import Fitting
from scripts.lib.graphs.description import Resize
from scripts.lib.progress import Progress
from scripts.lib.tiles import Tiling

# The most media that may wait to be written, with some 30 MB of pictures each.
_UNWRITTEN = 4
# The highest score, with rounding; and the largest coordinate of boxes from 0 to 1, which may exceed the picture. Boxes
# in pixels are never that small.
_HIGHEST_SCORE, _LARGEST_FRACTION = 1.001, 1.5


class Stopwatch:
    """Measures how long a thread spends in each stage."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self, stage: str, tasks: Sequence[MediaTask]) -> None:
        """End a stage: divide the time since the last call equally among the tasks."""
        now = time.monotonic()
        for task in tasks:
            stages = task.counters.stages
            stages[stage] = stages.get(stage, 0.0) + (now - self._last) / len(tasks)
        self._last = now


class Detector:
    """Runs the frames of tasks through the network; used once, by one thread."""

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        size: Size,
        batch_size: int,
        threshold: float,
        name: str = "the network",
        resize: Resize = Resize(),  # noqa: B008, it is immutable
        threads: int = 1,
        processes: int = 0,
        tiling: Tiling | None = None,
    ) -> None:
        """Store the options; the engine is loaded when the first batch is ready.

        Args:
            load: function that loads the engine, for batches of `batch_size`.
            size: the size of the network's input.
            batch_size: frames in a batch.
            threshold: the least score of a box.
            name: the name of the network in errors.
            resize: the conversion of frames to pictures of this size.
            threads: number of pictures decoded at once, or of frames of a video converted and fitted at once.
            processes: number of processes that read parts of videos.
            tiling: how large frames are cut into tiles; None if they are not.
        """
        self._load, self._name = load, name
        self._shape = (batch_size, size.height, size.width, 3)
        self._threshold, self._fitting = threshold, Fitting(resize, size)
        self._threads, self._processes = threads, processes
        self._cutter = Cutter(tiling, self._fitting) if tiling else None
        self._pieces: dict[MediaTask, list[PieceBoxes]] = {}  # boxes in the pieces of each task's current frame
        self._engine: Engine | None = None
        self._watch = Stopwatch()
        self._unfinished: dict[MediaTask, None] = {}
        self._progress: Progress | None = None
        self._expected, self._frames, self._ended = 1, 0, Fraction(0)

    def run(self, tasks: Iterable[MediaTask], expected: int = 1) -> None:
        """Run the frames of all tasks through the network; add the boxes of each task in order, and finish it.

        Args:
            tasks: the tasks, taken one by one by the reader's thread.
            expected: number of media, for reporting progress.

        Raises:
            GraphError: the network's outputs are not finite, or not in the expected range.
            Exception: another error in the frames or in a task; unfinished tasks are abandoned.
        """
        cv2.setNumThreads(1)  # the engine uses the other cores
        self._expected = expected
        submitted: deque[Batch] = deque()
        try:
            fitting = self._fitting
            reading = BatchReader(
                tasks, self._shape, fitting.fit, self._threads, self._cutter, processes=self._processes,
                dtype=fitting.resize.dtype,
            )  # fmt: skip
            with ResultWriter(self._unfinished) as writer, reading as reader:
                for batch in reader:
                    self._watch.lap("frames", batch.tasks)
                    # Created here, as reading the first batch may take long.
                    self._progress = self._progress or Progress("media" if expected > 1 else "frames")
                    if batch.items:
                        engine = self._loaded_engine(batch)
                        while sum(bool(each.items) for each in submitted) == engine.depth:
                            self._finish(submitted.popleft(), reader, writer)
                        with self._watched(batch):
                            engine.start(batch.pixels[: len(batch.items)])
                        self._watch.lap("network", batch.tasks)
                    submitted.append(batch)
                while submitted:
                    self._finish(submitted.popleft(), reader, writer)
                writer.wait(0)
        except BaseException as error:
            for task in self._unfinished:
                task.results.abandon(error)
            raise
        finally:
            if self._engine is not None:
                self._engine.close()

    def _watched(self, batch: Batch) -> AbstractContextManager[None]:
        return deadline.watched(self._name, f"busy with a batch of {len(batch.items)} frames")

    def _loaded_engine(self, batch: Batch) -> Engine:
        if self._engine is None:
            self._engine = self._load()
            self._watch.lap("opening", batch.tasks)
        return self._engine

    def _finish(self, batch: Batch, reader: BatchReader, writer: ResultWriter) -> None:
        if batch.items:
            engine = self._loaded_engine(batch)
            with self._watched(batch):
                outputs = engine.finish()
            self._watch.lap("network", batch.tasks)
            for index, item in enumerate(batch.items):
                self._unfinished[item.task] = None
                self._restart(item.task, item.restarts)
                selection = self._select(item, outputs.boxes[index], outputs.scores[index], engine)
                found, without_area = self._on_media(item, selection)
                item.task.counters.boxes_without_area += len(item.numbers) * without_area
                if item.piece is None:
                    self._add_frame(item, self._fitting.shown(batch.pixels[index], item.size), found)
                else:
                    self._add_piece(item, item.piece, found)
        for task in batch.ended:
            self._restart(task, task.frames.restarts)
            read, processed = task.frames.summary.used, task.counters.frames
            if task.frames.fault is None and processed != read:
                raise RuntimeError(f"{read} frames were read, but {processed} passed through the network")
            writer.finish(task)
        writer.wait(_UNWRITTEN)
        self._watch.lap("pictures", ())  # of no task, as the counters of media that are being written must not change
        self._report_progress(batch)
        reader.release(batch)

    def _restart(self, task: MediaTask, restarts: int) -> None:
        """Discard the results of a media if its detection has restarted since."""
        if task.counters.restarts < restarts:
            task.results.restart()
            task.counters.restart()
            self._watch.lap("boxes", [task])

    def _report_progress(self, batch: Batch) -> None:
        """Log the progress: in media, or in frames if there is only one media."""
        self._frames += sum(item.ends_frame for item in batch.items)
        self._ended += sum(task.share for task in batch.ended)
        if self._progress is None or not batch.items or not self._frames:
            return
        if self._expected > 1:
            self._progress.report(int(self._ended), self._expected)
        else:
            frames = batch.items[-1].task.frames
            self._progress.report(self._frames, frames.expected, about=not frames.summary.declared)

    def _select(self, item: Item, boxes: Floats, scores: Floats, engine: Engine) -> suppression.Selection:
        """Return a frame's boxes; refuse the outputs of a broken network or device."""
        places = suppression.reached(scores, self._threshold)
        highest = float(scores.reshape(-1)[places].max(initial=0))  # NaN if any score is NaN
        if math.isnan(highest):
            raise GraphError(f"the network's scores of frame {item.number} are not all numbers: its weights are broken")
        found = suppression.select(boxes, scores, self._threshold, engine.nms, places)
        if not np.isfinite(found.boxes).all():
            raise GraphError(f"the network's boxes of frame {item.number} are not all finite: its weights are broken")
        _check_ranges(found, highest, self._name, item.number)
        return found

    def _on_media(self, item: Item, selection: suppression.Selection) -> tuple[PieceBoxes, int]:
        """Return boxes in the media's pixels, and how many are left out because no part of them is in the picture."""
        piece = item.piece
        region = piece.region if piece else None
        boxes = on_media(
            selection.boxes,
            network=self._fitting.network,
            frame=piece.frame if piece else item.size,
            media=item.media,
            mapping=self._fitting.mapping(item.size),
            region=region,
        )
        has_area = (boxes[:, 2:] > 0).all(axis=1)
        found = PieceBoxes(region, boxes[has_area], selection.labels[has_area], selection.scores[has_area])
        return found, int((~has_area).sum())

    def _add_piece(self, item: Item, piece: Piece, found: PieceBoxes) -> None:
        """Store the boxes of a piece of a frame; after the last piece, merge those of the whole frame."""
        counted, count = item.task.counters.tiles, len(item.numbers)
        pieces = self._pieces.setdefault(item.task, [])
        if piece.begins:
            pieces.clear()
        pieces.append(found)
        if piece.picture is None:
            self._watch.lap("boxes", [item.task])
            return
        del self._pieces[item.task]
        merged = merge(pieces, piece.frame, item.media)
        whole = sum(each.region is None for each in pieces)
        counted.frames += 1
        counted.tiles += len(pieces) - whole
        counted.whole += whole
        counted.joined += count * merged.joined
        counted.dropped += count * merged.dropped
        self._add_frame(item, piece.picture, PieceBoxes(None, merged.boxes, merged.labels, merged.scores))

    def _add_frame(self, item: Item, picture: Pixels, found: PieceBoxes) -> None:
        task, counters = item.task, item.task.counters
        counters.frames += 1
        counters.boxes += len(item.numbers) * len(found.boxes)
        self._watch.lap("boxes", [task])
        boxes = found.boxes, found.labels, found.scores
        task.results.take(FrameResult(item.number, item.numbers, picture, item.media, *boxes))
        self._watch.lap("pictures", [task])


def _check_ranges(found: suppression.Selection, highest: float, name: str, number: int) -> None:
    """Refuse boxes that are not in pixels, and scores that are not from 0 to 1.

    Raises:
        GraphError: the boxes or scores have another range.
    """
    if highest > _HIGHEST_SCORE:
        raise GraphError(
            f"{name}: gives the score {highest:.4g} in frame {number}; expected scores from 0 to 1: export it with its "
            "sigmoid or softmax, or set network.graph and network.directory (or data_image) to a network that has it"
        )
    boxes = found.boxes
    has_area = (boxes[:, 0] != boxes[:, 2]) & (boxes[:, 1] != boxes[:, 3])
    if has_area.any() and np.abs(boxes).max() <= _LARGEST_FRACTION:
        raise GraphError(
            f"{name}: gives boxes from 0 to 1 in frame {number}, such as {boxes[has_area][0].round(3).tolist()}; "
            "expected x1, y1, x2, y2 in pixels of its input, whose size detect.img_max_side and detect.img_min_side "
            "say: export it with its boxes multiplied by that size"
        )
