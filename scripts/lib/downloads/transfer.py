"""Download a stored file: interrupted transfers are resumed, and the result is checked."""

import logging
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

import requests
import urllib3

from scripts.lib.downloads.connection import Connection, NoAddress
from scripts.lib.downloads.part_files import size_of, write_all
from scripts.lib.downloads.references import is_reference
from scripts.lib.errors import MediaFault, MediaServerError, ServerError
from scripts.lib.network_access.answers import AnswerTooLarge, pieces
from scripts.lib.network_access.least_rate import LeastRate, TooSlow
from scripts.lib.progress import Progress
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.retry import retrying
from scripts.lib.server.faults import Refused
from scripts.lib.server.outages import TRIES, Outage
from scripts.lib.server.sessions import TRUST, untrusted
from scripts.lib.tator_md5 import NO_MD5, tator_md5

# Name of this call in the note about a store that does not answer.
CALL = "send files"
CHUNK_BYTES = 1 << 20
# The limit in bytes if Tator has no size for a file.
LARGEST_WITHOUT_SIZE = 1 << 30

_log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """A transfer ended early or had the wrong bytes; the text contains no secret."""


class _StoreAway(_Interrupted):
    """The whole store is unavailable: there is no connection, or a gateway says so."""


class _NoSuchFile(_Interrupted):
    """The store has no such file; S3 answers 403 instead of 404 to users who may not list its files."""


class _InterruptedWithProgress(Exception):
    """A transfer was interrupted after some bytes."""


def download(connection: Connection, wanted: MediaRecord, stream: IO[bytes], *, resumable: bool) -> DownloadRecord:
    """Download the whole file; return the record of the download.

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
    # Tator's md5 is of the original, which is the archival file; an empty file has none.
    has_md5 = file.role == "archival" and wanted.md5 not in (None, "", NO_MD5) and file.size != 0
    furthest = size_of(stream)
    tries = _Tries()
    rate = LeastRate()

    def once() -> None:
        nonlocal furthest
        try:
            address = _address(connection, wanted)
            tries.store = Outage(address, CALL)
            progress = Progress("MB", what=f"media {wanted.media_id}: ", scale=10**6, done=size_of(stream))
            try:
                with rate.watching(_peer(address)):
                    _complete(_Transfer(connection.store, address, stream, file.size, progress, rate))
            except ServerError as error:
                # A slow file or a bad reference says nothing about the store's other files.
                if isinstance(error, TooSlow | AnswerTooLarge) or is_reference(file.path):
                    raise MediaServerError(f"media {wanted.media_id}: {error}") from None
                raise
            if has_md5 and (found := tator_md5(stream)) != wanted.md5:
                stream.truncate(0)
                raise _Interrupted(f"the file's md5 is {found}, Tator's is {wanted.md5}")
        except _NoSuchFile:
            connection.note_refusal(wanted)
            _require_media(connection, wanted)
            raise
        except _Interrupted as interrupted:
            # Each received byte resets the time limit, so that a large file can be downloaded over a bad line.
            if size_of(stream) > furthest:
                furthest = size_of(stream)
                raise _InterruptedWithProgress(str(interrupted)) from None
            raise

    while True:
        try:
            retrying(_Interrupted, give_up=tries.give_up)(once)
        except _InterruptedWithProgress as progress:
            _log.warning("%s after %d bytes; continuing", progress, size_of(stream))
        except _Interrupted as interrupted:
            on = f" to continue from byte {size_of(stream)}" if resumable and size_of(stream) else ""
            raise MediaServerError(
                f"media {wanted.media_id}: {tries.final_message(interrupted)}; run again{on}, or look at the media in "
                "Tator"
            ) from None
        else:
            tries.store.clear()
            size = size_of(stream)
            _log.info("media %d: %d bytes%s", wanted.media_id, size, ", md5 checked" * has_md5)
            media_id = wanted.media_id
            return DownloadRecord(media_id=media_id, state="ready", reason=None, bytes=size, md5_checked=has_md5)


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
        self._waited = isinstance(fault, _StoreAway) and tries >= TRIES and self.store.is_noted()
        return self._waited

    def final_message(self, interrupted: _Interrupted) -> str:
        """Return the message of the last error, and note for other jobs that the store is unavailable, if it is."""
        if isinstance(interrupted, _StoreAway):
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


@dataclass(frozen=True)
class _Transfer:
    """One try to download a file.

    Attributes:
        store: the session without the token.
        address: the presigned address, which is secret.
        stream: the file, with the bytes received so far.
        size: size of the whole file in bytes; None if Tator does not have it.
        progress: the log of the number of bytes in the file.
        rate: the check of the number of received bytes.
    """

    store: requests.Session
    address: str
    stream: IO[bytes]
    size: int | None
    progress: Progress
    rate: LeastRate


def _complete(transfer: _Transfer) -> None:
    """Append the missing part of the file to the stream.

    Raises:
        _Interrupted: the bytes on disk are not the whole file.
        OSError: the disk is full or not writable.
    """
    stream, size = transfer.stream, transfer.size
    have = size_of(stream)
    if size is not None and have > size:
        stream.truncate(have := 0)
    if have != size or size == 0:
        _append(transfer)
    if size is not None and (have := size_of(stream)) != size:
        if have > size:
            stream.truncate(0)
        raise _Interrupted(f"{have} bytes came, Tator says {size}")


def _append(transfer: _Transfer) -> None:
    stream, size = transfer.stream, transfer.size
    have = size_of(stream)
    headers = {"Range": f"bytes={have}-"} if have else {}
    # Otherwise requests would decompress files that a store sends compressed, and offsets would be wrong.
    headers["Accept-Encoding"] = "identity"
    answered = False
    try:
        with transfer.store.get(transfer.address, headers=headers, stream=True) as answer:
            answered = True
            if answer.status_code == 416:
                stream.truncate(0)
                raise _Interrupted(f"the store has {have} bytes or fewer, Tator says {size}")
            if answer.status_code in (403, 404):
                raise _NoSuchFile(f"the store answered {answer.status_code}")
            if answer.status_code in (502, 503, 504):
                raise _StoreAway(f"the store answered {answer.status_code}")
            if answer.status_code not in (200, 206):
                raise _Interrupted(f"the store answered {answer.status_code}")
            if answer.status_code == 200:
                stream.truncate(have := 0)
            stream.seek(have)
            # Bytes are written as they arrive, as an interrupted transfer would lose an incomplete block.
            for chunk in pieces(answer, CHUNK_BYTES):
                write_all(stream, chunk)
                have += len(chunk)
                transfer.rate.count_bytes(len(chunk))
                transfer.progress.report(have, size)
                if size is not None and have > size:  # a store could send forever
                    break
                if size is None and have > LARGEST_WITHOUT_SIZE:
                    stream.truncate(0)
                    raise MediaServerError(
                        f"the store ({_peer(transfer.address)}) sent more than {LARGEST_WITHOUT_SIZE} bytes of a file "
                        "of which Tator says no size; expected one with its size: upload the media again"
                    )
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if untrusted(error):
            raise ServerError(f"the store's certificate is not trusted ({_peer(transfer.address)}); {TRUST}") from None
        # Its text contains the address, which is secret.
        kind = _Interrupted if answered else _StoreAway
        raise kind(f"the transfer was interrupted ({type(error).__name__})") from None


def _peer(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]
