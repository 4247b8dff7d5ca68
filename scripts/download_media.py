"""Download one media's file: complete and checked, or not there."""

import errno
import fcntl
import hashlib
import io
import logging
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import requests
import urllib3

from scripts.lib import job
from scripts.lib.errors import MediaFault, PipelineError, ServerError
from scripts.lib.files import is_at, read_json, write_json
from scripts.lib.patience import patience, patiently
from scripts.lib.progress import Progress
from scripts.lib.sessions import TRUST, session, untrusted
from scripts.lib.tator_api import Project
from scripts.lib.tator_faults import Refused

CHUNK_BYTES = 1 << 20
SUMMED_BYTES = 100 << 20  # of a file go into Tator's md5, besides its size

_log = logging.getLogger(__name__)


class _Busy(Exception):
    """Another process downloads the same file."""


class _Cut(Exception):
    """A transfer ended early or gave the wrong bytes; the text is fit for a log."""


def download_media(*, record: Path, host: str, project_id: int, media: Path, download: Path) -> None:
    """Fetch the file that the record names.

    The bytes go to a file beside `media`, which keeps its name from try to try and from run to run, so that a cut
    transfer is resumed with a Range request. It is renamed only when its size, and for an archival copy
    Tator's own md5, are right. For a media without a file, and for one that vanished since it was resolved,
    `media` is an empty file and `download` says why.

    Args:
        record: what resolve_media wrote.
        host: Tator's address.
        project_id: the project.
        media: where the file goes.
        download: where the record of the download goes: state, reason, bytes, md5_checked.

    Raises:
        ServerError: the transfer fails for longer than patience.patience() without a byte of progress.
    """
    wanted = read_json(record)
    for part in media.parent.glob(f".{media.name}.*.part"):  # also of a file that Tator has replaced
        if wanted["state"] != "ready" or part != _part(media, wanted):
            part.unlink(missing_ok=True)
    write_json(download, fetch_media(wanted, media, Connection(host, project_id)))


class Connection:
    """Tator and its store, with connections that are kept alive; made when the first media needs them."""

    def __init__(self, host: str, project_id: int) -> None:
        self._host, self._project_id = host, project_id
        self._foreseen: dict[str, str] = {}

    @cached_property
    def project(self) -> Project:
        """Tator itself."""
        return Project(self._host, self._project_id)

    @cached_property
    def store(self) -> requests.Session:
        """Its store, which gets no token."""
        return session()

    def foresee(self, paths: Sequence[str]) -> None:
        """Ask for the addresses of files that will soon be downloaded, all in one request."""
        try:
            self._foreseen |= zip(paths, self.project.addresses(paths), strict=True)
        except ServerError as error:
            _log.warning("%s; each address is asked for by itself", error)

    def address(self, path: str) -> str:
        """Return an address, the next time another one; secret: it carries a signature."""
        return self._foreseen.pop(path, None) or self.project.addresses([path])[0]


def fetch_media(wanted: dict[str, Any], media: Path, connection: Connection, *, lasting: bool = True) -> dict[str, Any]:
    """Fetch the file that a media's record names to `media`, as download_media does.

    Args:
        wanted: the record.
        media: where the file goes.
        connection: to Tator and its store.
        lasting: whether the file is to outlive a power failure.

    Returns:
        the record of the download.
    """

    def fetch() -> dict[str, Any]:
        part = _part(media, wanted)
        with _alone(part) as stream:
            _require_room(stream, wanted["file"]["size"])
            fetched = _fetch(connection, wanted, stream, lasts=True)
            if lasting:
                os.fsync(stream.fileno())
            if not is_at(part, stream.fileno()):
                raise PipelineError(f"{media}: another process downloads it too; this one, which is older, gives up")
            part.replace(media)
            return fetched

    outcome = _recorded(wanted, fetch)
    if outcome["state"] != "ready":
        media.write_bytes(b"")
    return outcome


def fetch_content(wanted: dict[str, Any], connection: Connection) -> tuple[dict[str, Any], bytes]:
    """Fetch the file that a media's record names into memory.

    Returns:
        the record of the download, and the file's bytes.
    """
    content = io.BytesIO()
    return _recorded(wanted, lambda: _fetch(connection, wanted, content, lasts=False)), content.getvalue()


def _recorded(wanted: dict[str, Any], fetch: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the record of a download: of what `fetch` did, or of why there is nothing to fetch."""
    outcome = {"media_id": wanted["media_id"], "state": wanted["state"], "reason": wanted["reason"]}
    if wanted["state"] == "ready":
        try:
            outcome |= fetch()
        except MediaFault as fault:
            _log.warning("media %d: %s", wanted["media_id"], fault)
            outcome |= {"state": fault.state, "reason": fault.reason}
    return outcome


def _part(media: Path, wanted: dict[str, Any]) -> Path:
    """Return the file that a media is downloaded to; another one where Tator has replaced the stored file."""
    return media.with_name(f".{media.name}.{Path(wanted['file']['path']).name[-80:]}.part")


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """Open the file that is downloaded to, as the only process: one may be left of a run that was killed.

    If the block fails, the file stays for the next try, unless it is empty.

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
        except BaseException:
            if not _size(stream) and is_at(part, stream.fileno()):
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


def _fetch(connection: Connection, wanted: dict[str, Any], part: IO[bytes], *, lasts: bool) -> dict[str, Any]:
    """Bring the whole file; return what the record of the download says of it.

    Args:
        connection: to Tator and its store.
        wanted: the media's record.
        part: what came of the file so far, and where the rest goes.
        lasts: whether the next run finds the part.
    """
    file = wanted["file"]
    # Tator's md5 is that of the original, which only the archival copy is; of an empty file there is none.
    has_md5 = file["role"] == "archival" and bool(wanted["md5"]) and file["size"] != 0
    furthest = _size(part)

    def once() -> None:
        nonlocal furthest
        try:
            progress = Progress("MB", what=f"media {wanted['media_id']}: ", scale=10**6, done=_size(part))
            _transfer(connection.store, _address(connection, wanted), part, file["size"], progress)
            if has_md5 and (found := _md5(part)) != wanted["md5"]:
                part.truncate(0)
                raise _Cut(f"the file's md5 is {found}, Tator's is {wanted['md5']}")
        except _Cut as cut:
            # Each byte won starts the patience anew: a large file over a bad line gets there.
            if _size(part) > furthest:
                furthest = _size(part)
                raise _Progress(str(cut)) from None
            raise

    while True:
        try:
            patiently(_Cut)(once)
        except _Progress as progress:
            _log.warning("%s after %d bytes; going on", progress, _size(part))
        except _Cut as cut:
            on = f" to go on from byte {_size(part)}" if lasts and _size(part) else ""
            raise ServerError(
                f"media {wanted['media_id']}: {cut}; tried for {patience():.0f} s; run again{on}, or look at the media "
                "in Tator"
            ) from None
        else:
            size = _size(part)
            _log.info("media %d: %d bytes%s", wanted["media_id"], size, ", md5 checked" * has_md5)
            return {"bytes": size, "md5_checked": has_md5}


class _Progress(Exception):
    """A transfer was cut, but brought some bytes."""


def _require_room(part: IO[bytes], size: int | None) -> None:
    """Refuse to begin what the disk cannot hold; `size` is that of the whole file."""
    have = _size(part)
    if size is not None and (free := shutil.disk_usage(part.fileno()).free) < size - have:
        raise PipelineError(
            f"{Path(part.name).parent.absolute()}: {size - have} bytes are to come and {free} are free; make room, or "
            "choose another folder with --directory, and run again"
        )


def _address(connection: Connection, wanted: dict[str, Any]) -> str:
    """Return a fresh address, or say that the media is gone."""
    try:
        return connection.address(wanted["file"]["path"])
    except Refused as refusal:
        if refusal.status == 404 or not connection.project.media([wanted["media_id"]]):
            raise MediaFault("missing", "it was deleted while the workflow ran") from None
        raise


def _transfer(plain: requests.Session, address: str, part: IO[bytes], size: int | None, progress: Progress) -> None:
    """Append to `part` what is still missing of `size` bytes.

    Raises:
        _Cut: the bytes on disk are not the whole file.
        OSError: the disk is full or not writable.
    """
    have = _size(part)
    if size is not None and have > size:
        part.truncate(have := 0)
    if have != size or size == 0:
        _append(plain, address, part, size, progress)
    if size is not None and (have := _size(part)) != size:
        if have > size:
            part.truncate(0)
        raise _Cut(f"{have} bytes came, Tator says {size}")


def _append(plain: requests.Session, address: str, part: IO[bytes], size: int | None, progress: Progress) -> None:
    have = _size(part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    # Without this, requests would unpack what a store serves compressed, and offsets would mean nothing.
    headers["Accept-Encoding"] = "identity"
    try:
        with plain.get(address, headers=headers, stream=True) as answer:
            if answer.status_code == 416:
                part.truncate(0)
                raise _Cut(f"the store has {have} bytes or fewer, Tator says {size}")
            if answer.status_code not in (200, 206):
                raise _Cut(f"the store answered {answer.status_code}")
            if answer.status_code == 200:
                part.truncate(have := 0)
            part.seek(have)
            # As the bytes come: reading by blocks would lose the last one of a cut transfer.
            while chunk := answer.raw.read1(CHUNK_BYTES):
                _write(part, chunk)
                have += len(chunk)
                progress.report(have, size)
                if size is not None and have > size:  # a store could go on for ever
                    break
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if untrusted(error):
            raise ServerError(f"the store's certificate is not trusted ({_peer(address)}); {TRUST}") from None
        # Its text holds the address, which is secret.
        raise _Cut(f"the transfer broke off ({type(error).__name__})") from None


def _write(part: IO[bytes], chunk: bytes) -> None:
    """Write all of it: a disk that becomes full takes a part first, and says so only when asked again."""
    while chunk:
        chunk = chunk[part.write(chunk) :]


def _peer(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]


def _md5(part: IO[bytes]) -> str:
    """Return Tator's sum of a file, as tator.util.md5sum does of a path, which some file systems lock with the part."""
    size = _size(part)
    left = min(size, SUMMED_BYTES)
    content = hashlib.md5(usedforsecurity=False)
    part.seek(0)
    while chunk := part.read(min(left, CHUNK_BYTES)):
        content.update(chunk)
        left -= len(chunk)
    return hashlib.md5(f"{content.hexdigest()}{size}".encode(), usedforsecurity=False).hexdigest()


def _size(part: IO[bytes]) -> int:
    return part.seek(0, os.SEEK_END)


if __name__ == "__main__":
    job.run(download_media, snakemake)  # type: ignore[name-defined]
