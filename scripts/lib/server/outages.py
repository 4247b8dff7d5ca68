"""Share outages of a server between the jobs of a run, so that a run waits for the server once.

A job that gave up on a server after `patience()` leaves a note in the run's folder. While the note is recent, the other
jobs try only `TRIES` times, so that a run does not wait once for each media. The note is removed when the server
answers the same call, and when the next run begins. There is a note for each call, as Tator still returns its schema
without its database, and still lists media without its cache. If jobs share no folder, each job waits.
"""

import hashlib
import json
import logging
import math
import os
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

from scripts.lib.errors import STORE_VARIABLE, PipelineError
from scripts.lib.files import replacing
from scripts.lib.network_access.retry import patience

# In the run's folder: an empty file for each server that has answered, a JSON file for each call that fails.
FOLDER = Path("resources/servers")
_AWAY = "away.json"

# The number of tries, in the first second or two, if another job has already waited.
TRIES = 3
# Seconds until giving up on a server that has never answered a job of this folder, as most such addresses are wrong.
NEVER_ANSWERED_SECONDS = 20.0

_log = logging.getLogger(__name__)


class Outage:
    """The notes about one server, which all jobs may read and write at the same time."""

    def __init__(self, address: str, call: str) -> None:
        """Set the paths of the notes; no note is read or written.

        Args:
            address: an address of the server; only a hash of its host and port is stored, as it may be secret.
            call: the purpose of the call, such as "list media".
        """
        server = urlsplit(address).netloc.rpartition("@")[2]
        self._name = hashlib.sha256(server.encode()).hexdigest()[:16]
        named = re.sub(r"[^A-Za-z0-9]+", "_", call)
        self._note, self._answered = FOLDER / f"{self._name}+{named}.{_AWAY}", FOLDER / f"{self._name}.answered"

    def is_noted(self) -> bool:
        """Return whether a job gave up on the server in the last `patience()` seconds, and its call still fails."""
        # At least a second, as the clocks of file systems and of several machines differ a little.
        limit = max(1.0, patience())
        return any(abs(time.time() - _written(note)) <= limit for note in FOLDER.glob(f"{self._name}+*.{_AWAY}"))

    def note(self, fault: str) -> None:
        """Write a note that a job gave up; `fault` contains no secret."""
        if not FOLDER.parent.is_dir():  # this is a command outside a run's folder
            return
        try:
            FOLDER.mkdir(exist_ok=True)
            with replacing(self._note) as stream:
                json.dump({"fault": fault}, stream)
        except (OSError, PipelineError) as error:  # another job writes the note too, or the folder is read-only
            _log.info("other jobs are not told that a server does not answer: %s", error)

    def clear(self) -> None:
        """Note that the server answered the call."""
        try:
            self._note.unlink(missing_ok=True)
            if FOLDER.parent.is_dir() and not self._answered.exists():
                FOLDER.mkdir(exist_ok=True)
                self._answered.touch()
        except OSError as error:
            _log.info("other jobs are not told that a server answers: %s", error)

    def never_answered(self) -> bool:
        """Return whether the server has never answered a job of this folder, according to the notes."""
        return not os.environ.get(STORE_VARIABLE) and not self._answered.exists()


def _written(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except OSError:  # another job has removed it
        return -math.inf


def forget(folder: Path) -> None:
    """Remove the notes about servers that did not answer, also unfinished ones, when a run in the folder begins."""
    for note in (folder / FOLDER).glob(f"*{_AWAY}*"):
        note.unlink(missing_ok=True)
