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

from scripts.lib.signals import signals_held_back
from scripts.lib.token import VARIABLE, Redacting
from scripts.lib.workflow.jobs import log_filter

# For a log on a file system that answers slowly.
ANSWER_SECONDS = 60.0


class JobLog:
    """The log of this process."""

    def __init__(self, path: Path, *, go_on: bool = False) -> None:
        """Send file descriptors 1 and 2, and Python's logging, to a file.

        Args:
            path: the file.
            go_on: append to it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if go_on else os.O_TRUNC), 0o666)
        # It blocks the signals that end the job, and is in a group of its own that is not killed with the job.
        with signals_held_back():
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

    def takes(self, words: str) -> bool:
        """Write a text; return whether the file has it and everything written since the last call."""
        try:
            sys.stderr.write(words)
            self.wait_until_written()
        except OSError:
            return False
        return True

    def _end(self) -> None:
        """Wait for the output of an interpreter that ends with an exception."""
        with suppress(OSError):  # reported before, or there is nowhere left to report it
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
