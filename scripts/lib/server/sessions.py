"""HTTP sessions for Tator and its store, with the site's certificate authority."""

import os
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import requests.auth

from scripts.lib.network_access import plain_http
from scripts.lib.network_access.certificates import check_certificates
from scripts.lib.network_access.sessions import Session, SessionPerThread

CA_VARIABLE = "TATOR_CA_FILE"

# The header Date has whole seconds, rounded down, so half a second is added.
HALF_A_SECOND = timedelta(seconds=0.5)
# Smaller differences of the clocks are not significant, as an answer takes some time to arrive.
LEAST_DIFFERENCE = timedelta(seconds=3)

TRUST = "see tator.host; if the site has its own certificate authority, name its certificate in tator.ca_file"


def untrusted(error: Exception) -> bool:
    """Return whether a connection failed because of the certificates, or because the server does not use TLS."""
    codes = ("CERTIFICATE_VERIFY_FAILED", "NO_CERTIFICATE_OR_CRL_FOUND", "WRONG_VERSION_NUMBER")
    return any(code in str(error) for code in codes)


def store_session(host: str) -> Session:
    """Return a session without the token, for the stores that a site uses."""
    _trust()
    return Session(host)


def tator_session(host: str, auth: requests.auth.AuthBase) -> SessionPerThread:
    """Return a session for Tator, which any number of threads may use."""
    _trust()
    plain_http.check(host)
    return SessionPerThread(host, auth)


class Clock:
    """The difference between a server's clock and this machine's, from the header Date of its answers.

    Attributes:
        ahead: the time by which the server's clock is ahead; zero if the difference is not significant.
    """

    ahead = timedelta()

    def read(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        """Compare the clocks; used as a hook of a session's answers."""
        try:
            server_time = parsedate_to_datetime(answer.headers["Date"]) + HALF_A_SECOND
            ahead = server_time - datetime.now(UTC)
        except (LookupError, TypeError, ValueError):  # no date, an unreadable date, a date without a time zone
            return
        self.ahead = ahead if abs(ahead) > LEAST_DIFFERENCE else timedelta()

    def now(self) -> datetime:
        """Return the time by the server's clock, to about a second."""
        return datetime.now(UTC) + self.ahead


def _trust() -> None:
    """Make every session trust the certificate authority in tator.ca_file."""
    if authority := os.environ.get(CA_VARIABLE):
        check_certificates(Path(authority), "tator.ca_file")
        os.environ["REQUESTS_CA_BUNDLE"] = authority
