"""HTTP sessions with time-outs, which trust whom the site says."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from scripts.lib.errors import SettingsError

CONNECT_SECONDS, READ_SECONDS = 10, 120
CA_VARIABLE = "TATOR_CA_FILE"

TRUST = "see tator.host; where the site has a certificate authority of its own, name its certificate in tator.ca_file"


def untrusted(error: Exception) -> bool:
    """Whether a connection failed for its certificate or because no TLS is spoken there, rather than by chance."""
    return any(words in str(error) for words in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"))


class _TimeOuts(HTTPAdapter):
    """Give every request of a session a time-out; the client sets none."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send the request with the default time-out where none is set."""
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().send(*args, **kwargs)


def session() -> requests.Session:
    """Return a session with time-outs and no credentials, which trusts whom tator.ca_file names."""
    if authority := os.environ.get(CA_VARIABLE):
        if not Path(authority).is_file():
            raise SettingsError(f"tator.ca_file: {authority} is no file; expected certificates in PEM format")
        os.environ["REQUESTS_CA_BUNDLE"] = authority  # where every session looks
    return _limited(requests.Session())


def _limited(new: requests.Session) -> requests.Session:
    for scheme in ("http://", "https://"):
        new.mount(scheme, _TimeOuts())
    return new


class SessionPerThread(threading.local, requests.Session):
    """Looks like one session and is one for each thread: it is nowhere said that threads may share one."""

    def __init__(self, headers: Mapping[str, str | bytes]) -> None:
        requests.Session.__init__(self)
        self.headers.update(headers)
        _limited(self)
