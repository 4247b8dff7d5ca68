"""Write files completely or not at all, compute hashes, and read and write JSON."""

import ctypes
import errno
import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scripts.lib.errors import PipelineError
from scripts.lib.text import json_text
from scripts.lib.text.display_text import as_json

# Bytes for Snakemake's lock, log and metadata; the space for media is checked before each download.
_LEAST_ROOM = 2**16
# Folders that a run makes in its folder.
_FOLDERS_OF_A_RUN = (".snakemake", "logs", "resources", "results")
# Bytes of a picture, a clip or a list of them in a zip file, at most.
LARGEST_MEMBER = 2**27
# Bytes that are hashed at once; most files of a run are smaller.
_SMALL = 2**16
_LIBC = ctypes.CDLL(None, use_errno=True)


def check_writable(folder: Path) -> None:
    """Refuse a folder to which a run cannot write, as Snakemake would end with a traceback.

    Raises:
        PipelineError: the folder or one that runs make in it is read-only, or its disk is full.
    """
    for path in (folder, *(folder / name for name in _FOLDERS_OF_A_RUN)):
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            raise PipelineError(
                f"{path}: it cannot be written to; make it writable, or choose another with --directory"
            )
    if (free := shutil.disk_usage(folder).free) < _LEAST_ROOM:
        raise PipelineError(
            f"{folder}: {free} bytes are free on its disk, expected at least {_LEAST_ROOM}; make room, or choose "
            "another folder with --directory"
        )


def home() -> Path | None:
    """Return the user's home folder; None if HOME is not set and the user's id is not in the system's user list."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def is_below(path: Path, folder: Path) -> bool:
    """Return whether a path is below a folder by its name; links are not followed, as they may lead to another disk."""
    return Path(os.path.normpath(path.absolute())).is_relative_to(os.path.normpath(folder.absolute()))


def is_at(path: Path | str, descriptor: int) -> bool:
    """Return whether a path still refers to the open file of a descriptor."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116
    except FileNotFoundError:
        return False


@contextmanager
def replacing(path: Path, mode: str = "w", *, synced: bool = True) -> Iterator[IO[Any]]:
    """Open a temporary file in the same folder for writing, and rename it to `path` when the block ends normally.

    The temporary file has a fixed name (`.NAME.part`). So a killed run leaves at most one, which the next attempt
    removes; a job that outlives its killed run then writes to a deleted file, and fails. After an exception the
    temporary file is removed.

    Args:
        path: the file to write.
        mode: mode of `open`.
        synced: whether to synchronize the file to its disk before it is renamed. Otherwise other programs see a
            complete file, which may be lost in a power failure until `sync` has returned.

    Raises:
        PipelineError: another process has started to write the same file.
    """
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    with _renamed_to(path, synced=synced) as (part, descriptor):

        def opener(*_: object) -> int:
            return os.dup(descriptor)

        with open(part, mode, encoding=encoding, newline=newline, opener=opener) as stream:
            yield stream


@contextmanager
def _renamed_to(path: Path, *, synced: bool) -> Iterator[tuple[str, int]]:
    """Yield the name and the descriptor of the temporary file; see `replacing`."""
    # Creating a Path takes longer than opening the file, and each media has several files.
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.part")  # noqa: PTH118
    try:
        descriptor = _create(part)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    try:
        yield part, descriptor
        if synced:
            os.fsync(descriptor)
        if not is_at(part, descriptor):
            raise PipelineError(f"{path}: another process writes it too; this one, which is older, gives up")
        os.replace(part, path)  # noqa: PTH105
    except BaseException as error:
        if is_at(part, descriptor):
            Path(part).unlink(missing_ok=True)
        if isinstance(error, OSError) and (error.filename == part or _is_of_full_disk(error)):
            error.filename = os.fspath(path)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Name a file or folder in the error of a write into it without room, which itself names no file."""
    try:
        yield
    except OSError as error:
        if _is_of_full_disk(error):
            error.filename = os.fspath(path)
        raise


def _is_of_full_disk(error: OSError) -> bool:
    """Return whether an error is that of a write without room, which names no file."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _create(part: str) -> int:
    """Create the temporary file, in place of an existing one; return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(part, flags, 0o666)
    except FileExistsError:
        Path(part).unlink(missing_ok=True)
        return os.open(part, flags, 0o666)


def write_bytes(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a file, complete or not at all; see `replacing`."""
    with _renamed_to(path, synced=synced) as (_, descriptor):
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]


def sync(paths: Iterable[Path]) -> None:
    """Synchronize closed files to their disks.

    If the system supports it, each disk is synchronized as a whole (`syncfs`), which takes a tenth of the time.

    Raises:
        OSError: a file is missing, or its disk is full or fails.
    """
    disks: dict[int, list[Path]] = {}
    for path in paths:
        disks.setdefault(path.stat().st_dev, []).append(path)
    for files in disks.values():
        for path in files:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if _sync_disk(descriptor):
                    break
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _sync_disk(descriptor: int) -> bool:
    """Synchronize all files of a descriptor's disk; return whether the system supports it.

    Raises:
        OSError: the disk is full or fails.
    """
    syncfs = getattr(_LIBC, "syncfs", None)  # in Linux; Python has no function for it
    if syncfs is None:
        return False
    if syncfs(descriptor):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return True


def sha256(path: Path) -> str:
    """Return the file's SHA-256 as hexadecimal digits."""
    with path.open("rb", buffering=0) as stream:
        begin = stream.read(_SMALL)
        if len(begin) < _SMALL:
            return hashlib.sha256(begin).hexdigest()  # file_digest would allocate a large buffer
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_text(path: Path, largest: int) -> str:
    """Return the content of a user's text file, without a byte order mark.

    Args:
        path: the file.
        largest: largest size of the file in bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is a folder, a device or a pipe, is too large, or is not UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # otherwise opening a pipe waits for a writer
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is a folder" if stat.S_ISDIR(state.st_mode) else "it is a device or a pipe")
        if state.st_size > largest:
            raise ValueError(f"it has {state.st_size} bytes, at most {largest} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(largest)
    finally:
        os.close(descriptor)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of a file in a zip file, which may not have been written by a run.

    Raises:
        PipelineError: the file does not exist, is damaged, or is larger than LARGEST_MEMBER when unpacked.
    """
    try:
        if (size := archive.getinfo(name).file_size) > LARGEST_MEMBER:
            raise PipelineError(
                f"{archive.filename}: {name} has {size} bytes; expected at most {LARGEST_MEMBER}: make it again"
            )
        # It reads at most the declared size. It raises RuntimeError for compressions that Python lacks.
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise PipelineError(f"{archive.filename}: {name} cannot be read ({error}); make it again") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    return json_text.parse(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: Any, *, synced: bool = True) -> None:
    """Write a JSON file, complete or not at all; raise ValueError for NaN and infinity, which JSON does not support."""
    write_bytes(path, f"{as_json(content, indent=2)}\n".encode(), synced=synced)
