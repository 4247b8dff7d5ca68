"""Transfer a stored file from one address: continue after the bytes that are there, and check the size."""

import re
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urlsplit

import requests
import urllib3

from scripts.lib.downloads.part_files import size_of, write_all
from scripts.lib.errors import MediaServerError, ServerError
from scripts.lib.network_access.answers import pieces
from scripts.lib.network_access.least_rate import LeastRate
from scripts.lib.progress import Progress
from scripts.lib.server.sessions import TRUST, untrusted

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


class Interrupted(Exception):
    """A transfer ended early or had the wrong bytes; the text contains no secret."""


class StoreAway(Interrupted):
    """The whole store is unavailable: there is no connection, or a gateway says so."""


class NoSuchFile(Interrupted):
    """The store has no such file, or refuses the address.

    S3 answers 403 instead of 404 to users who may not list its files, and 400 to an address whose credentials expired.
    """


@dataclass
class Transfer:
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


def complete(transfer: Transfer, address: str, progress: Progress) -> None:
    """Append the missing part of the file to the stream.

    Args:
        transfer: the download.
        address: the presigned address, which is secret.
        progress: the log of the number of bytes in the file.

    Raises:
        Interrupted: the bytes on disk are not the whole file.
        OSError: the disk is full or not writable.
    """
    stream, size = transfer.stream, transfer.size
    source = "Tator's record has"
    if size_of(stream) != size or size == 0:
        of_store = _append(transfer, address, progress)
        if size is None:
            size, source = of_store, "the store announced"
    if size is not None and (have := size_of(stream)) != size:
        if have > size:
            stream.truncate(0)
        raise Interrupted(f"received {have} bytes; {source} {size}")


def _append(transfer: Transfer, address: str, progress: Progress) -> int | None:
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
                        f"the store ({peer(address)}) sent more than {LARGEST_WITHOUT_SIZE} bytes of a file that has "
                        "no size in Tator's record; expected one with its size: upload the media again"
                    )
    except _UNUSABLE_REDIRECTS as error:
        raise MediaServerError(
            f"the store ({peer(address)}) redirects to an address that cannot be used ({type(error).__name__}); "
            "expected one of the file: correct the reference in Tator, or the store"
        ) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if untrusted(error):
            raise ServerError(f"the store's certificate is not trusted ({peer(address)}); {TRUST}") from None
        # Its text contains the address, which is secret.
        kind = Interrupted if answered else StoreAway
        raise kind(f"the transfer was interrupted ({type(error).__name__})") from None
    return total


def _whole_size(transfer: Transfer, answer: requests.Response) -> int | None:
    """Check that an answer continues the received bytes, or remove them if it is the whole file.

    Returns:
        The size of the whole file, if the store says one.

    Raises:
        Interrupted: the answer has no bytes of the file, or continues another one.
    """
    stream, status = transfer.stream, answer.status_code
    have, size, fault = size_of(stream), None, None
    if status in (400, 401, 403, 404):
        raise NoSuchFile(f"the store answered {status}")
    if status in (502, 503, 504):
        raise StoreAway(f"the store answered {status}")
    if status == 416:
        fault = f"the store has {have} bytes or fewer; Tator's record has {transfer.size}"
    elif status == 206:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        size = int(found[2]) if found and found[2] != "*" else None
        if found is None or int(found[1]) != have:
            fault = f"the store sent another part of the file than the one from byte {have}"
        elif have and transfer.etag and _etag(answer) not in (None, transfer.etag):
            fault = "the file was replaced in the store"
    elif status != 200:
        raise Interrupted(f"the store answered {status}")
    if fault or status == 200:
        stream.truncate(have := 0)
    if fault:
        raise Interrupted(fault)
    if have == 0 or transfer.etag is None:
        transfer.etag = _etag(answer)
    return size


def _etag(answer: requests.Response) -> str | None:
    etag = answer.headers.get("ETag", "")
    return etag if _STRONG_ETAG.fullmatch(etag) else None


def peer(address: str) -> str:
    """Return host and port of an address, which is secret itself."""
    return urlsplit(address).netloc.rpartition("@")[2]
