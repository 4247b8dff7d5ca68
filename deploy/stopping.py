"""Stop a run after SIGTERM or SIGINT: remember the signal, pass it to Snakemake, and end in time.

Imports only what Python has loaded anyway, so that the handlers are installed immediately: the first process of a
container ignores each signal that has no handler.
"""

import os
import signal
import sys
import time
from types import FrameType

# After a signal Snakemake has this long to remove its jobs and to end; then it is killed with all its processes.
STOP_SECONDS = 20


class Stopped(Exception):
    """The run was stopped while it waited."""


class Stopping:
    """Whether the run shall stop; `requested` may be set at any moment."""

    def __init__(self) -> None:
        self.requested = False
        self._group: int | None = None
        self._interrupted = False
        signal.signal(signal.SIGALRM, self._kill)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.request_stop()

    def request_stop(self) -> None:
        """Stop the run: nothing new begins, and Snakemake is interrupted once."""
        if not self.requested:
            self.requested = True
            signal.alarm(STOP_SECONDS)
        if self._group is not None and not self._interrupted:
            self._interrupted = True
            self._send(signal.SIGINT)

    def guard(self, group: int) -> None:
        """Pass the signal, also one that came before, to the processes of a group."""
        self._group, self._interrupted = group, False
        if self.requested:
            self.request_stop()

    def kill_rest(self) -> None:
        """Kill the remaining processes of the group, whose first process has ended."""
        self._send(signal.SIGKILL)
        self._group = None

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds; raise Stopped, within half a second, when the run is stopped."""
        deadline = time.monotonic() + seconds
        while not self.requested and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
        if self.requested:
            raise Stopped

    def _kill(self, number: int, frame: FrameType | None) -> None:
        if self._group is not None:
            sys.stderr.write(f"Snakemake did not end within {STOP_SECONDS} s of the signal; killing it\n")
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except ProcessLookupError:
                return
