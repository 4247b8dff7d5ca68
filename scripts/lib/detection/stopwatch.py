"""Measure how long a thread spends in each stage of detection."""

import time
from collections.abc import Sequence

from scripts.lib.detection.media_task import MediaTask


class Stopwatch:
    """Measures how long a thread spends in each stage."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self, stage: str, tasks: Sequence[MediaTask]) -> None:
        """End a stage: divide the time since the last call equally among the tasks; without tasks, discard it."""
        now = time.monotonic()
        for task in tasks:
            stages = task.counters.stages
            stages[stage] = stages.get(stage, 0.0) + (now - self._last) / len(tasks)
        self._last = now
