"""Stop a run after SIGTERM or SIGINT: remember the signal, pass it to Snakemake, and end in time.

Imports only what Python has loaded anyway, so that the handlers stand at once: the first process of a container ignores
each signal without one.
"""

import os
import signal
import sys
import time
from types import FrameType

# After a signal Snakemake has this long to remove its jobs and to end; then it is killed with all its processes.
STOP_SECONDS = 20


class Stopped(Exception):
    """The run was told to stop while it waited."""


class Stopping:
    """Whether the run was told to stop; `asked` may be set at any moment."""

    def __init__(self) -> None:
        self.asked = False
        self._group: int | None = None
        self._told = False
        signal.signal(signal.SIGALRM, self._kill)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.ask()

    def ask(self) -> None:
        """Tell the run to stop: nothing new begins, and Snakemake is interrupted once."""
        if not self.asked:
            self.asked = True
            signal.alarm(STOP_SECONDS)
        if self._group is not None and not self._told:
            self._told = True
            self._send(signal.SIGINT)

    def guard(self, group: int) -> None:
        """Pass the signal, also one that came before, to the processes of a group."""
        self._group, self._told = group, False
        if self.asked:
            self.ask()

    def release(self) -> None:
        """Kill what is left of the group, whose first process has ended."""
        self._send(signal.SIGKILL)
        self._group = None

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds; Stopped, within half a second, when the run is told to stop."""
        deadline = time.monotonic() + seconds
        while not self.asked and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
        if self.asked:
            raise Stopped

    def _kill(self, number: int, frame: FrameType | None) -> None:
        if self._group is not None:
            sys.stderr.write(f"Snakemake did not end within {STOP_SECONDS} s of the signal; it is killed\n")
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except ProcessLookupError:
                return
