"""HTTP sessions: without password files, with time-outs, limited answers and checks of addresses.

`requests` reads passwords from `~/.netrc` and sends them instead of the token, or to a store that needs none. To
prevent that, each session has an authentication object. Proxies and certificates of the environment (HTTPS_PROXY,
NO_PROXY, REQUESTS_CA_BUNDLE) are used as usual, except SOCKS proxies, for which this module has no checks.
"""

import os
import threading
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import requests.auth
import requests.utils
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from scripts.lib.errors import ServerError, SettingsError
from scripts.lib.network_access import proxies
from scripts.lib.network_access.addresses import Guard, resolve
from scripts.lib.network_access.answers import LARGEST_ANSWER, AnswerTooLarge, LimitedResponse
from scripts.lib.network_access.timed_responses import TimedResponse, TookTooLong
from scripts.lib.text.display_text import shown

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0

_PROXY_LOGIN = (
    "the proxy asks for a login (407), and accepts none in its address; expected "
    "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT: correct it"
)
_UNQUOTED_LOGIN = (
    "the proxy's address has a login with / ? or #; expected HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT with these "
    "characters written as %2F, %3F and %23: correct it, or HTTP_PROXY or ALL_PROXY"
)


def proxy_variable(address: str) -> str | None:
    """Return the environment variable with the proxy through which requests to an address go; None without a proxy."""
    if not requests.utils.select_proxy(address, requests.utils.get_environ_proxies(address)):
        return None
    of_scheme = f"{urlsplit(address).scheme.upper()}_PROXY"
    names = (proxies.spelling(name, os.environ) for name in (of_scheme, "ALL_PROXY"))
    return next((name for name in names if os.environ.get(name)), None)


def through_proxy(address: str) -> str:
    """Return words for a message about a failed request: the proxy, without its login; empty without a proxy."""
    variable = proxy_variable(address)
    return f" through the proxy {shown(os.environ[variable])} ({variable})" if variable else ""


class NoCredentials(requests.auth.AuthBase):
    """Send no credentials except those in the address itself."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the part before `@` in the address."""
        name, password = requests.utils.get_auth_from_url(request.url or "")
        return requests.auth.HTTPBasicAuth(name, password)(request) if name or password else request


class TokenAuth(requests.auth.AuthBase):
    """Send a Tator token, only to the token's site."""

    def __init__(self, site: str, token: str) -> None:
        self._origin, self._token = _origin(site), token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request to the site."""
        if _origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Token {self._token}"
        return request


class Session(requests.Session):
    """A session for a site and the addresses in its answers; see the module's docstring."""

    def __init__(
        self,
        site: str,
        auth: requests.auth.AuthBase | None = None,
        *,
        limit: int = LARGEST_ANSWER,
        seconds: tuple[float, float] | None = None,
    ) -> None:
        """Set up authentication, limits, and checks of addresses.

        Args:
            site: the site, `https://HOST[:PORT]` or `HOST[:PORT]`.
            auth: object that adds credentials to requests; by default no credentials are sent.
            limit: largest number of bytes of an answer that is not streamed.
            seconds: time-outs of connecting and of waiting for the next bytes; None for CONNECT_SECONDS, READ_SECONDS.
        """
        super().__init__()
        self.auth = auth or NoCredentials()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _GuardedAdapter(Guard(site), limit, seconds or (CONNECT_SECONDS, READ_SECONDS)))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send the request, and follow redirects.

        Raises:
            requests.exceptions.InvalidURL: the address, or that of a redirect, is not valid.
        """
        try:
            return super().send(request, **kwargs)
        except requests.RequestException:  # some are ValueErrors too
            raise
        except ValueError as error:  # of urllib and urllib3, which requests does not translate in redirects
            raise requests.exceptions.InvalidURL(f"{type(error).__name__}: {error}") from None

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the address to which an answer redirects; None if it does not."""
        try:
            return super().get_redirect_target(resp)
        except UnicodeDecodeError:
            resp.close()  # nobody else can: the caller of the request does not get it
            raise

    def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Refuse a redirect that would turn a request that writes into one that reads."""
        method = prepared_request.method
        super().rebuild_method(prepared_request, response)
        if prepared_request.method != method:
            source, target = (urlsplit(one or "").netloc for one in (response.url, prepared_request.url))
            raise ServerError(
                f"{source} redirects a {method} request to {target} with status {response.status_code}, so it was not "
                "carried out; set tator.host, or the registry's name, to the address it redirects to"
            )

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove credentials from a request that is redirected to another host, and add no others."""
        target, source = prepared_request.url or "", response.request.url or ""
        if self.should_strip_auth(source, target):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


class SessionPerThread(threading.local, Session):
    """A session for each thread, used like one session, as threads must not share a session of `requests`."""


class _GuardedAdapter(HTTPAdapter):
    """An adapter with a time-out for every request, a limit for every answer, and checks of addresses."""

    def __init__(self, guard: Guard, limit: int, seconds: tuple[float, float]) -> None:
        self._guard, self._limit, self._seconds = guard, limit, seconds
        self._proxy_pools = _pools(None)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._guard)

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """Set the certificates that a connection trusts.

        Raises:
            SettingsError: their file does not exist; the error of `requests` would look like one of the system.
        """
        if isinstance(verify, str) and not Path(verify).exists():
            names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
            source = next((name for name in names if os.environ.get(name) == verify), "ca_file")
            raise SettingsError(
                f"{source}: {verify} does not exist; expected certificates in PEM format: correct it, or unset it"
            )
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of a proxy, whose address the user chooses.

        Raises:
            SettingsError: it is a SOCKS proxy.
        """
        scheme = urlsplit(proxy).scheme.lower()
        if scheme.startswith("socks"):
            raise SettingsError(
                f"the environment names a {scheme}:// proxy, which is not supported; expected http://: set HTTPS_PROXY "
                "to such a proxy, or unset it and ALL_PROXY"
            )
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._proxy_pools
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send the request, with the default time-out if none is set.

        Raises:
            ServerError: a proxy requires a login.
            SettingsError: a proxy's address cannot be read.
        """
        proxy = requests.utils.select_proxy(request.url or "", kwargs.get("proxies"))
        if proxies.has_unquoted_login(proxy or ""):
            raise SettingsError(_UNQUOTED_LOGIN)
        self._guard.check_name(urlsplit(request.url or "").hostname or "")  # a proxy resolves names on its side
        kwargs["timeout"] = kwargs.get("timeout") or self._seconds
        try:
            answer = super().send(request, *args, **kwargs)
        except TookTooLong as error:
            raise AnswerTooLarge(request.url or "", str(error)) from None
        except requests.exceptions.ProxyError as error:
            if "407 Proxy Authentication" in str(error):
                raise ServerError(_PROXY_LOGIN) from None
            raise
        if answer.status_code == requests.codes.proxy_authentication_required:
            answer.close()
            raise ServerError(_PROXY_LOGIN)
        return answer

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        answer = super().build_response(req, resp)
        answer.__class__ = LimitedResponse
        cast(LimitedResponse, answer).limit = self._limit
        return answer


def _pools(guard: Guard | None) -> dict[str, type[HTTPConnectionPool]]:
    """Return connection pools whose answers have a deadline, and whose connections the guard checks.

    Names are resolved and checked before connecting, and the connected socket's address is checked afterwards, as the
    name server's answer may change in between.
    """

    class Http(HTTPConnection):
        response_class = TimedResponse

        def connect(self) -> None:
            _check_before(guard, self)
            super().connect()
            _check_after(guard, self)

    class Https(HTTPSConnection):
        response_class = TimedResponse

        def connect(self) -> None:
            _check_before(guard, self)
            super().connect()
            _check_after(guard, self)

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


def _check_before(guard: Guard | None, connection: HTTPConnection) -> None:
    if guard is not None:
        guard.check(connection.host, resolve(connection.host, connection.port))


def _check_after(guard: Guard | None, connection: HTTPConnection) -> None:
    if guard is not None:
        guard.check(connection.host, [connection.sock.getpeername()[0]])


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
