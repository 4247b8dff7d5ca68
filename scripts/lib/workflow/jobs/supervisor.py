"""Wait for a job's worker; if it is killed, start the job's script again to record that.

This is a separate program, started by supervision.py, that needs little memory and only the standard library: if memory
runs out, the system kills the worker and not the supervisor. TATOR_JOB_COMMAND is a JSON list, the command that runs
the script; TATOR_JOB_KILLED_BY tells the script the number of the signal. The supervisor waits for that script in the
same way, as it may continue with the job's other media and be killed too.
"""

import json
import os
import signal
import sys
from types import FrameType

COMMAND, KILLED_BY = "TATOR_JOB_COMMAND", "TATOR_JOB_KILLED_BY"
# Signals with which somebody stops a job; no failure is recorded then.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# The most times that a job is started again: twice for each of its media, of which it has at most 10,000.
_MOST_STARTS = 20_000


def main(worker: int, command: list[str]) -> int:
    """Return the exit status of the worker, or of the last script that was started after it was killed.

    Args:
        worker: the process id of the worker, a child of this process.
        command: the command that runs the script.
    """

    def forward_signal(number: int, _frame: FrameType | None) -> None:
        os.kill(worker, number)

    signal.signal(signal.SIGTERM, forward_signal)
    signal.signal(signal.SIGHUP, forward_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the worker too
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # supervision.begin blocked them
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    for _ in range(_MOST_STARTS):
        if status >= 0 or -status in STOPPING:
            break
        environ = os.environ | {KILLED_BY: str(-status)}
        worker = os.posix_spawn(command[0], command, environ, setsigdef=STOPPING)
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if -status in STOPPING:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), json.loads(os.environ.pop(COMMAND))))
