"""Record the state `failed` for media whose job is killed or crashes in a decoder, as after an exception.

The process that Snakemake starts becomes a small supervisor (supervisor.py); its child does the work. If the child
is killed, the supervisor starts the job's script again with a variable that tells it to record the failure.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from scripts.lib.errors import STORE_VARIABLE, MediaFault
from scripts.lib.workflow.jobs.supervisor import COMMAND, KILLED_BY, STOPPING

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


def begin() -> MediaFault | None:
    """Continue in a child of this process, which becomes the child's supervisor.

    With a storage such as S3 no failure is recorded, and the job continues in this process.

    Returns:
        What killed this job's worker, if the supervisor started the script again; otherwise None.
    """
    if (number := os.environ.pop(KILLED_BY, None)) is not None:
        _end_with_parent()
        return as_fault(int(number))
    if not os.environ.get(STORE_VARIABLE):
        supervisor = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        # Signals are blocked until the supervisor has set its handlers; the worker unblocks them immediately.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        if worker := os.fork():
            program = str(Path(__file__).with_name("supervisor.py"))
            command = [sys.executable, *sys.orig_argv[1:]]
            environ = os.environ | {COMMAND: json.dumps(command)}
            # Isolated and without site-packages, so that it starts in a few milliseconds.
            os.execve(sys.executable, [sys.executable, "-I", "-S", program, str(worker)], environ)  # noqa: S606
        _end_with_parent()
        if os.getppid() != supervisor:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return None


def as_fault(number: int) -> MediaFault:
    """Return the fault to record for a media whose job was killed by this signal."""
    name = signal.Signals(number).name if number in set(signal.Signals) else "unknown"
    if number in _CRASHES:
        why = "it crashed, perhaps in a decoder; if it does so again, report it with the log of its job and the file"
    else:
        why = "perhaps out of memory; if so, give it more (mem_mb)"
    return MediaFault("failed", f"its job was killed by signal {number} ({name}), {why}")


def _end_with_parent() -> None:
    """Make the kernel kill this process when its supervisor ends, the only process that Snakemake knows."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
