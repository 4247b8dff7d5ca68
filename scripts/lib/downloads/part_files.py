"""The file of an incomplete download: kept for the next try, and locked against other processes."""

import errno
import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import is_at
from scripts.lib.network_access.retry import retrying
from scripts.lib.records import MediaRecord, StoredFile


def part_path(media: Path, file: StoredFile) -> Path:
    """Return the path of a media's incomplete download, next to `media`; it depends on the file in Tator's store."""
    return media.with_name(f".{media.name}.{Path(file.path).name[-80:]}.unfinished")


def remove_stale(wanted: Mapping[Path, MediaRecord | None]) -> None:
    """Remove unfinished downloads of earlier runs that will not be continued.

    Args:
        wanted: for each media of this job, by the path of its file, the record of the file to download; None if it
            will not be downloaded. The names of these files contain no dot.
    """
    for folder in {media.parent for media in wanted}:
        for part in folder.glob(".*.unfinished"):
            media = folder / part.name.split(".")[1]
            if media in wanted:
                record = wanted[media]
                if part not in _unfinished(media, record):
                    part.unlink(missing_ok=True)


def _unfinished(media: Path, record: MediaRecord | None) -> list[Path]:
    """Return the paths of a media's possible incomplete downloads: of its file, and of Tator's copy of that."""
    if record is None or record.state != "ready":
        return []
    return [part_path(media, file) for file in (record.file, record.copy) if file is not None]


def require_room(stream: IO[bytes], size: int | None) -> None:
    """Refuse to begin a download that does not fit on the disk; `size` is the size of the whole file.

    Raises:
        PipelineError: the disk has too little space; the message names the folder and the sizes.
    """
    have = size_of(stream)
    if size is not None and (free := shutil.disk_usage(stream.fileno()).free) < size - have:
        raise PipelineError(
            f"{Path(stream.name).parent.absolute()}: {size - have} bytes have to be downloaded, and {free} are free; "
            "make room, or choose another folder with --directory, and run again"
        )


class _Busy(Exception):
    """Another process downloads the same file."""


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """Open the file of a download and lock it, as a process of a killed run may still write to it.

    If the block fails, the file is kept for the next try, unless it is empty or the fault is the media's.

    Raises:
        PipelineError: another process holds the lock for longer than patience().
    """
    try:
        stream = retrying(_Busy)(_locked, path)
    except _Busy as busy:
        who = f"fuser {shlex.quote(str(path))}"
        raise PipelineError(f"{busy}; end it (`{who}` names it), or run again when it has ended") from None
    with stream:
        try:
            yield stream
        except BaseException as error:
            useless = isinstance(error, MediaFault) or not size_of(stream)
            if useless and is_at(path, stream.fileno()):
                path.unlink()
            raise


def _locked(path: Path) -> IO[bytes]:
    stream = path.open("a+b", buffering=0)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            # A file system without locks: delete the file of another process, which ends when it notices that.
            stream.close()
            path.unlink(missing_ok=True)
            return path.open("a+b", buffering=0)
        stream.close()
        if not isinstance(error, BlockingIOError):
            raise
    else:
        if is_at(path, stream.fileno()):  # otherwise another process has finished and renamed the file
            return stream
        stream.close()
    raise _Busy(f"{path}: another process still downloads this media, perhaps one that a killed run left")


def size_of(stream: IO[bytes]) -> int:
    """Return the number of bytes in a file."""
    return stream.seek(0, os.SEEK_END)


def write_all(stream: IO[bytes], chunk: bytes) -> None:
    """Write all bytes: if the disk becomes full, one write is cut short, and only the next one raises an error."""
    while chunk:
        chunk = chunk[stream.write(chunk) :]
