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

COMMAND, KILLED_BY = "TATOR_JOB_COMMAND", "TATOR_JOB_KILLED_BY"
# Signals with which somebody stops a job; no failure is recorded then.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_AWAITED = {*STOPPING, signal.SIGCHLD}
# The most times that a job is started again: twice for each of its media, of which it has at most 10,000.
_MOST_STARTS = 20_000


def main(worker: int, command: list[str]) -> int:
    """Return the exit status of the worker, or of the last script that was started after it was killed.

    Args:
        worker: the process id of the worker, a child of this process.
        command: the command that runs the script.
    """
    # Blocked signals wait until `sigwait` takes them; supervision.begin has blocked all except SIGCHLD, which some
    # systems keep only if it has a handler.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    usual = set(before) - set(STOPPING)
    status = _wait(worker)
    for _ in range(_MOST_STARTS):
        if status >= 0 or -status in STOPPING:
            break
        environ = os.environ | {KILLED_BY: str(-status)}
        worker = os.posix_spawn(command[0], command, environ, setsigmask=usual, setsigdef=STOPPING)
        status = _wait(worker)
    if -status in STOPPING:
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)
        os.kill(os.getpid(), -status)
    return status if status >= 0 else 128 - status


def _wait(worker: int) -> int:
    """Wait until a worker has ended, and pass signals to it; return its exit status, or minus the signal's number."""
    while not (ended := os.waitpid(worker, os.WNOHANG))[0]:
        number = signal.sigwait(_AWAITED)
        if number in (signal.SIGTERM, signal.SIGHUP):  # a terminal sends SIGINT to the worker too
            os.kill(worker, number)
    return os.waitstatus_to_exitcode(ended[1])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), json.loads(os.environ.pop(COMMAND))))
