"""Download a stored file: interrupted transfers are resumed, and the result is checked."""

import logging
import re
from dataclasses import dataclass, field
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
from scripts.lib.tator_md5 import NO_MD5, TatorMd5, tator_md5

# Name of this call in the note about a store that does not answer.
CALL = "send files"
CHUNK_BYTES = 1 << 20
# The limit in bytes if Tator has no size for a file.
LARGEST_WITHOUT_SIZE = 1 << 30

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_STRONG_ETAG = re.compile(r'"[!#-~]*"')
# Redirects that requests does not follow.
_UNUSABLE_REDIRECTS = (
    *(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema),
    requests.exceptions.TooManyRedirects,
)

_log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """A transfer ended early or had the wrong bytes; the text contains no secret."""


class _StoreAway(_Interrupted):
    """The whole store is unavailable: there is no connection, or a gateway says so."""


class _NoSuchFile(_Interrupted):
    """The store has no such file, or refuses the address.

    S3 answers 403 instead of 404 to users who may not list its files, and 400 to an address whose credentials expired.
    """


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
    transfer = _Transfer(connection.store, stream, file.size)

    def once() -> None:
        try:
            address = _address(connection, wanted)
            tries.store = Outage(address, CALL)
            progress = Progress("MB", what=f"media {wanted.media_id}: ", scale=10**6, done=size_of(stream))
            try:
                with transfer.rate.watching(_peer(address)):
                    _complete(transfer, address, progress)
            except ServerError as error:
                # A slow file or a bad reference says nothing about the store's other files.
                if isinstance(error, TooSlow | AnswerTooLarge | MediaServerError) or is_reference(file.path):
                    raise MediaServerError(f"media {wanted.media_id}: {error}") from None
                raise
            md5.compare(stream)
        except _NoSuchFile:
            connection.note_refusal(wanted)
            _require_media(connection, wanted)
            raise
        except _Interrupted as interrupted:
            # Each received byte resets the time limit, so that a large file can be downloaded over a bad line.
            if size_of(stream) > furthest:
                raise _InterruptedWithProgress(str(interrupted)) from None
            raise

    while True:
        try:
            retrying(_Interrupted, give_up=tries.give_up)(once)
        except _InterruptedWithProgress as progress:
            furthest = size_of(stream)
            _log.warning("%s after %d bytes; continuing", progress, furthest)
        except _Interrupted as interrupted:
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
            _Interrupted: the md5 is wrong, and not the one of the transfer before.
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
        kind = _Interrupted if self._wrong else _InterruptedWithProgress
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


@dataclass
class _Transfer:
    """The download of a file, in one or more tries.

    Attributes:
        store: the session without the token.
        stream: the file, with the bytes received so far.
        size: size of the whole file in bytes; None if Tator does not have it.
        rate: the check of the number of received bytes.
        etag: the strong ETag of the file whose bytes were received; None if the store sent none.
    """

    store: requests.Session
    stream: IO[bytes]
    size: int | None
    rate: LeastRate = field(default_factory=LeastRate)
    etag: str | None = None


def _complete(transfer: _Transfer, address: str, progress: Progress) -> None:
    """Append the missing part of the file to the stream.

    Args:
        transfer: the download.
        address: the presigned address, which is secret.
        progress: the log of the number of bytes in the file.

    Raises:
        _Interrupted: the bytes on disk are not the whole file.
        OSError: the disk is full or not writable.
    """
    stream, size = transfer.stream, transfer.size
    says = "Tator says"
    if size_of(stream) != size or size == 0:
        of_store = _append(transfer, address, progress)
        if size is None:
            size, says = of_store, "the store says"
    if size is not None and (have := size_of(stream)) != size:
        if have > size:
            stream.truncate(0)
        raise _Interrupted(f"{have} bytes came, {says} {size}")


def _append(transfer: _Transfer, address: str, progress: Progress) -> int | None:
    """Append the bytes of one answer; return the size of the whole file according to the store, if it says one."""
    stream, size = transfer.stream, transfer.size
    have = size_of(stream)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and transfer.etag:
        headers["If-Range"] = transfer.etag
    # Otherwise requests would decompress files that a store sends compressed, and offsets would be wrong.
    headers["Accept-Encoding"] = "identity"
    answered = False
    try:
        with transfer.store.get(address, headers=headers, stream=True) as answer:
            answered = True
            total = _whole_size(transfer, answer)
            have = size_of(stream)
            # Bytes are written as they arrive, as an interrupted transfer would lose an incomplete block.
            for chunk in pieces(answer, CHUNK_BYTES):
                write_all(stream, chunk)
                have += len(chunk)
                transfer.rate.count_bytes(len(chunk))
                progress.report(have, size)
                if size is not None and have > size:  # a store could send forever
                    break
                if size is None and have > LARGEST_WITHOUT_SIZE:
                    stream.truncate(0)
                    raise MediaServerError(
                        f"the store ({_peer(address)}) sent more than {LARGEST_WITHOUT_SIZE} bytes of a file of which "
                        "Tator says no size; expected one with its size: upload the media again"
                    )
    except _UNUSABLE_REDIRECTS as error:
        raise MediaServerError(
            f"the store ({_peer(address)}) redirects to an address that cannot be used ({type(error).__name__}); "
            "expected one of the file: correct the reference in Tator, or the store"
        ) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if untrusted(error):
            raise ServerError(f"the store's certificate is not trusted ({_peer(address)}); {TRUST}") from None
        # Its text contains the address, which is secret.
        kind = _Interrupted if answered else _StoreAway
        raise kind(f"the transfer was interrupted ({type(error).__name__})") from None
    return total


def _whole_size(transfer: _Transfer, answer: requests.Response) -> int | None:
    """Check that an answer continues the received bytes, or remove them if it is the whole file.

    Returns:
        The size of the whole file, if the store says one.

    Raises:
        _Interrupted: the answer has no bytes of the file, or continues another one.
    """
    stream, status = transfer.stream, answer.status_code
    have, size, fault = size_of(stream), None, None
    if status in (400, 401, 403, 404):
        raise _NoSuchFile(f"the store answered {status}")
    if status in (502, 503, 504):
        raise _StoreAway(f"the store answered {status}")
    if status == 416:
        fault = f"the store has {have} bytes or fewer, Tator says {transfer.size}"
    elif status == 206:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        size = int(found[2]) if found and found[2] != "*" else None
        if found is None or int(found[1]) != have:
            fault = f"the store sent another part of the file than the one from byte {have}"
        elif have and transfer.etag and _etag(answer) not in (None, transfer.etag):
            fault = "the file was replaced in the store"
    elif status != 200:
        raise _Interrupted(f"the store answered {status}")
    if fault or status == 200:
        stream.truncate(have := 0)
    if fault:
        raise _Interrupted(fault)
    if have == 0 or transfer.etag is None:
        transfer.etag = _etag(answer)
    return size


def _etag(answer: requests.Response) -> str | None:
    etag = answer.headers.get("ETag", "")
    return etag if _STRONG_ETAG.fullmatch(etag) else None


def _peer(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]
