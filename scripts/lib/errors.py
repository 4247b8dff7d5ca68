"""Errors that users may see, and which of them concern only one media.

PipelineError
├── SettingsError     the settings cannot be used
├── GraphError        the network's files cannot be used
├── DeviceError       the GPU, its driver or TensorRT does not work as the run needs
├── ServerError       Tator, or an object store that it names, does not work as the run needs
│   └── MediaServerError   ... for one media: its file, its record or its boxes
└── MediaFault        a fault of one media: recorded as that media's result, the others continue

A message has the value found, the expected value, and the remedy. It never contains the token or a presigned address.

A job for one media passes each exception to `of_one_media`. If it returns True, the media gets the state `failed` with
the reason, the other media are finished, marked and reported, the run ends with exit code 1, and the same command tries
that media again. Otherwise the job fails, and jobs that depend on it are not run:

- errors of one media: MediaFault, also for a file that cannot be opened or read (`file_fault`); MediaServerError and
  refusals of Tator (server/faults.Refused), unless it refuses the token; MemoryError; every unexpected exception, such
  as a ValueError in a decoder or in this workflow's code;
- errors of the whole run: SettingsError, GraphError, DeviceError; a server that does not answer for
  TATOR_PATIENCE_SECONDS, a certificate that is not trusted, a token that is refused; a disk that is full, read-only or
  broken (MACHINE_ERRORS); a package that cannot be imported.

With a storage such as S3, the record of a failure could not be removed to try the media again: there only a MediaFault
is an error of one media, and all other errors fail the job (STORE_VARIABLE).
"""

import errno
import os
from typing import Literal

MediaState = Literal["done", "no detections", "damaged", "unreadable", "unsupported", "missing", "skipped", "failed"]

# Environment variable that the workflow sets if files are in a storage such as S3.
STORE_VARIABLE = "TATOR_FILES_IN_STORE"

# Faults of the machine that a user can correct, and the remedies.
MACHINE_ERRORS = {
    errno.ENOSPC: "make room, or choose another folder with --directory, and run again",
    errno.EDQUOT: "make room in your quota, or choose another folder with --directory, and run again",
    errno.EFBIG: "files of this size are not allowed here (see ulimit -f); choose another folder with --directory",
    errno.EROFS: "the file system is read-only; choose another folder with --directory",
    errno.EACCES: "give this user the right to it, or choose another folder with --directory",
    errno.EIO: "the disk fails; choose another folder with --directory",
    errno.EMFILE: "a process may open too few files here (see ulimit -n); raise the limit and run again",
    errno.ENFILE: "the machine has too many open files; run again when it has fewer",
}
# Those that may also concern a single file.
_OF_FILES = (errno.EACCES, errno.EIO)


class PipelineError(Exception):
    """Stop a job with a message for the user; no traceback is shown.

    Attributes:
        of_one_media: whether it concerns only one media, see the module's docstring.
    """

    of_one_media = False


class SettingsError(PipelineError):
    """The settings cannot be used; the message has one line for each problem."""


class GraphError(PipelineError):
    """The network's graph or train.ini cannot be used."""


class DeviceError(PipelineError):
    """The GPU, its driver or TensorRT is missing, or failed."""


class ServerError(PipelineError):
    """Tator, or an object store that it names, refused or failed permanently."""


class MediaServerError(ServerError):
    """Tator, or an object store that it names, refused or failed permanently for one media; others may work."""

    of_one_media = True


class MediaFault(PipelineError):
    """One media cannot be processed, for a reason other than a fault of the machine or the network.

    Attributes:
        state: the media's state in the summary.
        reason: a sentence for the user.
    """

    of_one_media = True

    def __init__(self, state: MediaState, reason: str) -> None:
        super().__init__(f"{state}: {reason}")
        self.state: MediaState = state
        self.reason = reason


def of_one_media(error: BaseException) -> bool:
    """Return whether an exception concerns only the media that was processed; see the module's docstring."""
    if os.environ.get(STORE_VARIABLE):
        return isinstance(error, MediaFault) and error.state != "failed"
    if isinstance(error, PipelineError):
        return error.of_one_media
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        return False
    return isinstance(error, Exception) and not isinstance(error, ImportError)


def file_fault(error: OSError) -> MediaFault:
    """Return the fault of a media whose file cannot be opened or read.

    Args:
        error: the error of opening or reading it.

    Raises:
        OSError: this error, if it concerns more than this file; see the module's docstring.
    """
    if os.environ.get(STORE_VARIABLE) or (error.errno in MACHINE_ERRORS and error.errno not in _OF_FILES):
        raise error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MediaFault("failed", "its file was removed since the run was planned; run again")
    remedy = "give this user the right to" if isinstance(error, PermissionError) else "check its disk"
    return MediaFault("failed", f"its file cannot be read ({error.strerror}); {remedy}, and run again")
