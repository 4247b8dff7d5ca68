"""Jobs of single media that are killed, or crash in a decoder: their media's state is `failed`, as after an exception.

The process that Snakemake starts becomes a small supervisor (supervisor.py); its child does the work. When the child
is killed, the supervisor starts the job's script again, which finds out here that it has only to record that.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from scripts.lib.errors import STORE_VARIABLE, MediaFault
from scripts.lib.workflow.supervisor import COMMAND, KILLED_BY, STOPPING

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


def begin() -> MediaFault | None:
    """Go on in a child of this process, which becomes its supervisor.

    Where files go through a store, no failure is recorded, and the job goes on as it is.

    Returns:
        What killed this job's worker before, where the supervisor has started the script again; else None.
    """
    if (number := os.environ.pop(KILLED_BY, None)) is not None:
        _end_with_parent()
        return as_fault(int(number))
    if not os.environ.get(STORE_VARIABLE):
        supervisor = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        # Until the supervisor has its handlers a signal waits; the worker takes it at once.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        if worker := os.fork():
            program = str(Path(__file__).with_name("supervisor.py"))
            command = [sys.executable, *sys.orig_argv[1:]]
            environ = os.environ | {COMMAND: json.dumps(command)}
            # Isolated, and without site-packages: it starts in a few milliseconds.
            os.execve(sys.executable, [sys.executable, "-I", "-S", program, str(worker)], environ)  # noqa: S606
        _end_with_parent()
        if os.getppid() != supervisor:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return None


def as_fault(number: int) -> MediaFault:
    """Return what a media's record says of a job that was killed by this signal."""
    name = signal.Signals(number).name if number in set(signal.Signals) else "unknown"
    if number in _CRASHES:
        why = "it crashed, perhaps in a decoder; if it does so again, report it with the log of its job and the file"
    else:
        why = "perhaps out of memory; if so, give it more (mem_mb)"
    return MediaFault("failed", f"its job was killed by signal {number} ({name}), {why}")


def _end_with_parent() -> None:
    """Ask the kernel to kill this process when its supervisor ends, the only one that Snakemake knows."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
