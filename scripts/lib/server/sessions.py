"""HTTP sessions for Tator and its store, with the site's certificate authority."""

import os
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import requests.auth

from scripts.lib.errors import SettingsError
from scripts.lib.network_access import plain_http
from scripts.lib.network_access.sessions import Session, SessionPerThread

CA_VARIABLE = "TATOR_CA_FILE"

# The header Date has whole seconds, rounded down, and an answer takes some time to arrive.
HALF_A_SECOND, DATE_TELLS = timedelta(seconds=0.5), timedelta(seconds=3)

TRUST = "see tator.host; if the site has its own certificate authority, name its certificate in tator.ca_file"


def untrusted(error: Exception) -> bool:
    """Return whether a connection failed because of its certificate, or because the server does not use TLS."""
    return any(words in str(error) for words in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"))


def store_session(host: str) -> Session:
    """Return a session for the stores that a site names, without the token."""
    _trust()
    return Session(host)


def tator_session(host: str, auth: requests.auth.AuthBase) -> SessionPerThread:
    """Return a session for Tator itself, which any number of threads may use."""
    _trust()
    plain_http.check(host)
    return SessionPerThread(host, auth)


class Clock:
    """The difference between a server's clock and this machine's, from the header Date of its answers.

    Attributes:
        ahead: how far the server's clock is ahead; zero if the difference is below the header's resolution.
    """

    ahead = timedelta()

    def look(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        """Compare the clocks; a hook of a session's answers."""
        try:
            there = parsedate_to_datetime(answer.headers["Date"]) + HALF_A_SECOND
            ahead = there - datetime.now(UTC)
        except (LookupError, TypeError, ValueError):  # no date, one that cannot be read, one without a zone
            return
        self.ahead = ahead if abs(ahead) > DATE_TELLS else timedelta()

    def now(self) -> datetime:
        """Return the time by the server's clock, to about a second."""
        return datetime.now(UTC) + self.ahead


def _trust() -> None:
    """Make every session trust the authority that tator.ca_file names."""
    if authority := os.environ.get(CA_VARIABLE):
        if not Path(authority).is_file():
            raise SettingsError(f"tator.ca_file: {authority} is not a file; expected certificates in PEM format")
        os.environ["REQUESTS_CA_BUNDLE"] = authority
