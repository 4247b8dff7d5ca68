"""Make requests to the API server, with time-outs, and retry them after temporary errors.

Used by the driver's entry point and by the executor, so that both retry in the same way. Importable where this
folder is on PYTHONPATH.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.utils.quantity import parse_quantity
from urllib3.exceptions import HTTPError

# Without these, a request on a connection that was silently dropped would wait forever.
CONNECT_SECONDS, READ_SECONDS = 5, 20
# Pauses between two requests grow from the first to the second; the third is the longest Retry-After that is respected.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LONGEST_RETRY_AFTER_SECONDS = 0.5, 15.0, 60.0
# Seconds between two log lines with the same reason.
REPEAT_LOG_SECONDS = 600.0


class TemporarilyUnavailable(Exception):
    """A request cannot be fulfilled yet; the message says why."""


class Refused(Exception):
    """The API server refuses a request, and waiting would not help."""


class RetryTimeout(Exception):
    """The API server did not fulfil a request within the time limit."""


FAULTS = (ApiException, HTTPError, TemporarilyUnavailable)


class _TimedClient(client.ApiClient):  # type: ignore[misc]
    """A client whose every request has a time-out."""

    def request(self, *arguments: Any, _request_timeout: Any = None, **options: Any) -> Any:
        """Make a request; urllib3's errors say that it took too long."""
        timeout = _request_timeout or (CONNECT_SECONDS, READ_SECONDS)
        return super().request(*arguments, _request_timeout=timeout, **options)


def connect() -> tuple[Any, Any]:
    """Return the APIs of pods and Secrets, and of Jobs, by the configuration that was loaded."""
    configuration = client.Configuration.get_default_copy()
    configuration.retries = False  # `retry_request` is the only retry layer
    timed = _TimedClient(configuration)
    return client.CoreV1Api(timed), client.BatchV1Api(timed)


def transient(error: Exception) -> bool:
    """Return whether a request may succeed later; a 401 is a token that is being renewed."""
    if not isinstance(error, ApiException):
        return True
    if error.status == 403 and "exceeded quota" in str(error.body):
        return not refuses_for_good(str(error.body))
    return error.status in (0, 401, 408, 429) or error.status >= 500


def refuses_for_good(message: str) -> bool:
    """Return whether an object would be refused again, however long one waits.

    A quota that is used up is not such a refusal, unless the object alone asks for more than the quota's limit.
    """
    found = re.search(r"exceeded quota: \S+, requested: (\S+), used: \S+, limited: ([^\s\"\\]+)", message)
    if found:
        requested, limited = (dict(part.split("=", 1) for part in text.split(",")) for text in found.groups())
        return any(parse_quantity(requested[name]) > parse_quantity(limited[name].rstrip(".")) for name in limited)
    if re.search(r"failed calling webhook|[Ii]nternal error|timed? ?out|connection refused|being terminated", message):
        return False
    return bool(re.search(r"is forbidden|denied the request|is invalid", message))


def retry_request(
    request: Callable[[], Any],
    *,
    seconds: Callable[[], float],
    log: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Make a request, retry it after temporary errors, and return its answer.

    Args:
        request: makes it; raises one of FAULTS.
        seconds: returns how long to retry; called before each retry, as a run that is stopped has less time.
        log: called with the reason for a retry when it changes, and every ten minutes.
        sleep: waits for some seconds.

    Raises:
        Refused: waiting would not help.
        RetryTimeout: the time is over.
    """
    begun, pause, log_reason = time.monotonic(), FIRST_PAUSE_SECONDS, Reasons(log)
    while True:
        try:
            return request()
        except FAULTS as error:
            if not transient(error):
                raise Refused(f"Kubernetes refuses: {brief(error)}") from error
            minutes = (time.monotonic() - begun) / 60
            if 60 * minutes >= seconds():
                raise RetryTimeout(
                    f"the request to Kubernetes was given up after {minutes:.1f} minutes: {brief(error)}"
                ) from error
            log_reason(f"retrying the request to Kubernetes: {brief(error)}")
            retry_after = _retry_after(error)
        sleep(max(pause, retry_after))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


class Reasons:
    """Log a reason when it is new, and every ten minutes while it lasts."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._logged: dict[str, float] = {}

    def __call__(self, text: str, key: str | None = None) -> None:
        """Log a text, unless one with the same key (by default the text) was logged less than ten minutes ago."""
        key, now = key or text, time.monotonic()
        if now - self._logged.get(key, -REPEAT_LOG_SECONDS) >= REPEAT_LOG_SECONDS:
            self._logged[key] = now
            self._log(text)


def brief(error: Exception) -> str:
    """Return the message of an error, cut after 300 characters."""
    text = f"{error.status} {error.body or error.reason}" if isinstance(error, ApiException) else str(error)
    text = text or type(error).__name__
    return text if len(text) < 300 else f"{text[:300]} ..."


def _retry_after(error: Exception) -> float:
    headers = getattr(error, "headers", None) or {}
    text = str(headers.get("Retry-After") or "")
    return min(float(text), LONGEST_RETRY_AFTER_SECONDS) if text.isdigit() else 0.0
