"""A thread that writes the results of tasks, one after another, so that detection does not wait for slow disks."""

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from scripts.lib.detection.media_task import MediaTask

_log = logging.getLogger(__name__)


class ResultWriter:
    """Finishes tasks in a thread, in order; on exit, only the task that is being finished is completed."""

    def __init__(self, unfinished: dict[MediaTask, None]) -> None:
        """Create the thread.

        Args:
            unfinished: the tasks that are being processed; each is removed when it is finished.
        """
        self._unfinished = unfinished
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: deque[tuple[MediaTask, Future[None]]] = deque()

    def finish(self, task: MediaTask) -> None:
        """Submit a task to be finished after the ones submitted before."""
        self._unfinished[task] = None
        self._waiting.append((task, self._thread.submit(task.results.finish, task.frames, task.counters)))

    def wait(self, limit: int) -> None:
        """Wait until no more than `limit` tasks are waiting.

        Raises:
            Exception: the error of a task that could not be finished.
        """
        while self._waiting and (len(self._waiting) > limit or self._waiting[0][1].done()):
            task, done = self._waiting.popleft()
            done.result()
            del self._unfinished[task]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        for task, done in self._waiting:
            if not done.cancelled() and (second := done.exception()) is None:
                del self._unfinished[task]
            elif not done.cancelled():
                _log.warning("%s", second)  # the first error is the one that is raised
