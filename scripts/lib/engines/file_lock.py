"""Lock an engine's files: jobs that start together on a machine build them only once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.lib.errors import DeviceError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock, which the system releases even if the process is killed.

    Raises:
        DeviceError: the file system has no locks.
    """
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:
            raise DeviceError(
                f"{path} cannot be locked: {error}; choose a folder on another file system with --directory"
            ) from error
        try:
            yield
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)  # closing does not suffice if a process was forked meanwhile
