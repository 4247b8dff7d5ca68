"""Run an engine in a separate thread: a GPU computes a batch while the last batch's outputs are processed."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from scripts.lib.boxes import Pixels
from scripts.lib.engines.base import Engine, Outputs


class BackgroundEngine(Engine):
    """Runs an engine whose `start` blocks until its batch is done; a second batch may wait in a queue.

    The outputs of the wrapped engine must stay valid after its next `start`.
    """

    depth = 2

    def __init__(self, engine: Engine) -> None:
        """Store the engine to run, which must not be used elsewhere; `close` closes it too."""
        self._engine = engine
        self.batch_size, self.size, self.classes = engine.batch_size, engine.size, engine.classes
        self.nms, self.description = engine.nms, engine.description
        self._pending: deque[Future[Outputs]] = deque()
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def start(self, batch: Pixels) -> None:
        """Start a batch, or queue it after the one that is being computed."""
        if self._thread is None:
            raise RuntimeError("the engine is closed")
        self._pending.append(self._thread.submit(self._engine.infer, batch))

    def finish(self) -> Outputs:
        """Wait for the oldest unfinished batch and return its outputs; raise the error of its `start`."""
        return self._pending.popleft().result()

    def close(self) -> None:
        """Wait for the batch that is being computed, drop the queued one, and close the engine."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True, cancel_futures=True)
        self._pending.clear()
        self._engine.close()
