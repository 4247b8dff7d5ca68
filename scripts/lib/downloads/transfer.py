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
from scripts.lib.tator_md5 import tator_md5

# What a note on a store that is away calls this.
CALL = "send files"
CHUNK_BYTES = 1 << 20
# Where Tator says how large a file is, that is the limit.
LARGEST_WITHOUT_SIZE = 1 << 30

_log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """A transfer ended early or gave the wrong bytes; the text is fit for a log."""


class _StoreAway(_Interrupted):
    """The store as a whole is away: no connection, or a gateway says so."""


class _NoSuchFile(_Interrupted):
    """The store has no such file, or does not say: S3 answers 403 to who may not list its files."""


class _InterruptedWithProgress(Exception):
    """A transfer was interrupted, and some bytes came before."""


def download(connection: Connection, wanted: MediaRecord, stream: IO[bytes], *, lasts: bool) -> DownloadRecord:
    """Download the whole file; return the record of the download.

    Args:
        connection: to Tator and its store.
        wanted: the media's record.
        stream: what came of the file so far, and where the rest goes.
        lasts: whether the next run finds what came.

    Raises:
        MediaFault: the media was deleted meanwhile.
        ServerError: it came no further for longer than patience(), the store is not trusted, or Tator refuses.
        OSError: the disk is full or not writable.
    """
    file = wanted.chosen_file
    # Tator's md5 is that of the original, which only the archival copy is; of an empty file there is none.
    has_md5 = file.role == "archival" and bool(wanted.md5) and file.size != 0
    furthest = size_of(stream)
    trying = _Trying()
    rate = LeastRate()

    def once() -> None:
        nonlocal furthest
        try:
            address = _address(connection, wanted)
            trying.store = Outage(address, CALL)
            progress = Progress("MB", what=f"media {wanted.media_id}: ", scale=10**6, done=size_of(stream))
            try:
                with rate.watching(_peer(address)):
                    _complete(_Transfer(connection.store, address, stream, file.size, progress, rate))
            except ServerError as error:
                # Another media's file may come faster, and whoever made a reference says nothing of the site's store.
                if isinstance(error, TooSlow | AnswerTooLarge) or is_reference(file.path):
                    raise MediaServerError(f"media {wanted.media_id}: {error}") from None
                raise
            if has_md5 and (found := tator_md5(stream)) != wanted.md5:
                stream.truncate(0)
                raise _Interrupted(f"the file's md5 is {found}, Tator's is {wanted.md5}")
        except _NoSuchFile:
            connection.refused(wanted)
            _require_media(connection, wanted)
            raise
        except _Interrupted as interrupted:
            # Each byte that came starts the patience anew, so that a large file comes over a bad line too.
            if size_of(stream) > furthest:
                furthest = size_of(stream)
                raise _InterruptedWithProgress(str(interrupted)) from None
            raise

    while True:
        try:
            retrying(_Interrupted, enough=trying.enough)(once)
        except _InterruptedWithProgress as progress:
            _log.warning("%s after %d bytes; going on", progress, size_of(stream))
        except _Interrupted as interrupted:
            on = f" to go on from byte {size_of(stream)}" if lasts and size_of(stream) else ""
            raise MediaServerError(
                f"media {wanted.media_id}: {trying.given_up(interrupted)}; run again{on}, or look at the media in Tator"
            ) from None
        else:
            trying.store.clear()
            size = size_of(stream)
            _log.info("media %d: %d bytes%s", wanted.media_id, size, ", md5 checked" * has_md5)
            media_id = wanted.media_id
            return DownloadRecord(media_id=media_id, state="ready", reason=None, bytes=size, md5_checked=has_md5)


class _Trying:
    """Decides how long a file is tried: less where another job has waited for its store already.

    Attributes:
        store: the note on the store of the last try.
    """

    def __init__(self) -> None:
        self.store = Outage("", CALL)
        self._seconds = 0.0
        self._waited = False

    def enough(self, fault: BaseException, tries: int, seconds: float) -> bool:
        """Whether to give up now; see `retrying`."""
        self._seconds = seconds
        self._waited = isinstance(fault, _StoreAway) and tries >= TRIES and self.store.is_noted()
        return self._waited

    def given_up(self, interrupted: _Interrupted) -> str:
        """Return the final error message, and tell the other jobs if the store is unavailable."""
        if isinstance(interrupted, _StoreAway):
            self.store.note(str(interrupted))
        return f"{interrupted}; tried for {self._seconds:.0f} s{', as another job has waited already' * self._waited}"


def _address(connection: Connection, wanted: MediaRecord) -> str:
    """Return a fresh address, or say that the media is gone."""
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
    """One try to bring a file.

    Attributes:
        store: the session that knows no token.
        address: presigned, so it is secret.
        stream: what came of the file so far, and where the rest goes.
        size: of the whole file in bytes, None where Tator does not say it.
        progress: takes how many bytes are there.
        rate: takes how many bytes came.
    """

    store: requests.Session
    address: str
    stream: IO[bytes]
    size: int | None
    progress: Progress
    rate: LeastRate


def _complete(transfer: _Transfer) -> None:
    """Append to the stream what is still missing of the file.

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
    # Without this, requests would unpack what a store serves compressed, and offsets would mean nothing.
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
            # As the bytes come: reading by blocks would lose the last one of a cut transfer.
            for chunk in pieces(answer, CHUNK_BYTES):
                write_all(stream, chunk)
                have += len(chunk)
                transfer.rate.count_bytes(len(chunk))
                transfer.progress.report(have, size)
                if size is not None and have > size:  # a store could go on for ever
                    break
                if size is None and have > LARGEST_WITHOUT_SIZE:
                    stream.truncate(0)
                    raise MediaServerError(
                        f"the store ({_peer(transfer.address)}) sent more than {LARGEST_WITHOUT_SIZE} bytes of a file "
                        "of which Tator says no size; expected one with its size: upload the media anew"
                    )
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if untrusted(error):
            raise ServerError(f"the store's certificate is not trusted ({_peer(transfer.address)}); {TRUST}") from None
        # Its text holds the address, which is secret.
        kind = _Interrupted if answered else _StoreAway
        raise kind(f"the transfer broke off ({type(error).__name__})") from None


def _peer(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]
