"""Run an engine in a separate thread: a GPU computes a batch while the last batch's outputs are processed."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from scripts.lib.boxes import Pixels
from scripts.lib.engines.base import Engine, Outputs


class BackgroundEngine(Engine):
    """Runs an engine whose `start` returns when its batch is done; two batches may be under way, one of them waiting.

    The engine's outputs have to stay valid after its next `start`.
    """

    depth = 2

    def __init__(self, engine: Engine) -> None:
        """Take over an engine, which nothing else uses from now on, and which is closed with this one."""
        self._engine = engine
        self.batch_size, self.size, self.classes = engine.batch_size, engine.size, engine.classes
        self.nms, self.description = engine.nms, engine.description
        self._under_way: deque[Future[Outputs]] = deque()
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def start(self, batch: Pixels) -> None:
        """Start a batch, or queue it after the one that is being computed."""
        if self._thread is None:
            raise RuntimeError("the engine is closed")
        self._under_way.append(self._thread.submit(self._engine.infer, batch))

    def finish(self) -> Outputs:
        """Wait for the oldest batch under way; raise an error of its `start`."""
        return self._under_way.popleft().result()

    def close(self) -> None:
        """Wait for the batch that is being computed, forget the one that waits, and free the engine."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True, cancel_futures=True)
        self._under_way.clear()
        self._engine.close()
