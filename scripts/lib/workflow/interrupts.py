"""Ctrl-C in a run: its processes end without tracebacks, and one sentence says that the same command continues it."""

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
# Modules and functions in which an interrupt waits until they have ended.
_UNTIMELY = {("snakemake.logging", "emit"), ("asyncio.runners", "_lazy_init"), ("asyncio.runners", "close")}
SENTENCE = "interrupted; the same command continues the work\n"
INTERRUPTED = 128 + signal.SIGINT
_STARTUP = Path(__file__).with_name("startup")
_VARIABLE = "PYTHONPATH"
_LATER = 0.05  # seconds
_noted: list[int] = []


def pass_on(environ: MutableMapping[str, str]) -> None:
    """Have each Python that is started with this environment end without a traceback when it is interrupted.

    Args:
        environ: changed in place: the folder startup/ becomes the last of PYTHONPATH, as a site may have its own
            sitecustomize.py there.
    """
    folders = [folder for folder in environ.get(_VARIABLE, "").split(os.pathsep) if folder]
    if str(_STARTUP) not in folders:
        environ[_VARIABLE] = os.pathsep.join([*folders, str(_STARTUP)])


def end_at_once(number: int, _frame: FrameType | None) -> None:
    """Say the sentence and end: the handler of an interrupt while a command only imports."""
    os.write(2, SENTENCE.encode())
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def raise_interrupts() -> None:
    """Have an interrupt raise KeyboardInterrupt again, which startup/ and scripts/commands/ put off until here."""
    usual = (signal.SIG_DFL, signal.default_int_handler, end_at_once)
    if signal.getsignal(signal.SIGINT) in usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _raise)


def came() -> bool:
    """Say whether this process was interrupted: what is imported meanwhile may raise another error instead."""
    return bool(_noted)


def _raise(number: int, frame: FrameType | None) -> None:
    _noted.append(number)
    if _is_untimely(frame):
        later = threading.Timer(_LATER, os.kill, (os.getpid(), number))
        later.daemon = True
        later.start()
        return
    raise KeyboardInterrupt


def _is_untimely(frame: FrameType | None) -> bool:
    """Say whether to wait: a log's handler would drop the exception (Snakemake 9.27), a loop half made show another."""
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _UNTIMELY:
            return True
        frame = frame.f_back
    return False


def run_to_its_end(command: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> int:
    """Run Snakemake and wait until it has ended, also when this process is told to stop; return its exit code.

    It gets any signal to stop as SIGINT, at which it stops its jobs and unlocks its folder. Were it killed instead,
    the next run would find the folder locked.

    Args:
        command: the words that run Snakemake.
        environ: its environment; `pass_on` says what is added.
        folder: where it starts, the current folder if not given.
    """
    passed = dict(environ)
    pass_on(passed)
    asked: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for run in started:
            _interrupt(run)

    before = {number: signal.signal(number, forward) for number in STOPPING}
    try:
        # A group of its own: a terminal sends Ctrl-C to this process alone, so that Snakemake gets it once.
        run = subprocess.Popen(command, env=passed, cwd=folder, process_group=0)
        started.append(run)
        if asked:
            _interrupt(run)
        code = run.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        if code == -signal.SIGINT:  # while it planned; later it says the sentence itself (Snakefile, onerror)
            sys.stderr.write(SENTENCE)
        return INTERRUPTED
    return code


def _interrupt(run: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.killpg(run.pid, signal.SIGINT)
