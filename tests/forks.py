"""Start processes as forks of one that has imported Snakemake and the Tator stand-in, which take long to import.

Each start of Snakemake spends two seconds of processor time on imports, and the tests start it some hundred times.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path

SLOW_TO_IMPORT = (
    "snakemake.cli",
    "snakemake.persistence",
    # Modules that Snakemake imports only when it runs.
    "snakemake.report.html_reporter",
    "snakemake_logger_plugin_rich",
    "nbformat",
    "smart_open",
    "yte",
    "rich.progress",
    "pandas",
    "requests",
    "jsonschema",
    "av",
    "PIL.Image",
    "tests.tator_server.launch",
)
# Modules of the checkout that runs, not of this one.
_NOT_SHARED = ("tests", "scripts")
_START_SECONDS = 30.0
_ROOT = Path(__file__).resolve().parents[1]


@cache
def context() -> ForkServerContext:
    """Return the context that starts such processes, in the folder of this checkout."""
    found = multiprocessing.get_context("forkserver")
    with chdir(_ROOT):  # so that the forked process finds this checkout's modules
        ensure_running()
    return found


class Snakemake:
    """A running `python -m snakemake`, in a new session, with methods of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], output: Path) -> None:
        """Start Snakemake.

        Args:
            arguments: arguments after `python -m snakemake`.
            folder: current folder.
            environ: all environment variables.
            output: file for standard output and error.
        """
        umask = os.umask(0)
        os.umask(umask)
        self._arguments = list(arguments)
        self._process: BaseProcess = context().Process(
            target=_run, args=(self._arguments, folder, dict(environ), umask, output)
        )
        self._process.start()
        deadline = time.monotonic() + _START_SECONDS
        while self.poll() is None and os.getpgid(self.pid) != self.pid:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Snakemake has no session of its own after {_START_SECONDS:g} s")
            time.sleep(0.001)

    @property
    def pid(self) -> int:
        """Return its process id, which is also that of its process group."""
        return self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Return the exit status once it has ended; raises subprocess.TimeoutExpired."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(["snakemake", *self._arguments], seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to Snakemake, but not to its jobs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill Snakemake, but not its jobs."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], folder: Path, environ: dict[str, str], umask: int, output: Path) -> None:
    os.setsid()
    os.chdir(folder)
    os.umask(umask)
    same_modules = environ.get("PYTHONPATH") == os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(environ)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if not same_modules:  # the imported modules do not know the plugins there
        # Like the command `snakemake`, do not import from the current folder.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "snakemake", *arguments])
    tempfile.tempdir = None  # computed from other variables
    for name in [name for name in sys.modules if name.partition(".")[0] in _NOT_SHARED]:
        del sys.modules[name]
    sys.argv[1:] = arguments
    try:
        runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    finally:  # a process of multiprocessing leaves them out
        atexit._run_exitfuncs()
