"""Check whether a token may be sent without TLS: always to this machine, to others only if the user allows it."""

import logging
import os
from urllib.parse import urlsplit

from scripts.lib.errors import SettingsError
from scripts.lib.network_access.addresses import is_this_machine

VARIABLE = "TATOR_ALLOW_HTTP"

_log = logging.getLogger(__name__)


def refusal(host: str, *, allowed: bool) -> str | None:
    """Return the reason why the token is not sent to a site; None if it may be sent.

    Args:
        host: the site, `http[s]://HOST[:PORT]`.
        allowed: the setting `tator.allow_http`.
    """
    parts = urlsplit(host)
    if parts.scheme != "http" or allowed or is_this_machine(parts.hostname or ""):
        return None
    return (
        f"tator.host: {host} has no TLS, so others on the network can read the token; expected https://, or "
        f"tator.allow_http: true (or {VARIABLE}=true) if the network is trusted"
    )


def check(host: str) -> None:
    """Refuse to send the token unencrypted unless the environment allows it; then warn.

    Raises:
        SettingsError: the site has no TLS, is not this machine, and TATOR_ALLOW_HTTP does not allow it.
    """
    if refusal(host, allowed=False) is None:
        return
    if os.environ.get(VARIABLE, "").strip().lower() not in ("true", "1", "yes"):
        raise SettingsError(str(refusal(host, allowed=False)))
    _log.warning("%s has no TLS: others on the network can read the token", host)
