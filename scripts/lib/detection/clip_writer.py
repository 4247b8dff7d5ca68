"""The thread that writes down what was found in clips, one after another, as disks are slow."""

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from scripts.lib.detection.clip import Clip

_log = logging.getLogger(__name__)


class ClipWriter:
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
