"""Handle Ctrl-C in a run: end its processes without tracebacks, and print that the same command continues it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Functions that must not be interrupted, with their modules: a log handler drops the exception (Snakemake 9.27), and an
# event loop that is partly created or closed raises another.
_UNINTERRUPTIBLE = {("snakemake.logging", "emit"), ("asyncio.runners", "_lazy_init"), ("asyncio.runners", "close")}
# Functions of `threading` that wait; the others acquire locks, which would stay acquired.
_WAITING = {"Condition.wait", "Thread.join", "Thread._wait_for_tstate_lock", "_shutdown"}
SENTENCE = "interrupted; the same command continues the work\n"
INTERRUPTED = 128 + signal.SIGINT
_STARTUP = Path(__file__).with_name("startup")
_VARIABLE = "PYTHONPATH"
_DELAY_SECONDS = 0.05
_WAIT_SECONDS = 0.5
_received: list[int] = []


def add_startup_folder(environ: MutableMapping[str, str]) -> None:
    """Make each Python that is started with this environment end without a traceback when it is interrupted.

    Args:
        environ: changed in place: the folder startup/ becomes the last of PYTHONPATH, as a site may have its own
            sitecustomize.py there.
    """
    folders = [folder for folder in environ.get(_VARIABLE, "").split(os.pathsep) if folder]
    if str(_STARTUP) not in folders:
        environ[_VARIABLE] = os.pathsep.join([*folders, str(_STARTUP)])


def end_at_once(number: int, _frame: FrameType | None) -> None:
    """Print the message and exit; handles an interrupt while a command is still importing."""
    os.write(2, SENTENCE.encode())
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def raise_interrupts() -> None:
    """Let an interrupt raise KeyboardInterrupt again, which startup/ and scripts/commands/ disabled until here."""
    usual = (signal.SIG_DFL, signal.default_int_handler, end_at_once)
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) in usual:
            signal.signal(signal.SIGINT, _raise)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # if a site's own sitecustomize.py replaces ours


def block_while_jobs_start() -> None:
    """Block SIGINT in processes that threads of this process start, until startup/ runs in them.

    Python would print a traceback if it were interrupted before that. A process inherits the blocked signals of the
    thread that starts it, and Snakemake starts jobs in threads, which need no signals: Python handles all of them in
    the main thread.
    """
    sys.addaudithook(_block_in_thread)


def _block_in_thread(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen" and threading.current_thread() is not threading.main_thread():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def was_interrupted() -> bool:
    """Return whether this process was interrupted, as a module that was being imported may raise another error."""
    return bool(_received)


def _raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if _is_uninterruptible(frame):
        again = threading.Timer(_DELAY_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt


def _is_uninterruptible(frame: FrameType | None) -> bool:
    """Return whether an interrupt has to wait until the functions of a frame and of its callers have returned."""
    in_threading = False
    while frame is not None:
        module, code = frame.f_globals.get("__name__"), frame.f_code
        if module == "threading" and not in_threading and code.co_qualname not in _WAITING:
            return True
        if module == "logging" or (module, code.co_name) in _UNINTERRUPTIBLE:
            return True
        in_threading = in_threading or module == "threading"
        frame = frame.f_back
    return False


def run_to_its_end(command: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> int:
    """Run Snakemake and wait until it has ended, also after a signal to this process; return its exit code.

    Each of the signals STOPPING is passed to Snakemake as SIGINT, on which it stops its jobs and unlocks its folder. If
    it were killed, the next run would find the folder locked.

    Args:
        command: the command that runs Snakemake.
        environ: the environment of Snakemake, to which `add_startup_folder` is applied.
        folder: the folder in which Snakemake runs; None for the current folder.
    """
    passed = dict(environ)
    add_startup_folder(passed)
    received: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for run in started:
            _interrupt(run)

    before = {number: signal.signal(number, forward) for number in STOPPING}
    try:
        run = _start(command, passed, folder)
        started.append(run)
        if received:
            _interrupt(run)
        code = _wait(run)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        if code == -signal.SIGINT:  # interrupted while it planned; later Snakemake prints the message (onerror)
            sys.stderr.write(SENTENCE)
        return INTERRUPTED
    return code


def _start(command: Sequence[str], environ: Mapping[str, str], folder: Path | None) -> subprocess.Popen[bytes]:
    """Start Snakemake with SIGINT blocked until startup/ runs, as Python would print a traceback before that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # In a separate process group Snakemake gets Ctrl-C only once: the terminal sends it to this process only.
        return subprocess.Popen(command, env=environ, cwd=folder, process_group=0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(run: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended, in short steps; return its exit code.

    Python runs the handler of a signal that arrives just before a blocking call only after the call.
    """
    while True:
        with suppress(subprocess.TimeoutExpired):
            return run.wait(_WAIT_SECONDS)


def _interrupt(run: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.killpg(run.pid, signal.SIGINT)
