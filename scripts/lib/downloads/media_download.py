"""Download the file of a media: try until it is complete, and compare its md5 with Tator's."""

import logging
from typing import IO

from scripts.lib.downloads.connection import Connection, NoAddress
from scripts.lib.downloads.part_files import size_of
from scripts.lib.downloads.references import is_reference
from scripts.lib.downloads.transfer import Interrupted, NoSuchFile, StoreAway, Transfer, complete, peer
from scripts.lib.errors import MediaFault, MediaServerError, ServerError
from scripts.lib.network_access.answers import AnswerTooLarge
from scripts.lib.network_access.least_rate import TooSlow
from scripts.lib.network_access.retry import retrying
from scripts.lib.progress import Progress
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.server.faults import Refused
from scripts.lib.server.outages import TRIES, Outage
from scripts.lib.server.tator_md5 import NO_MD5, TatorMd5, tator_md5

# Name of this call in the note about a store that does not answer.
CALL = "send files"

_log = logging.getLogger(__name__)


class _InterruptedWithProgress(Exception):
    """A transfer was interrupted after some bytes."""


def md5_of_file(wanted: MediaRecord) -> str | None:
    """Return Tator's md5 of the file to download; None if it is of another file, or there is none."""
    file = wanted.chosen_file
    # Tator's md5 is of the original, which is the archival file; an empty file has none.
    has_md5 = file.role == "archival" and wanted.md5 not in (None, "", NO_MD5) and file.size != 0
    return wanted.md5 if has_md5 else None


def download(connection: Connection, wanted: MediaRecord, stream: IO[bytes], *, resumable: bool) -> DownloadRecord:
    """Download the whole file; return the record of the download.

    A file whose md5 is wrong is downloaded again. If its md5 is the same then, it is not the file that was uploaded:
    it is kept, and `md5_checked` is false.

    Args:
        connection: the connection to Tator and its store.
        wanted: the media's record.
        stream: the file, with the bytes received so far.
        resumable: whether the next run will find this file.

    Raises:
        MediaFault: the media was deleted during the download.
        ServerError: no bytes arrived for longer than patience(), the store is not trusted, or Tator refuses.
        OSError: the disk is full or not writable.
    """
    file = wanted.chosen_file
    md5 = _Md5Check(wanted)
    is_checked = md5_of_file(wanted) is not None or file.size is not None
    furthest = _usable_bytes(stream, file.size, is_checked=is_checked)
    tries = _Tries()
    transfer = Transfer(connection.store, stream, file.size)

    def once() -> None:
        try:
            address = _address(connection, wanted)
            tries.store = Outage(address, CALL)
            progress = Progress("MB", what=f"media {wanted.media_id}: ", scale=10**6, done=size_of(stream))
            try:
                with transfer.rate.watching(peer(address)):
                    complete(transfer, address, progress)
            except ServerError as error:
                # A slow file or a bad reference says nothing about the store's other files.
                if isinstance(error, TooSlow | AnswerTooLarge | MediaServerError) or is_reference(file.path):
                    raise MediaServerError(f"media {wanted.media_id}: {error}") from None
                raise
            md5.compare(stream)
        except NoSuchFile:
            connection.note_refusal(wanted)
            _require_media(connection, wanted)
            raise
        except Interrupted as interrupted:
            # Each received byte resets the time limit, so that a large file can be downloaded over a bad line.
            if size_of(stream) > furthest:
                raise _InterruptedWithProgress(str(interrupted)) from None
            raise

    while True:
        try:
            retrying(Interrupted, give_up=tries.give_up)(once)
        except _InterruptedWithProgress as progress:
            furthest = size_of(stream)
            _log.warning("%s after %d bytes; continuing", progress, furthest)
        except Interrupted as interrupted:
            on = f" to continue from byte {size_of(stream)}" if resumable and is_checked and size_of(stream) else ""
            raise MediaServerError(
                f"media {wanted.media_id}: {tries.final_message(interrupted)}; run again{on}, or look at the media in "
                "Tator"
            ) from None
        else:
            tries.store.clear()
            size = size_of(stream)
            _log.info("media %d: %d bytes%s", wanted.media_id, size, ", md5 checked" * md5.is_equal)
            media_id = wanted.media_id
            return DownloadRecord(media_id=media_id, state="ready", reason=None, bytes=size, md5_checked=md5.is_equal)


class _Md5Check:
    """The comparison of a file's md5 with Tator's.

    Attributes:
        is_equal: whether they were compared and are equal, once the file was downloaded.
    """

    def __init__(self, wanted: MediaRecord) -> None:
        self._media_id = wanted.media_id
        self._md5 = md5_of_file(wanted)
        self._wrong: TatorMd5 | None = None
        self.is_equal = self._md5 is not None

    def compare(self, stream: IO[bytes]) -> None:
        """Compare a whole file, and empty it if it is to be downloaded again.

        Raises:
            Interrupted: the md5 is wrong, and not the one of the transfer before.
            _InterruptedWithProgress: the same for the first time: the second transfer may take as long as the first.
        """
        if self._md5 is None or self._md5 in (found := tator_md5(stream)):
            return
        wrong = f"the file's md5 is {found.uploaded}, Tator's is {self._md5}"
        if found == self._wrong:
            self.is_equal = False
            _log.warning(
                "media %d: %s, in two transfers: it is not the uploaded file; perhaps Tator encoded it again",
                *(self._media_id, wrong),
            )
            return
        stream.truncate(0)
        kind = Interrupted if self._wrong else _InterruptedWithProgress
        self._wrong = found
        raise kind(wrong)


def _usable_bytes(stream: IO[bytes], size: int | None, *, is_checked: bool) -> int:
    """Remove the bytes of an earlier run if they are too many, or could be of another file; return how many remain."""
    if not is_checked or (size is not None and size_of(stream) > size):
        stream.truncate(0)
    return size_of(stream)


class _Tries:
    """The tries to download a file; there are fewer if another job has already waited for the store.

    Attributes:
        store: the note about an outage of the store of the last try.
    """

    def __init__(self) -> None:
        self.store = Outage("", CALL)
        self._seconds = 0.0
        self._waited = False

    def give_up(self, fault: BaseException, tries: int, seconds: float) -> bool:
        """Return whether to give up now; see `retrying`."""
        self._seconds = seconds
        self._waited = isinstance(fault, StoreAway) and tries >= TRIES and self.store.is_noted()
        return self._waited

    def final_message(self, interrupted: Interrupted) -> str:
        """Return the message of the last error, and note for other jobs that the store is unavailable, if it is."""
        if isinstance(interrupted, StoreAway):
            self.store.note(str(interrupted))
        return f"{interrupted}; tried for {self._seconds:.0f} s{', as another job has waited already' * self._waited}"


def _address(connection: Connection, wanted: MediaRecord) -> str:
    """Return the address of the media's file.

    Raises:
        MediaFault: the media was deleted.
        ServerError: Tator fails, or refuses the address.
    """
    try:
        return connection.address(wanted)
    except (Refused, NoAddress):
        _require_media(connection, wanted)
        raise


def _require_media(connection: Connection, wanted: MediaRecord) -> None:
    """Raise MediaFault if the media is no longer in Tator."""
    if not connection.project.media([wanted.media_id]):
        raise MediaFault("missing", "it was deleted while the workflow ran")
