"""Run detection, from frames to boxes, in constant memory.

A thread reads the frames of one media after another into batches, and processes read parts of videos. The caller's
thread passes the batches to the engine, which works while reading continues, and adds the outputs to the results; the
outputs for a part's frames are sent to its process, which does the same. Another thread writes the results of each
media.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from fractions import Fraction

import cv2

from scripts.lib.boxes import Size
from scripts.lib.detection.batch import Batch, RemoteBatch, held_batches
from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.candidates import Candidates
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.frame_results import FrameResults
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.result_writer import ResultWriter
from scripts.lib.engines.base import Engine
from scripts.lib.graphs.description import Resize
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.preprocessing.tiles import Tiling
from scripts.lib.progress import Progress
from scripts.lib.workflow.processes import deadline

# The most media that may wait to be written, with some 30 MB of pictures each.
_UNWRITTEN = 4


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
        held = held_batches(self._shape, resize.dtype)
        self._results = FrameResults(Fitting(resize, size), threshold, name, held)
        self._watch = self._results.watch
        self._threads, self._processes = threads, processes
        self._cutter = Cutter(tiling, self._results.fitting) if tiling else None
        self._engine: Engine | None = None
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
            fitting = self._results.fitting
            reading = BatchReader(
                *(tasks, self._shape, fitting.fit, self._threads, self._cutter),
                processes=self._processes,
                results=self._results,
                dtype=fitting.resize.dtype,
            )
            with ResultWriter(self._unfinished) as writer, reading as reader:
                for batch in reader:
                    self._watch.lap("frames", batch.tasks)
                    # Created here, as reading the first batch may take long.
                    self._progress = self._progress or Progress("media" if expected > 1 else "frames")
                    if batch.count:
                        engine = self._loaded_engine(batch)
                        while sum(bool(each.count) for each in submitted) == engine.depth:
                            self._finish(submitted.popleft(), reader, writer)
                        with self._watched(batch):
                            engine.start(batch.pixels[: batch.count])
                        self._watch.lap("network", batch.tasks)
                    submitted.append(batch)
                    while submitted and isinstance(batch, RemoteBatch) and batch.is_last:
                        self._finish(submitted.popleft(), reader, writer)
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
        return deadline.watched(self._name, f"busy with a batch of {batch.count} frames")

    def _loaded_engine(self, batch: Batch) -> Engine:
        if self._engine is None:
            self._engine = self._load()
            self._watch.lap("opening", batch.tasks)
        return self._engine

    def _finish(self, batch: Batch, reader: BatchReader, writer: ResultWriter) -> None:
        unused = [batch]
        if batch.count:
            engine = self._loaded_engine(batch)
            with self._watched(batch):
                outputs = engine.finish()
            self._watch.lap("network", batch.tasks)
            self._unfinished |= dict.fromkeys(batch.tasks)
            found = Candidates.of(outputs.first(batch.count), self._results.threshold, engine.nms)
            if isinstance(batch, RemoteBatch):
                batch.found = found
            else:
                unused = self._results.add(batch, found)
        if batch.ended:
            unused += self._results.add_held()
        for task in batch.ended:
            self._results.restart(task, task.frames.restarts)
            read, processed = task.frames.summary.used, task.counters.frames
            if task.frames.fault is None and processed != read:
                raise RuntimeError(f"{read} frames were read, but {processed} passed through the network")
            writer.finish(task)
        writer.wait(_UNWRITTEN)
        self._watch.lap("pictures", ())  # of no task, as the counters of media that are being written must not change
        self._report_progress(batch)
        for each in unused:
            reader.release(each)

    def _report_progress(self, batch: Batch) -> None:
        """Log the progress: in media, or in frames if there is only one media."""
        self._frames += batch.frames
        self._ended += sum(task.share for task in batch.ended)
        if self._progress is None or not batch.count or not self._frames:
            return
        if self._expected > 1:
            self._progress.report(int(self._ended), self._expected)
        else:
            frames = batch.tasks[-1].frames
            self._progress.report(self._frames, frames.expected, about=not frames.summary.declared)
