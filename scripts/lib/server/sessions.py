"""Sessions for Tator and its store, which trust whom the site says."""

import os
from pathlib import Path

import requests.auth

from scripts.lib.errors import SettingsError
from scripts.lib.network_access import plain_http
from scripts.lib.network_access.sessions import Session, SessionPerThread

CA_VARIABLE = "TATOR_CA_FILE"

TRUST = "see tator.host; where the site has a certificate authority of its own, name its certificate in tator.ca_file"


def untrusted(error: Exception) -> bool:
    """Whether a connection failed for its certificate or because no TLS is spoken there, rather than by chance."""
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


def _trust() -> None:
    """Trust the authority that tator.ca_file names, where every session looks."""
    if authority := os.environ.get(CA_VARIABLE):
        if not Path(authority).is_file():
            raise SettingsError(f"tator.ca_file: {authority} is no file; expected certificates in PEM format")
        os.environ["REQUESTS_CA_BUNDLE"] = authority
