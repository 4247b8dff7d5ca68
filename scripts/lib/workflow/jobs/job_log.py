"""Redirect the output of a job and its libraries to its log, cleaned by a separate process (log_filter.py)."""

import atexit
import errno
import logging
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from scripts.lib.network_access.token import VARIABLE, Redacting
from scripts.lib.workflow.jobs import log_filter
from scripts.lib.workflow.processes.signals import signals_blocked

# How long to wait for the filter, as the log may be on a slow file system.
ANSWER_SECONDS = 60.0


class JobLog:
    """The log of this process."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        """Redirect file descriptors 1 and 2, and Python's logging, to a file.

        Args:
            path: the log file.
            append: whether to keep what the file contains.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if append else os.O_TRUNC), 0o666)
        # The filter blocks the signals that end the job, and is in another process group, not killed with the job.
        with signals_blocked():
            self._filter = subprocess.Popen(
                [sys.executable, "-I", "-S", log_filter.__file__, str(theirs.fileno())],
                env={VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {},
                stdin=reading,
                stdout=log,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        for standard in (sys.stdout, sys.stderr):
            standard.flush()
            os.dup2(writing, standard.fileno())
        for descriptor in (log, reading, writing):
            os.close(descriptor)
        theirs.close()
        self._control = ours
        self._control.settimeout(ANSWER_SECONDS)
        atexit.register(self._end)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Redacting("%(asctime)s %(levelname)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

    def write(self, text: str) -> bool:
        """Write a text; return whether it and everything written since the last call are in the file."""
        try:
            sys.stderr.write(text)
            self.wait_until_written()
        except OSError:
            return False
        return True

    def _end(self) -> None:
        """Wait until the last output is written, such as the traceback of an interpreter that ends."""
        with suppress(OSError):  # reported before, or it cannot be reported any more
            self.wait_until_written()

    def wait_until_written(self) -> None:
        """Wait until the file has everything that was written so far.

        Raises:
            OSError: a part could not be written.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        self._control.send(b"?")
        answer = self._control.recv(1)
        code = answer[0] if answer else errno.EPIPE
        if code:
            raise OSError(code, os.strerror(code), str(self._path))
