"""Access a container registry without a Docker engine: manifests and blobs by its HTTP API, with the package dxf.

This module adds credentials, time limits, retries, and resuming of blobs after an interruption.
"""

import ipaddress
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import dxf
import dxf.exceptions
import requests
import tenacity
import urllib3

from scripts.lib.data_images.login import REMEDY, certificate, credentials
from scripts.lib.data_images.oci import LARGEST_MANIFEST, Descriptor
from scripts.lib.data_images.reference import DIGEST, Reference
from scripts.lib.errors import GraphError, ServerError
from scripts.lib.network_access.answers import AnswerTooLarge, pieces
from scripts.lib.network_access.causes import innermost_cause
from scripts.lib.network_access.least_rate import LeastRate
from scripts.lib.network_access.sessions import Session, through_proxy

CONNECT_SECONDS, READ_SECONDS = 15, 60
# Bytes that are read at a time; if a connection breaks, the current piece is lost.
PIECE = 2**16
# The only retry layer, for a connection that fails or breaks, and for the answers of a busy registry: five tries
# in a row without a byte, with pauses of 1, 2, 4 and 8 seconds.
TRIES = 5
PAUSE_SECONDS = 1.0
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_BROKEN = (
    *(requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError),
    urllib3.exceptions.HTTPError,  # also of TLS and of Content-Encoding, in the middle of an answer
)

_log = logging.getLogger(__name__)


class Registry:
    """The registry of one image.

    Use it in a `with` block. It uses HTTPS, or plain HTTP for a registry on this machine without HTTPS, and never
    sends credentials over plain HTTP.

    Raises:
        ServerError: from every method, when the registry refuses, or fails too often.
        SettingsError: the credentials or the certificates cannot be used.
    """

    def __init__(
        self, reference: Reference, *, ca_file: Path | None = None, ca_setting: str = "network.ca_file"
    ) -> None:
        self._reference = reference
        host = reference.api_host
        trusted = certificate(reference.registry, ca_file, ca_setting)
        self._ca_setting = ca_setting
        self._session = Session(host, limit=LARGEST_MANIFEST, seconds=(CONNECT_SECONDS, READ_SECONDS))
        self._client = _Client(
            host,
            reference.path,
            auth=self._authenticate,
            insecure=_is_local(host) and not _uses_tls(self._session, host),
            tlsverify=trusted,
        )
        self._client.use(self._session)

    def __enter__(self) -> "Registry":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def manifest(self, name: str) -> bytes:
        """Return the manifest with a tag or a digest."""
        try:
            _, response = self._call(f"manifest {name}", lambda: self._client.get_manifest_and_response(name))
        except AnswerTooLarge as error:
            if "/manifests/" not in error.path:  # a token, or an error
                raise
            raise GraphError(
                f"{self._reference}: its manifest is not a JSON object of at most {LARGEST_MANIFEST} bytes; "
                "push it again"
            ) from None
        return bytes(response.content)

    def digest(self, tag: str) -> str | None:
        """Return a tag's current digest, without fetching the image; None if the registry does not send one."""
        digest, _ = self._call(f"manifest {tag}", lambda: self._client.head_manifest_and_response(tag))
        return digest if DIGEST.fullmatch(digest or "") else None

    def stored(self, manifests: Sequence[Descriptor]) -> Sequence[Descriptor]:
        """Return all manifests: a registry accepts an index only with its manifests."""
        return manifests

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob in pieces; after an interruption the download continues after the last piece."""
        received, failures, rate, is_encoded = 0, 0, LeastRate(), False
        while received < blob.size:
            try:
                response = self._open(blob, 0 if is_encoded else received)
                is_encoded = "Content-Encoding" in response.headers  # a range would count encoded bytes
                for piece in self._rest(response, received, rate):
                    received += len(piece)
                    failures = 0
                    yield piece
                if received < blob.size:
                    raise requests.ConnectionError(f"ended after {received} of {blob.size} bytes")
            except _BROKEN as error:
                failures += 1
                if failures >= TRIES:
                    raise self._failed(f"blob {blob.digest}", error) from error
                _log.warning("%s: %s ended after %d bytes; continuing", self._reference, blob.digest, received)
                time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))

    def push_blob(self, path: Path, digest: str) -> None:
        """Upload a file, unless the registry has it."""
        self._call(f"blob {digest}", lambda: self._client.push_blob(str(path)))

    def push_manifest(self, name: str, content: str) -> None:
        """Upload a manifest under a tag."""
        self._call(f"manifest {name}", lambda: self._client.set_manifest(name, content))

    def _open(self, blob: Descriptor, start: int) -> requests.Response:
        response: requests.Response = self._call(
            f"blob {blob.digest}", lambda: self._client.open_blob(blob.digest, start)
        )
        return response

    def _rest(self, response: requests.Response, start: int, rate: LeastRate) -> Iterator[bytes]:
        # A registry may send all of it although the rest was requested.
        skip = 0 if response.status_code == requests.codes.partial_content else start
        with response, rate.watching(self._reference.registry):
            for piece in pieces(response, PIECE, decoded=True):
                rate.count_bytes(len(piece))
                kept = piece[skip:]
                skip -= len(piece) - len(kept)
                if kept:
                    yield kept

    def _call(self, what: str, call: Callable[[], Any]) -> Any:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_temporary),
            wait=tenacity.wait_exponential(multiplier=PAUSE_SECONDS),
            stop=tenacity.stop_after_attempt(TRIES),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return retrying(call)
        except (requests.RequestException, dxf.exceptions.DXFError, urllib3.exceptions.HTTPError, ValueError) as error:
            raise self._failed(what, error) from error

    def _authenticate(self, client: dxf.DXFBase, response: requests.Response) -> None:
        """Get a token, or set the password, as the registry's answer requires; called by the package.

        Raises:
            ServerError: a host to which the registry redirects requires a password, or there is no token.
        """
        host = urlsplit(response.url).netloc.lower()
        if host != self._reference.api_host.lower():
            # The registry's password would be sent to a token server that this host names.
            raise ServerError(
                f"{self._reference}: the registry redirects to {host}, which asks for a password; "
                "expected an address that needs none: name that registry in network.data_image, or correct the store"
            )
        name, password = credentials(self._reference.registry) or (None, None)
        try:
            client.authenticate(name, password, response=response)
            token = client.token or ""
        # The package does not check the header and the token server's answer.
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise self._no_token() from error
        if not (token.isascii() and token.isprintable()):
            raise self._no_token()  # a later error message would contain it

    def _no_token(self) -> ServerError:
        return ServerError(
            f"{self._reference}: the registry asks for a password in an unknown way, or its token server "
            "sends no token; ask who runs it"
        )

    def _failed(self, what: str, error: Exception) -> ServerError:
        status = _status(error)
        if isinstance(error, dxf.exceptions.DXFAuthInsecureError):
            return ServerError(
                f"{self._reference}: the registry asks for a password over plain HTTP; expected HTTPS: set it up there"
            )
        if status in (401, 403):
            reason = (
                "the credentials found are not accepted" if self._has_credentials() else "no credentials were found"
            )
            return ServerError(f"{self._reference}: the registry refuses ({status}): {reason}; {REMEDY}")
        if status == 404:
            return ServerError(f"{self._reference}: the registry has no {what}; check the name, the tag and the digest")
        if isinstance(error, requests.exceptions.SSLError):
            return ServerError(
                f"{self._reference}: the registry's certificate is not trusted ({innermost_cause(error)}); "
                f"name its authority's certificate in {self._ca_setting}"
            )
        proxy = through_proxy(f"https://{self._reference.api_host}")
        times = f", {TRIES} times" if _is_temporary(error) else ""
        return ServerError(
            f"{self._reference}: the registry fails ({status or innermost_cause(error)}) at {what}{times}{proxy}; "
            "check its address and that it runs"
        )

    def _has_credentials(self) -> bool:
        return credentials(self._reference.registry) is not None


class _Client(dxf.DXF):
    def use(self, session: requests.Session) -> None:
        """Use this session for all requests; the package's session would read password files."""
        self._sessions = [session]

    def open_blob(self, digest: str, start: int) -> requests.Response:
        """Request a blob from an offset, which `pull_blob` cannot do; it also leaves unused answers open."""
        answers: list[requests.Response] = []
        try:
            self._request(  # type: ignore[no-untyped-call]
                "get",
                f"blobs/{digest}",
                stream=True,
                headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {}),
                hooks={"response": lambda answer, **_: answers.append(answer)},
            )
            return answers.pop()
        finally:
            for answer in answers:
                answer.close()


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _uses_tls(session: requests.Session, host: str) -> bool:
    """Return whether a registry on this machine uses HTTPS, also with an untrusted certificate."""
    try:
        session.head(f"https://{host}/v2/", timeout=CONNECT_SECONDS)
    except requests.exceptions.SSLError as error:
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    except requests.RequestException:
        return False
    return True


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, requests.exceptions.SSLError):
        return False
    return isinstance(error, _BROKEN) or (_status(error) or 0) in _BUSY


def _status(error: BaseException) -> int | None:
    if isinstance(error, dxf.exceptions.DXFUnauthorizedError):
        return 401
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning(
        "the registry fails (%s), try %d", error and (_status(error) or innermost_cause(error)), state.attempt_number
    )
