"""Download files in the order in which they are used, a few at a time, within a limit of bytes."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Task(Generic[T]):
    cost: int
    done: threading.Event = field(default_factory=threading.Event)
    result: T | None = None
    error: Exception | None = None


class Prefetch(Generic[T]):
    """Threads that run tasks in order, as long as the total cost of tasks that were not released fits a budget.

    If no other task is running, a task runs whatever its cost, so that none waits forever.
    """

    def __init__(self, fetch: Callable[[int], T], costs: Sequence[int], *, budget: int, threads: int) -> None:
        """Start the threads.

        Args:
            fetch: function that runs the task of a number, from 0.
            costs: cost of each task, for example in bytes.
            budget: largest total cost of tasks that were started and not released.
            threads: largest number of tasks that run at a time.
        """
        self._fetch, self._budget = fetch, budget
        self._tasks = [_Task[T](cost) for cost in costs]
        self._next = self._spent = 0
        self._free = threading.Condition()
        for number in range(min(threads, len(costs))):
            # Daemons, so that a transfer that hangs does not delay the end of a failed job.
            threading.Thread(target=self._work, name=f"prefetch-{number}", daemon=True).start()

    def result(self, number: int) -> T:
        """Wait for a task and return its result.

        Raises:
            Exception: the task's exception; the task's cost is released then.
        """
        task = self._tasks[number]
        task.done.wait()
        if (error := task.error) is not None:
            self.release(number)
            raise error
        return task.result  # type: ignore[return-value]

    def release(self, number: int) -> None:
        """Return a task's cost to the budget, and drop its result; a second call changes nothing."""
        with self._free:
            task = self._tasks[number]
            task.result = task.error = None
            self._spent, task.cost = self._spent - task.cost, 0
            self._free.notify_all()

    def _work(self) -> None:
        while (number := self._take()) is not None:
            task = self._tasks[number]
            try:
                task.result = self._fetch(number)
            except Exception as error:
                task.error = error
            task.done.set()

    def _take(self) -> int | None:
        """Wait until the next task fits; return its number, or None if none is left."""
        with self._free:
            while self._next < len(self._tasks):
                cost = self._tasks[self._next].cost
                if self._spent == 0 or self._spent + cost <= self._budget:
                    self._spent += cost
                    self._next += 1
                    return self._next - 1
                self._free.wait()
            return None
