"""The file that a download goes to before it is complete: kept from try to try, and written by one process."""

import errno
import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import is_at
from scripts.lib.server.patience import patiently


class _Busy(Exception):
    """Another process downloads the same file."""


@contextmanager
def alone(part: Path) -> Iterator[IO[bytes]]:
    """Open the file that is downloaded to, as the only process: one may be left of a run that was killed.

    If the block fails, the file stays for the next try, unless it is empty or the media is at fault.

    Raises:
        PipelineError: another one is at it for longer than patience.patience().
    """
    try:
        stream = patiently(_Busy)(_locked, part)
    except _Busy as busy:
        who = f"fuser {shlex.quote(str(part))}"
        raise PipelineError(f"{busy}; end it (`{who}` names it), or run again when it has ended") from None
    with stream:
        try:
            yield stream
        except BaseException as error:
            useless = isinstance(error, MediaFault) or not size_of(stream)
            if useless and is_at(part, stream.fileno()):
                part.unlink()
            raise


def _locked(part: Path) -> IO[bytes]:
    stream = part.open("a+b", buffering=0)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            # A file system without locks: what another process still writes goes into nothing, and it gives up.
            stream.close()
            part.unlink(missing_ok=True)
            return part.open("a+b", buffering=0)
        stream.close()
        if not isinstance(error, BlockingIOError):
            raise
    else:
        if is_at(part, stream.fileno()):  # else the one before has finished it
            return stream
        stream.close()
    raise _Busy(f"{part}: another process still downloads this media, perhaps one that a killed run left")


def size_of(part: IO[bytes]) -> int:
    """Return how many bytes there are."""
    return part.seek(0, os.SEEK_END)


def write_all(part: IO[bytes], chunk: bytes) -> None:
    """Write all of it: a disk that becomes full takes a part first, and says so only when asked again."""
    while chunk:
        chunk = chunk[part.write(chunk) :]
